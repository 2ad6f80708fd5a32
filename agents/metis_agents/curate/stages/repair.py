"""Results that are recorded anew: with `--repair`, those of a new run take the place of recorded ones that differ.

What the new run gave stands in the ledger beside the verdict: resumed and merged curations write the same bytes.
"""

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from metis_agents.curate.formats.conversations import dialect_of
from metis_agents.curate.formats.parts import marks
from metis_agents.curate.records import Observed, Sample, SampleImage
from metis_agents.curate.stages.recorded import payload
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.images.transforms import to_png
from metis_gym.records import ImageArray

__all__ = ["OBSERVATIONS", "REPAIRED", "recorded_anew", "repaired"]

OBSERVATIONS, REPAIRED = "observations", "repaired"
"""Names of notes: what was recorded anew, and the 1 that the report adds up."""
_MAX_BYTES = 16 << 20


def recorded_anew(
    sample: Sample, given: Mapping[int, tuple[str, Sequence[ImageArray]]], reason: str
) -> dict[str, Any] | None:
    """The notes of a verdict that keeps a trajectory with new results; None where its dialect cannot show them.

    Args:
        sample: The trajectory.
        given: Number of a turn, from 0 on → the text and the images that its calls gave now.
        reason: For which the trajectory would have been dropped.
    """
    continues, size = dialect_of(sample.dialect).continues, 0
    found = []
    for turn, (observation, images) in given.items():
        text = observation
        if continues:  # such results stand without a frame in the model's own text
            text = "\n".join(filter(None, [payload(observation), IMAGE_MARK * len(images)]))
        coded = [base64.b64encode(to_png(image)).decode() for image in images]
        size += len(text) + sum(map(len, coded))
        if marks(text) != len(images) or size > _MAX_BYTES:
            return None
        found.append({"turn": turn, "text": text, "images": coded})
    return {REPAIRED: 1, "differed": reason, OBSERVATIONS: found}


def repaired(sample: Sample, notes: Mapping[str, Any]) -> Sample:
    """The trajectory with the results that were recorded anew, if there are any."""
    turns = list(sample.turns)
    for one in notes.get(OBSERVATIONS, ()):
        images = tuple(SampleImage(base64.b64decode(data)) for data in one["images"])
        turns[one["turn"]] = dataclasses.replace(turns[one["turn"]], observed=Observed(str(one["text"]), images))
    return dataclasses.replace(sample, turns=tuple(turns))
