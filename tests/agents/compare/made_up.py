"""Made-up results, for what reads results."""

from metis_agents.compare.records import CURVES, Played, Result


def played(redundant, needed, right=1.0, episodes=100):
    """One task of each kind, with rates as given."""
    rows = [
        (episodes, right * episodes, rate * episodes, rate * episodes, rate * episodes) for rate in (redundant, needed)
    ]
    return Played(necessity=("none", "required"), sums=tuple(rows))


def result(design="hdpo", seed=0, redundant=0.0, needed=1.0, right=1.0, batches=5, **env):
    """A run that was like this from beginning to end."""
    curve = {name: [0.5] * batches for name in CURVES}
    curve |= {"redundant_rate": [redundant] * batches, "tool_recall": [needed] * batches}
    return Result(
        design=design,
        seed=seed,
        env={"grader_noise": 0.3, "choices": 4, **env},
        curve=curve,
        final=played(redundant, needed, right),
        without_tools=played(0, 0, 0.5),
        start=played(0.97, 0.99),
        start_without_tools=played(0, 0, 0.6),
    )
