"""The real verl, in the environment that `make test-verl` makes; elsewhere these tests are skipped."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

HAS_VERL = importlib.util.find_spec("verl") is not None
SETTINGS = {
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # it would kill workers for what other programs of the machine hold
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
if HAS_VERL:
    os.environ.update(SETTINGS)
tests = Path(__file__).parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(tests / "agents" / "qwen3vl"), str(tests / "rl")]


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not HAS_VERL:
            item.add_marker(pytest.mark.skip(reason="verl is not installed: `make test-verl` runs this test"))
