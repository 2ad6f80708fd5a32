"""The built-in families keep their limits: what words alone tell in every run, all probes in the slow tests."""

import shutil

import pytest

from metis_envs.audit import PROBES, audit
from metis_envs.audit.results import Verdict
from metis_gym.registration import FAMILY_IDS

FAMILIES = tuple(FAMILY_IDS.values())
OF_WORDS = ("necessity", "tool", "answer", "position")
SOME = [name if place % 3 == 0 else pytest.param(name, marks=pytest.mark.slow) for place, name in enumerate(FAMILIES)]


def broken(report):
    return [(result.probe, result.share, result.limit) for result in report.with_verdict(Verdict.BROKEN)]


@pytest.mark.parametrize("name", FAMILIES)
def test_words_and_places_tell_nothing_of_needs(name):
    assert broken(audit(name, tasks=40, probes=("necessity", "tool", "position"))) == []


@pytest.mark.parametrize("name", SOME)
def test_words_tell_nothing_of_answers(name):
    assert broken(audit(name, tasks=40, probes=("answer",))) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_all_limits_are_kept(name):
    assert broken(audit(name, tasks=400)) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
@pytest.mark.parametrize("name", FAMILIES)
def test_partial_tasks_keep_all_limits(name):
    report = audit(f"{name}:required_share=0.34,partial_share=0.33", tasks=200, probes=tuple(set(PROBES) - {"blind"}))
    assert broken(report) == []


@pytest.mark.slow
def test_the_mixture_as_a_whole_keeps_its_limits():
    assert broken(audit("mixture", tasks=400, probes=OF_WORDS)) == []
