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


@pytest.fixture(scope="package", autouse=True)
def _small_vocabulary():
    """Tiny models read what is said in forty tasks, not in hundreds: drawing these took most of a run's time here."""
    from metis_agents.qwen3vl.train import parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_TEXTS", 40)
        yield
