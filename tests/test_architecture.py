"""The house: imports go one way and have no cycles, importing is light, public names are exact, docstrings run."""

import ast
import doctest
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "metis_gym": ROOT / "metis_gym",
    "metis_envs": ROOT / "envs/metis_envs",
    "metis_agents": ROOT / "agents/metis_agents",
}
ENGINES = {"verl", "transfer_queue", "ray", "openenv", "uvicorn"}
"""Packages of which some modules are the adapters; those that need an environment of their own are tested there."""
HEAVY = {"torch", "transformers", "matplotlib", "skimage", "sklearn", "requests", "metis_envs", "metis_agents", "rich"}
MAY_IMPORT = {"metis_gym": set(), "metis_envs": {"metis_gym"}, "metis_agents": {"metis_gym"}}
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60


def modules():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports_of(path, *, at_import_time):
    """Modules that a file imports; with `at_import_time`, those inside functions and TYPE_CHECKING are left out."""
    nodes = [ast.parse(path.read_text())]
    found = set()
    while nodes:
        node = nodes.pop()
        if at_import_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if at_import_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        nodes.extend(ast.iter_child_nodes(node))
    return found


def needed_by(name):
    """What a module imports when it is imported, through modules of the project, too."""
    found, waiting = set(), [name]
    while waiting:
        for other in imports_of(MODULES[waiting.pop()], at_import_time=True) - found:
            found.add(other)
            waiting += [other] if other in MODULES else []
    return found


@pytest.mark.parametrize("name", MODULES)
def test_packages_import_in_one_direction(name):
    package = name.partition(".")[0]
    others = {found.partition(".")[0] for found in imports_of(MODULES[name], at_import_time=False)} & set(PACKAGES)
    assert others - {package} <= MAY_IMPORT[package]


def test_no_import_cycles():
    graph = {
        name: {found for found in imports_of(path, at_import_time=True) if found in MODULES and found != name}
        for name, path in MODULES.items()
    }
    # A package's __init__ imports its own modules, and they do not import it back.
    done, on_path = set(), []

    def visit(name):
        assert name not in on_path, f"import cycle: {' → '.join([*on_path[on_path.index(name) :], name])}"
        if name in done:
            return
        on_path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        on_path.pop()
        done.add(name)

    for name in graph:
        visit(name)


@pytest.mark.parametrize("name", MODULES)
def test_files_are_short_and_modules_say_what_they_are(name):
    text = MODULES[name].read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    assert ast.get_docstring(ast.parse(text))


def length_of(function):
    """Lines of a function, its docstring left out."""
    text = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (len(text.splitlines()) if text else 0)


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, functions)]
    assert [node.name for node in found if length_of(node) > MAX_FUNCTION_LINES] == []


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_examples_run(name):
    if name.startswith(("metis_gym.sandbox.inside", "metis_gym.sandbox.boot")):
        pytest.skip("not imported on the host")
    absent = {engine for engine in ENGINES if importlib.util.find_spec(engine) is None}
    if {found.partition(".")[0] for found in needed_by(name)} & absent:
        pytest.skip("its engine is not installed here")
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.__all__ names {public}, which is not there"
    assert doctest.testmod(module).failed == 0


def test_top_level_names():
    import metis_gym

    assert sorted(metis_gym.__all__) == [
        "ENV_IDS",
        "Episode",
        "Necessity",
        "Outcome",
        "Task",
        "__version__",
        "make_vec",
    ]


def test_importing_the_core_is_light():
    code = (
        "import gymnasium, json, sys; before = set(sys.modules); import metis_gym; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    added = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not added & HEAVY


def test_folders_that_are_no_packages():
    assert not (ROOT / "envs/__init__.py").exists()
    assert not (ROOT / "agents/__init__.py").exists()
    for folder in PACKAGES.values():
        assert (folder / "py.typed").exists()
