"""Each probe finds a leak that is planted for it, and nothing in a family that has none."""

import shutil
from pathlib import Path

import pytest

from metis_envs.audit import PROBES, audit
from metis_envs.audit.results import Verdict

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


@pytest.fixture(autouse=True)
def leaky_is_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def audited(probes, *, leak="", tasks=240, spec="leaky:Notes", **options):
    parameters = ",".join(f"{key}={value}" for key, value in (("leak", leak), *options.items()) if value)
    spec = f"{spec}:{parameters}" if parameters else spec
    return audit(spec, tasks=tasks, words=tasks, view_size=224, probes=probes)


def broken(report):
    return {result.probe for result in report.with_verdict(Verdict.BROKEN)}


LEAKS = [
    ("words", "necessity", "words → necessity"),
    ("tool", "tool", "words → tool"),
    ("panel", "statistics", "image statistics → necessity"),
    ("shade", "thumbnail", "thumbnail → necessity"),
    ("middle", "answer", "words → answer, choice"),
    ("middle", "answer", "words → answer, open"),
    ("search", "blind", "blind with tools"),
    ("position", "position", "gold position"),
    ("seed", "position", "gold position in other split"),
    ("pixel", "views", "views of all answers"),
    ("blocks", "views", "views of all answers"),
    pytest.param("tiny", "print", "print in the view, none", marks=needs_tesseract),
    pytest.param("noise", "print", "print in the crop, required", marks=[needs_tesseract, pytest.mark.slow]),
]


@pytest.mark.parametrize(("leak", "probe", "found"), LEAKS)
def test_a_planted_leak_is_found(leak, probe, found):
    answers = {"words → answer, open": "open"}.get(found, "choice")
    tasks = {"views": 20, "print": 20, "blind": 120}.get(probe, 160)
    shares = {"required_share": 0.8} if leak == "noise" else {}  # so that enough small print is read
    assert found in broken(audited((probe,), leak=leak, answers=answers, tasks=tasks, **shares))


@pytest.mark.slow
@needs_tesseract
def test_a_family_without_leaks_keeps_all_limits():
    report = audited(tuple(PROBES), tasks=100)
    assert broken(report) == set()
    found = {(leak if isinstance(leak, tuple) else leak.values)[2] for leak in LEAKS}
    probed = {result.probe for result in report.results}
    assert {name for name in found if name} <= probed
