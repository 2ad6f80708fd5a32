"""The public names, the docstrings' examples, and the error without torch."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import metis_agents.rl
from metis_agents import rl as hdpo

MODULES = [f"metis_agents.rl.{module.name}" for module in pkgutil.iter_modules(metis_agents.rl.__path__)]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_public_names_exist():
    assert len(set(hdpo.__all__)) == len(hdpo.__all__)
    assert all(hasattr(hdpo, name) for name in hdpo.__all__)


def test_without_torch_the_error_names_the_command():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from metis_gym.errors import MissingDependencyError\n"
        "try:\n    import metis_agents.rl\n"
        "except MissingDependencyError as error:\n    assert \"pip install 'metis-gym[agents]'\" in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"], check=True)
