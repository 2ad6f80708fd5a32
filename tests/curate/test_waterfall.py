"""The picture of a report: drawn from what is in it, the same bytes each time."""

import numpy as np

from metis_agents.curate.report import Flow, Report, StageReport
from metis_agents.curate.waterfall import draw_waterfall
from metis_gym.images import decode


def stage(name, kept, reasons, undecided):
    lost, open_ = sum(reasons.values()), sum(undecided.values())
    flow = Flow(kept + lost + open_, kept, lost, open_)
    return StageReport(name, "", 1, {}, {"a": flow}, reasons, undecided)


def report(undecided):
    many = {f"reason_{n}": n for n in range(1, 6)}
    stages = [
        stage("read", 90, many, {}),
        stage("judge", 70, {"coherence": 20 - undecided}, {"judge_failed": undecided}),
    ]
    return Report("sft", stages)


def test_it_is_drawn_from_the_counts():
    first, again, other = (draw_waterfall(report(n)) for n in (5, 5, 0))
    assert first == again
    assert first != other
    image = decode(first)
    assert image.shape[1] > image.shape[0] > 300
    orange, yellow = (
        np.all(abs(image.astype(int) - colour) < 8, axis=-1).mean() for colour in ((213, 94, 0), (230, 159, 0))
    )
    assert orange > yellow > 0
    assert draw_waterfall(Report("rl", [stage("read", 0, {}, {})]))
