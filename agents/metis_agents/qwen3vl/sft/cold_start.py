"""The cold start of a run: a model looks at images, if it must learn to see first, then imitates conversations."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym

from metis_agents.curate.reading import curated_conversations, is_curated
from metis_agents.progress import Progress, no_progress
from metis_agents.qwen3vl.chat.renderer import Renderer
from metis_agents.qwen3vl.model.models import Equipment, LoadedModel, equip
from metis_agents.qwen3vl.rollouts.collector import episode_seed
from metis_agents.qwen3vl.sft.demonstrations import (
    Example,
    chat_conversations,
    example,
    grounding_examples,
    recorded_conversations,
    scripted_pairs,
)
from metis_agents.qwen3vl.sft.sft import SFTConfig, fine_tune
from metis_agents.qwen3vl.train.config import ColdStartConfig, RunConfig
from metis_agents.qwen3vl.train.parallel import Strategy
from metis_agents.rl import Ranks
from metis_gym.backstage import backstage

__all__ = ["ColdStart"]

Piece = TypeVar("Piece")
Units = list[tuple[Example, ...]]


@dataclass(frozen=True)
class ColdStart:
    """What a run imitates, and how.

    Attributes:
        run: The run.
        config: The run's cold start.
        make_env: Makes an environment of the train split.
        strategy: What the run's ranks share.
        say: Told what happens, in sentences.
        progress: Shows how far it is.
    """

    run: RunConfig
    config: ColdStartConfig
    make_env: Callable[[], gym.Env[Any, Any]]
    strategy: Strategy
    say: Callable[[str], None]
    progress: Progress = no_progress

    def fine_tune(self, loaded: LoadedModel, stop: tuple[str, ...]) -> LoadedModel:
        """Imitate.

        Every weight learns, or LoRA that is merged into the weights at the end: RL's own LoRA is a new one, and the
        model without it is the one after the cold start.

        Args:
            loaded: What learns; it must not be used any more.
            stop: The dialect's stop strings.

        Returns:
            The model after the cold start, whole on every rank.
        """
        seen = dataclasses.replace(self.run.model, lora=self.config.lora, train_vision=self.config.train_vision)
        equipment = equip(loaded, seen, stop)
        stages = [("cold start", self._demonstrations(equipment.renderer), self.config.sft)]
        if self.config.grounding is not None:
            stages.insert(0, ("grounding", self._groundings(equipment.renderer), self.config.grounding))

        def learn(ranks: Ranks) -> None:
            for stage in stages:
                self._fine_tune(*stage, equipment, ranks)

        return loaded._replace(model=self.strategy.sft(equipment, self.run.model, learn))

    def _fine_tune(self, stage: str, units: Units, config: SFTConfig, equipment: Equipment, ranks: Ranks) -> None:
        self.say(f"{stage}: {len(units)} demonstrations, {config.steps} steps")

        def heard(step: int, loss: float) -> None:
            if (step + 1) % 100 == 0:
                self.say(f"{stage}: step {step + 1}, loss {loss:.4f}")
            advance(1)

        with self.progress(f"{stage}, steps", config.steps) as advance:
            fine_tune(equipment.scorer, units, config, ranks=ranks, rounding=self.run.rounding, heard=heard)

    def _groundings(self, renderer: Renderer) -> Units:
        """This rank's share of the images to be looked at."""
        env: Any = self.make_env()
        seed = episode_seed(self.run.seed, self.strategy.ranks.rank)
        count = -(-self.config.images // self.strategy.ranks.size)
        examples = grounding_examples(backstage(env).taskset, renderer, count=count, seed=seed)
        units: Units = [(one,) for one in self._shown("drawing images for grounding", count, examples)]
        env.close()
        return units

    def _demonstrations(self, renderer: Renderer) -> Units:
        """This rank's share of what is to be imitated."""
        if self.config.data:
            conversations = itertools.chain.from_iterable(map(_conversations, self.config.data))
            mine = itertools.islice(conversations, self.strategy.ranks.rank, None, self.strategy.ranks.size)
            return [(example(renderer, conversation),) for conversation in mine]
        count = self.config.demonstrations // self.strategy.ranks.size
        pairs: Iterable[tuple[Example, ...]] = scripted_pairs(
            self.make_env,
            renderer,
            self.config.habits,
            count=count,
            seed=self.run.seed * self.strategy.ranks.size + self.strategy.ranks.rank,
            workers=min(4, self.run.workers),
        )
        return list(self._shown("playing demonstrations", count, pairs))

    def _shown(self, what: str, total: int, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The same pieces, with a look at how many of them there are already."""
        with self.progress(what, total) as advance:
            for piece in pieces:
                yield piece
                advance(1)


def _conversations(path: str) -> Iterable[Any]:
    if is_curated(Path(path)):
        return curated_conversations(Path(path))
    return recorded_conversations(Path(path)) if Path(path).is_dir() else chat_conversations(Path(path))
