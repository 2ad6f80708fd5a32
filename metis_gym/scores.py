"""The figures of a benchmark, as a taskset with figures of its own gives them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metis_gym.metrics import Estimate

__all__ = ["Score"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The figures of a benchmark.

    Attributes:
        name: The benchmark.
        figures: Figure → mean and interval, the primary ones first.
        primary: The figures that its authors put first.
        bounds: Primary figure → what it would be if all unscored rows were wrong, and if all were right.
        scored: Rows that were graded.
        total: Rows that the benchmark has here, those that were left out included.
        no_choice: Answers that name no option, where there were options: they count as wrong.
        notes: What differs from the authors' evaluation.
        played: How the episodes went: how many were truncated or not scored, the share that called tools, calls and
            cost each.
        graded_by: What compared the answers.
        settings: Which rows were played: the data set, its revision and fingerprint, wording, view_pixels ….
    """

    name: str
    figures: Mapping[str, Estimate]
    primary: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    scored: int
    total: int
    no_choice: int = 0
    notes: tuple[str, ...] = ()
    graded_by: str = "rules"
    played: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_partial(self) -> bool:
        """Whether some rows are not scored."""
        return self.scored < self.total

    def __str__(self) -> str:
        """A line for each figure."""
        no_choice = f", {self.no_choice:,} name no option" if self.no_choice else ""
        scored = f"{self.scored:,} of {self.total:,} rows scored, by {self.graded_by}"
        head = f"{self.name}: {scored}{no_choice}{', partial' * self.is_partial}"
        lines = [f"  {name}: {_percent(figure)}{self._bound(name)}" for name, figure in self.figures.items()]
        return "\n".join([head, *lines, *(f"  note: {note}" for note in self.notes)])

    def _bound(self, name: str) -> str:
        if name not in self.bounds or not self.is_partial:
            return ""
        low, high = self.bounds[name]
        return f" (unscored rows allow {100 * low:.2f} to {100 * high:.2f})"


def _percent(figure: Estimate) -> str:
    if figure.n == 0:
        return "–"
    return f"{100 * figure.mean:.2f} [{100 * figure.low:.2f}, {100 * figure.high:.2f}], n = {figure.n}"
