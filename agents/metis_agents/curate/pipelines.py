"""Which stages a curation has, in which order, and what it leaves unchecked."""

from metis_agents.curate.options import Options
from metis_agents.curate.stages.images import ImagesStage
from metis_agents.curate.stages.stage import Stage
from metis_agents.curate.stages.structure import StructureStage
from metis_agents.curate.stages.write import WriteStage

__all__ = ["not_checked", "stages_of"]


def stages_of(options: Options) -> list[Stage]:
    """The stages after reading, in order.

    Raises:
        ConfigError: An option is not valid.
    """
    images = ImagesStage(max_pixels=options.max_pixels)
    if options.kind == "rl":
        return [images]
    return [images, StructureStage(), WriteStage(options.dialect)]


def not_checked(options: Options) -> list[str]:
    """What nobody looked at, in sentences for the report."""
    return []
