"""The checks of `metis_gym.testing` name the rule that is broken, and pass what keeps them all."""

import sys
from pathlib import Path

import pytest

from metis_gym import testing
from metis_gym.testing import BrokenContract

sys.path.insert(0, str(Path(__file__).parent))
import broken

PARTS = [
    *((testing.check_taskset, spec, rule.__doc__) for rule, spec in broken.TASKSETS.items()),
    *((testing.check_tool, f"broken:{kind.__name__}", kind.__doc__) for kind in broken.TOOLS),
    *((testing.check_dialect, f"broken:{kind.__name__}", kind.__doc__) for kind in broken.DIALECTS),
    *((testing.check_design, f"broken:{kind.__name__}", kind.__doc__) for kind in broken.DESIGNS),
    *((testing.check_grader, f"broken:{kind.__name__}", kind.__doc__) for kind in broken.GRADERS),
    *((testing.check_search_engine, f"broken:{kind.__name__}", kind.__doc__) for kind in broken.ENGINES),
    *((testing.check_agent, f"broken:{kind.__name__}", kind.__doc__) for kind in broken.AGENTS),
]


@pytest.mark.parametrize(("check", "spec", "rule"), PARTS, ids=[spec for _, spec, _ in PARTS])
def test_a_broken_rule_is_named(check, spec, rule):
    more = {"calls": [{"text": "hm"}]} if check is testing.check_tool else {}
    with pytest.raises(BrokenContract, match=f"(?s){rule}") as error:
        check(spec, **more)
    assert spec in str(error.value)


@pytest.mark.parametrize(
    ("check", "spec"),
    [
        (testing.check_taskset, "metis_gym.testing.examples:ExampleTasks"),
        (testing.check_tool, "broken:WholeTool"),
        (testing.check_design, "broken:Score"),
        (testing.check_search_engine, "broken:WholeEngine"),
        (testing.check_agent, "broken:WholeAgent"),
    ],
)
def test_what_keeps_the_rules_passes(check, spec):
    check(spec)


def test_finished_objects_are_checked_too():
    testing.check_tool(broken.WholeTool())
    testing.check_agent(broken.WholeAgent())
    testing.check_search_engine(broken.WholeEngine())
    testing.check_taskset(broken.ExampleTasks())
    with pytest.raises(BrokenContract, match="it returned str"):
        testing.check_tool(broken.ReturnsText(), calls=[{"text": "hm"}])


def test_all_checks_are_offered():
    assert set(testing.__all__) == {name for name in vars(testing) if name.startswith("check_")} | {"BrokenContract"}
