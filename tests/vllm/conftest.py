"""The real vLLM, in the environment that `make test-vllm` makes; elsewhere these tests are skipped.

What is set here must stand in the environment before torch and vLLM are imported.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

SETTINGS = {
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded
    "OMP_NUM_THREADS": "1",
    "TORCH_COMPILE_DISABLE": "1",  # compiling would take longer than everything else
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, of servers
    "VLLM_NO_USAGE_STATS": "1",
}
HAS_VLLM = importlib.util.find_spec("vllm") is not None

if HAS_VLLM:
    os.environ.update(SETTINGS)
agents = Path(__file__).parents[1] / "agents"
sys.path[:0] = [str(Path(__file__).parent), str(agents / "qwen3vl"), str(agents / "chat")]


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not HAS_VLLM:
            item.add_marker(pytest.mark.skip(reason="vLLM is not installed: `make test-vllm` runs this test"))
