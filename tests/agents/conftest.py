"""All agents' tests run on one thread: small networks gain nothing from more, and tests run beside each other."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)
