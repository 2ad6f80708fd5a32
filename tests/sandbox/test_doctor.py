"""What `metis-gym sandbox doctor` says."""

import json

import pytest

from metis_gym.sandbox import Finding, doctor
from metis_gym.sandbox import command as commands
from metis_gym.sandbox.advice import explain_failure
from metis_gym.sandbox.doctor import format_findings


@pytest.fixture(scope="module")
def findings():
    return doctor()


def test_the_last_finding_is_what_auto_does(findings):
    subjects = [finding.subject for finding in findings]
    assert subjects[-1] == "auto"
    assert {"machine", "user", "user namespaces", "landlock", "seccomp", "namespace"} <= set(subjects)
    started = [finding.subject for finding in findings if finding.ok and "starts" in finding.detail]
    assert findings[-1].ok == bool(started)
    assert not started or repr(started[0]) in findings[-1].detail


def test_the_command_prints_a_table_or_json(capsys, findings, monkeypatch):
    monkeypatch.setattr(commands, "doctor", lambda: findings)
    assert commands.main(["doctor"]) == 0
    table = capsys.readouterr().out
    assert "auto" in table.splitlines()[-1]
    assert commands.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["subject"] == "auto"


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit):
        commands.main([])
    assert "doctor" in capsys.readouterr().err


def test_findings_with_a_remedy_show_it():
    text = format_findings([Finding(subject="x", ok=False, detail="absent", remedy="install it")])
    assert text == "NO  x  absent\n       → install it"


@pytest.mark.parametrize(
    ("step", "error", "part"),
    [
        ("asking for Landlock", "version 0", "lsm=landlock"),
        ("making the view read-only", "mount_setattr: Function not implemented", "older than Linux 5.12"),
        ("importing the libraries", "No module named 'numpy'", "install numpy and Pillow"),
    ],
)
def test_failures_name_cause_and_remedy(step, error, part):
    message = explain_failure("namespace", step, error)
    assert part in message
    assert step in message
    assert error in message
