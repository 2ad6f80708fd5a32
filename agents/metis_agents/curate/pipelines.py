"""Which stages a curation has, in which order, and what it leaves unchecked."""

from metis_agents.curate.judging import Judge
from metis_agents.curate.options import Options
from metis_agents.curate.rollouts import Player
from metis_agents.curate.stages.ambiguous import AmbiguousStage, AnswerableStage, GoldsStage
from metis_agents.curate.stages.answer import AnswerStage
from metis_agents.curate.stages.decontaminate import DecontaminateStage
from metis_agents.curate.stages.direct import DirectStage
from metis_agents.curate.stages.duplicates import DuplicatesStage
from metis_agents.curate.stages.execute import ExecuteStage
from metis_agents.curate.stages.images import ImagesStage
from metis_agents.curate.stages.judge import JudgeStage
from metis_agents.curate.stages.pass_rate import PassRateStage
from metis_agents.curate.stages.stage import Stage
from metis_agents.curate.stages.structure import StructureStage
from metis_agents.curate.stages.write import WriteStage

__all__ = ["BENCHMARKS", "not_checked", "stages_of"]

BENCHMARKS = (
    "charxiv_dq",
    "charxiv_rq",
    "dynamath",
    "hrbench_4k",
    "hrbench_8k",
    "logicvista",
    "mathverse",
    "mathvista",
    "mme_realworld",
    "seed2plus",
    "treebench",
    "vstar",
    "wemath",
)
"""The evaluation sets of the paper, by the names of `metis-gym list benchmarks`."""


def stages_of(options: Options) -> list[Stage]:
    """The stages after reading, in order.

    Raises:
        ConfigError: An option is not valid.
    """
    images = ImagesStage(max_pixels=options.max_pixels)
    against = [DecontaminateStage(options.against)] if options.against else []
    judge = Judge(options.judge) if options.judge else None
    if options.kind == "rl":
        asked: list[Stage] = [] if judge is None else [AnswerableStage(judge)]
        return [
            images,
            GoldsStage(),
            DuplicatesStage(),
            *against,
            AmbiguousStage(options.grader),
            *asked,
            *_pass_rate(options),
        ]
    return [
        images,
        StructureStage(),
        AnswerStage(options.check_answers, options.grader),
        *_execute(options),
        *_direct(options),
        *([] if judge is None else [JudgeStage(judge)]),
        DuplicatesStage(),
        *against,
        WriteStage(options.dialect),
    ]


def _execute(options: Options) -> list[Stage]:
    if not options.execute:
        return []
    return [
        ExecuteStage(sandbox=options.sandbox, seconds=options.seconds, missing=options.missing, repair=options.repair)
    ]


def _direct(options: Options) -> list[Stage]:
    if not options.agent:
        return []
    player = Player(options.agent, (), options.agent_dialect, options.grader, options.sandbox)
    return [DirectStage(player, options.direct, options.rollouts, options.direct_applies)]


def _pass_rate(options: Options) -> list[Stage]:
    if not options.agent:
        return []
    player = Player(options.agent, options.tools or None, options.agent_dialect, options.grader, options.sandbox)
    stage = PassRateStage(
        player=player,
        rollouts=options.rollouts,
        retry_never=options.retry_never,
        direct_rollouts=options.direct_rollouts,
        min_rate=options.rate[0],
        max_rate=options.rate[1],
        drop_suspect=options.drop_suspect,
    )
    return [stage]


def not_checked(options: Options) -> list[str]:
    """What nobody looked at, in sentences for the report."""
    found = []
    if options.kind == "sft" and not options.execute:
        found.append("Code was not run again (`--no-execute`).")
    if not options.agent:
        asked = "the base model answers without tools" if options.kind == "sft" else "the policy solves sometimes"
        found.append(f"What {asked}: give an `--agent`.")
    if not options.judge:
        found.append("What a judge says: give a `--judge`.")
    compared = {spec.partition(":")[0] for spec in options.against}
    missing = [name for name in BENCHMARKS if name not in compared]
    if missing:
        found.append(f"Benchmarks that no sample was compared with: {', '.join(missing)} (`--against`).")
    return found
