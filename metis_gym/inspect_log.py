"""A recorded run as a log of Inspect (https://inspect.aisi.org.uk), which `inspect view` opens.

The form is that of `inspect_ai` 0.3, format version 2: a ZIP archive with `header.json`, `summaries.json` and a file
for each sample. Nothing of that package is needed to write it. A sample is an episode; its scores are correctness, tool
calls and tool cost, apart. Inspect knows no regions, crops or groups: `metis-gym view` shows these.
"""

import json
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metis_gym.records import ImageArray, ToolResult
from metis_gym.storage import replacing
from metis_gym.turns import encodable
from metis_gym.viewer.episodes import EpisodeCard
from metis_gym.viewer.markup import FINE, image_data

__all__ = ["sample_of", "write_inspect_log"]

_FORMAT = 2
_SCORER = "metis_gym"
_SUMMARY = ("id", "epoch", "input", "choices", "target", "scores", "metadata", "uuid")
_MAX_SUMMARY = 2_000
"""Characters of a text that the list of samples holds."""


def write_inspect_log(cards: Iterable[EpisodeCard], out: Path, *, name: str, agent: str = "") -> int:
    """Write a log, whole or not at all.

    Args:
        cards: The episodes. Read once, and written one at a time.
        out: The file, which should end in `.eval`.
        name: What the task is called in Inspect.
        agent: Who played; stands where Inspect has the model.

    Returns:
        How many episodes it holds.
    """
    made = datetime.now(UTC).isoformat(timespec="seconds")
    summaries: list[dict[str, Any]] = []
    ended: Counter[str] = Counter()
    with replacing(out) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, card in enumerate(cards, start=1):
            sample = sample_of(card, number)
            archive.writestr(f"samples/{number}_epoch_1.json", _json(sample))
            summaries.append(_summary(sample))
            ended["error" if sample.get("error") else "scored"] += 1
        spec = _spec(name, agent, made, len(summaries))
        archive.writestr("_journal/start.json", _json({"version": _FORMAT, "eval": spec, "plan": {}}))
        archive.writestr("summaries.json", _json(summaries))
        archive.writestr("header.json", _json(_header(spec, summaries, ended["scored"], made)))
    return len(summaries)


def sample_of(card: EpisodeCard, number: int) -> dict[str, Any]:
    """An episode as a sample.

    Args:
        card: The episode.
        number: Its id in the log.
    """
    task, question = card.task, _message("user", card.prompt, card.views)
    metadata: dict[str, Any] = {
        "run": card.run,
        "task_id": card.task_id,
        "family": card.family,
        "necessity": card.necessity.value,
        "reward": card.reward,
        "reward_components": dict(card.components),
    }
    sample: dict[str, Any] = {
        "id": number,
        "epoch": 1,
        "input": [question],
        "target": "" if task is None else task.gold.value,
        "choices": list(task.options) if task is not None and task.options else None,
        "messages": [question, *(message for turn in card.turns for message in _turn(turn.action, turn.results))],
        "scores": _scores(card),
        "metadata": metadata,
        "uuid": uuid.uuid4().hex,
    }
    if task is not None:
        metadata |= {"explanation": task.explanation, "region": task.region, "min_calls": task.min_calls}
        metadata["blind_accuracy"] = task.blind_accuracy
    if card.turns:
        sample["output"] = {"model": "", "choices": [{"message": _message("assistant", card.turns[-1].action)}]}
    if card.failure:
        sample["error"] = {"message": card.failure, "traceback": "", "traceback_ansi": ""}
    return sample


def _scores(card: EpisodeCard) -> dict[str, Any] | None:
    """Correctness and costs; nothing where the episode is not scored."""
    outcome = card.outcome
    if outcome is None or not outcome.scored:
        return None
    answer = next((turn.answer for turn in reversed(card.turns) if turn.answer is not None), None)
    values = {"tool_calls": outcome.tool_calls, "tool_cost": outcome.tool_cost}
    right = {"value": "C" if outcome.truly_correct else "I", "answer": answer}
    return {"correct": right, **{name: {"value": value} for name, value in values.items()}}


def _turn(action: str, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
    messages = [_message("assistant", action)]
    for result in results:
        said = "\n".join(filter(None, [result.output, result.errors]))
        messages.append({**_message("tool", said, result.images), "function": result.name})
    return messages


def _message(role: str, text: str, images: Sequence[ImageArray] = ()) -> dict[str, Any]:
    if not images:
        return {"role": role, "content": text}
    shown = [{"type": "image", "image": image_data(image, FINE)} for image in images]
    return {"role": role, "content": [{"type": "text", "text": text}, *shown]}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What the list of samples shows: the texts, shortened, without images."""
    kept = {name: sample[name] for name in _SUMMARY}
    content = sample["input"][0]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    kept["input"] = text[:_MAX_SUMMARY]
    kept["metadata"] = {
        name: value for name, value in sample["metadata"].items() if isinstance(value, str | int | float)
    }
    kept |= {"completed": True, "message_count": len(sample["messages"])}
    return {**kept, "error": sample["error"]["message"]} if "error" in sample else kept


def _spec(name: str, agent: str, made: str, count: int) -> dict[str, Any]:
    from metis_gym import __version__

    return {
        "eval_id": uuid.uuid4().hex,
        "run_id": uuid.uuid4().hex,
        "created": made,
        "task": name,
        "task_id": uuid.uuid4().hex,
        "dataset": {"name": name, "samples": count, "sample_ids": list(range(1, count + 1)), "shuffled": False},
        "model": agent or "unknown",
        "config": {},
        "packages": {"metis-gym": __version__},
        "scorers": [{"name": _SCORER}],
    }


def _header(spec: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]], scored: int, made: str) -> dict[str, Any]:
    found = [summary["scores"] for summary in summaries if summary["scores"]]
    means = {}
    if found:
        means = {
            "correct": ("accuracy", sum(scores["correct"]["value"] == "C" for scores in found) / len(found)),
            "tool_calls": ("mean", sum(scores["tool_calls"]["value"] for scores in found) / len(found)),
            "tool_cost": ("mean", sum(scores["tool_cost"]["value"] for scores in found) / len(found)),
        }
    counts = {"scored_samples": len(found), "unscored_samples": len(summaries) - len(found)}
    results = {
        "total_samples": len(summaries),
        "completed_samples": scored,
        "scores": [
            {"name": name, "scorer": _SCORER, **counts, "metrics": {metric: {"name": metric, "value": value}}}
            for name, (metric, value) in means.items()
        ],
    }
    stats = {"started_at": made, "completed_at": made}
    return {"version": _FORMAT, "status": "success", "eval": spec, "plan": {}, "results": results, "stats": stats}


def _json(value: Any) -> str:
    return json.dumps(_clean(value), ensure_ascii=False, allow_nan=False)


def _clean(value: Any) -> Any:
    """The same, with text that can be written: lone surrogates are replaced."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable(str(key)): _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value
