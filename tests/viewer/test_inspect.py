"""A recorded run as a log of Inspect: read by Inspect itself where it is installed, and by its form."""

import json
import zipfile

import pytest

from metis_gym.cli import main
from metis_gym.turns import encodable
from metis_gym.viewer import read_episodes
from tests.viewer.toys import four_cells, hostile, record


@pytest.fixture
def log(tmp_path):
    run = record(tmp_path / "run", [*four_cells(), *hostile()])
    assert main(["export", "inspect", str(run)]) == 0
    return run / "episodes.eval"


def test_it_holds_every_episode_once(log):
    cards = list(read_episodes(log.parent))
    with zipfile.ZipFile(log) as archive:
        assert archive.testzip() is None
        samples = [json.loads(archive.read(f"samples/{number + 1}_epoch_1.json")) for number in range(len(cards))]
        header, summaries = (json.loads(archive.read(f"{name}.json")) for name in ("header", "summaries"))
        assert len(archive.namelist()) == len(cards) + 3
    for card, sample in zip(cards, samples, strict=True):
        assert sample["metadata"]["task_id"] == encodable(card.task_id)
        assert (sample["scores"] is None) == (not card.outcome.scored)
        tools = [message for message in sample["messages"] if message["role"] == "tool"]
        assert len(tools) == sum(len(turn.results) for turn in card.turns)
    right = [card.is_right for card in cards if card.outcome.scored]
    accuracy = next(score for score in header["results"]["scores"] if score["name"] == "correct")["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(sum(right) / len(right))
    assert [summary["id"] for summary in summaries] == [sample["id"] for sample in samples]
    assert "data:image" not in json.dumps(summaries)


def test_inspect_reads_it(log):
    reading = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    cards = list(read_episodes(log.parent))
    read = reading.read_eval_log(str(log))
    assert read.status == "success" and read.version == 2
    assert len(read.samples) == len(cards) == read.results.total_samples
    for card, sample in zip(cards, sorted(read.samples, key=lambda one: one.id), strict=True):
        assert sample.metadata["necessity"] == card.necessity.value
        assert sample.messages[0].role == "user"
        contents = [message.content for message in sample.messages if not isinstance(message.content, str)]
        images = [part for content in contents for part in content]
        assert sum(part.type == "image" for part in images) == len(card.views) + sum(
            len(result.images) for turn in card.turns for result in turn.results
        )
    listed = reading.read_eval_log_sample_summaries(str(log))
    assert [one.id for one in listed] == list(range(1, len(cards) + 1))
    assert reading.read_eval_log(str(log), header_only=True).eval.task == "run"
