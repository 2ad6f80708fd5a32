"""What a container is sent holds all that it imports, so that a new import is found without a container."""

import ast

from metis_gym.sandbox.sources import project_sources

AGENT = "metis_gym.sandbox.containers.agent"


def imported(text):
    """Names of this project's modules that a module imports when it is loaded."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "metis_gym":
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name.islower())


def test_all_that_the_agent_in_a_container_imports_is_sent_along():
    sent = project_sources()
    seen, waiting, missing = set(), [AGENT], []
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imported(sent[module]):
            if name in sent:
                waiting.append(name)
            elif name.rpartition(".")[0] not in sent:
                missing.append((module, name))
    assert not missing
    assert len(seen) > 10, "the walk followed imports"
