"""The toys next to the tests can be imported."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="package")
def kit():
    from qwen_toys import equipment

    return equipment()


@pytest.fixture(scope="package")
def conversations(kit):
    from qwen_toys import played_conversations

    return played_conversations(kit)
