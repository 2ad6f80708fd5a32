"""Drawing takes most of a small curation: the tests draw once, in test_waterfall.py."""

import pytest

from metis_agents.curate import waterfall


@pytest.fixture(autouse=True)
def _nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(waterfall, "draw_waterfall", lambda _: b"a picture")
