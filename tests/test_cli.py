"""The command line: finding commands, helping, failing politely."""

import subprocess
import sys

import pytest

import metis_gym
from metis_gym.cli import COMMANDS, main


def test_without_a_command_it_lists_them(capsys):
    assert main([]) == main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"metis-gym {metis_gym.__version__}"


def test_an_unknown_command_is_named(capsys):
    assert main(["evla"]) == 2
    assert "Did you mean 'eval'" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"metis-gym {name}" in capsys.readouterr().out


def test_commands_are_imported_by_name_only():
    code = "import sys; from metis_gym import cli; cli.main(['--help']); sys.exit('metis_agents' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
