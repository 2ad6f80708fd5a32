"""The stages of writing: a trajectory in the target dialect is read back as the same calls and the same answer.

Reason: `not_translatable`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from metis_agents.curate.records import Sample, Verdict, dropped, kept
from metis_agents.curate.stages.stage import SampleStage
from metis_agents.curate.translation import NotTranslatableError, translated

__all__ = ["WriteStage"]


@dataclass(frozen=True)
class WriteStage(SampleStage):
    """Drops trajectories that the target dialect cannot say.

    Attributes:
        dialect: The target's spec, or "source" to leave every trajectory as it is.
    """

    dialect: str = "metis"

    name: ClassVar[str] = "write"
    about: ClassVar[str] = "the target dialect reads back the same calls and answer"

    @property
    def settings(self) -> dict[str, Any]:
        """The target."""
        return {"dialect": self.dialect}

    def decide(self, sample: Sample) -> Verdict:
        """Write it, and read it back."""
        try:
            translated(sample, self.dialect)
        except NotTranslatableError as error:
            return dropped("not_translatable", str(error))
        return kept()
