"""What the ranks of a run share: two strategies behind one interface, so that nothing else asks which one it is.

| strategy | `parallel` | each rank holds | ranks share |
|---|---|---|---|
| `Replicated` | ddp | the whole model, which learns and plays | gradients |
| `Sharded` | fsdp | a part of the weights that learn, and a whole copy that plays | weights and gradients |
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from metis_agents.qwen3vl.chat.tokens import Tokens
from metis_agents.qwen3vl.model.features import FeatureStore
from metis_agents.qwen3vl.model.models import Equipment, ModelConfig
from metis_agents.qwen3vl.model.network import Network
from metis_agents.qwen3vl.model.sharding import (
    ShardedPolicy,
    ShardedRanks,
    playing_copy,
    read_sharded,
    shard,
    take_up_weights,
    write_sharded,
)
from metis_agents.qwen3vl.train.checkpoints import Checkpoints
from metis_agents.qwen3vl.train.policy import Qwen3VLPolicy
from metis_agents.rl import Ranks, Trainer
from metis_gym.errors import ConfigError

__all__ = ["Acting", "Replicated", "Sharded", "Strategy", "make_strategy"]


@dataclass(frozen=True, eq=False)
class Acting:
    """The model that plays.

    Attributes:
        model: Its weights, whole on every rank.
        network: The model with what goes with it.
        features: Features of images, kept.
        take_up: Brings the weights that learn into it; None where it is the model that learns.
    """

    model: Any
    network: Network
    features: FeatureStore
    take_up: Callable[[], None] | None = None


class Strategy(Protocol):
    """How the ranks of a run share its model."""

    @property
    def ranks(self) -> Ranks:
        """The processes that train together."""

    def spread(self, equipment: Equipment, config: ModelConfig) -> Acting:
        """Spread the weights that learn over the ranks; what plays is whole everywhere."""

    def sft(self, equipment: Equipment, config: ModelConfig, learn: Callable[[Ranks], None]) -> Any:
        """Let `learn` train the equipment's model, given the ranks that take part; the model afterwards, whole."""

    def policy(self, equipment: Equipment, **options: Any) -> Qwen3VLPolicy:
        """Build the policy that learns, on this rank."""

    def save(self, checkpoints: Checkpoints, trainer: Trainer[Tokens], equipment: Equipment) -> None:
        """Write a checkpoint. Every rank must call it."""

    def load(self, checkpoints: Checkpoints, trainer: Trainer[Tokens], equipment: Equipment) -> None:
        """Take up the latest checkpoint. Every rank must call it."""


@dataclass(frozen=True)
class Replicated:
    """Every rank holds the whole model; gradients are summed.

    Attributes:
        ranks: The ranks.
    """

    ranks: Ranks

    def spread(self, equipment: Equipment, config: ModelConfig) -> Acting:  # noqa: ARG002 — the interface's
        """Nothing is spread: the model that learns plays, too."""
        return Acting(equipment.model, equipment.network, equipment.features)

    def sft(self, equipment: Equipment, config: ModelConfig, learn: Callable[[Ranks], None]) -> Any:  # noqa: ARG002
        """Train in place; LoRA is merged into the weights afterwards."""
        learn(Ranks())
        return equipment.model if equipment.adapter is None else equipment.adapter.merge_and_unload()

    def policy(self, equipment: Equipment, **options: Any) -> Qwen3VLPolicy:
        """A policy whose forward passes are each rank's own."""
        return Qwen3VLPolicy(equipment.scorer, adapter=equipment.adapter, **options)

    def save(self, checkpoints: Checkpoints, trainer: Trainer[Tokens], equipment: Equipment) -> None:  # noqa: ARG002
        """The first rank writes; the others wait for it."""
        if self.ranks.rank == 0:
            checkpoints.write(trainer.batches_done, trainer.state_dict())
        self.ranks.gather(None)

    def load(self, checkpoints: Checkpoints, trainer: Trainer[Tokens], equipment: Equipment) -> None:  # noqa: ARG002
        """Every rank reads the same state."""
        trainer.load_state_dict(checkpoints.read())


@dataclass(frozen=True)
class Sharded:
    """Weights, gradients and optimiser states are spread over the ranks by FSDP2.

    Attributes:
        ranks: The ranks.
    """

    ranks: Ranks

    def spread(self, equipment: Equipment, config: ModelConfig) -> Acting:
        """Shard the weights that learn, and keep a whole copy that plays."""
        whole = playing_copy(equipment.model)
        shard(equipment.scorer, compute=config.compute_dtype)
        learning = equipment.network
        network = Network(whole, learning.encoder, learning.vocabulary, temperature=learning.temperature)
        features = FeatureStore(network, is_frozen=not config.train_vision)
        return Acting(whole, network, features, take_up=lambda: take_up_weights(equipment.model, whole))

    def sft(self, equipment: Equipment, config: ModelConfig, learn: Callable[[Ranks], None]) -> Any:
        """Shard the weights while they learn. LoRA is small, and is trained as if nothing were sharded."""
        if equipment.adapter is not None:
            return Replicated(self.ranks).sft(equipment, config, learn)
        whole = playing_copy(equipment.model)
        shard(equipment.scorer, compute=config.compute_dtype)
        learn(self.ranks)
        take_up_weights(equipment.model, whole)
        return whole

    def policy(self, equipment: Equipment, **options: Any) -> Qwen3VLPolicy:
        """A policy whose forward passes are collective."""
        return ShardedPolicy(equipment.scorer, self.ranks, adapter=equipment.adapter, **options)

    def save(self, checkpoints: Checkpoints, trainer: Trainer[Tokens], equipment: Equipment) -> None:
        """Each rank adds its shards."""
        write_sharded(checkpoints, trainer, equipment.scorer, self.ranks)

    def load(self, checkpoints: Checkpoints, trainer: Trainer[Tokens], equipment: Equipment) -> None:
        """Each rank reads its shards; the number of ranks may be another one."""
        read_sharded(checkpoints, trainer, equipment.scorer)


def make_strategy(parallel: str, ranks: Ranks | None = None) -> Strategy:
    """The strategy of a name.

    Args:
        parallel: "ddp" or "fsdp".
        ranks: The ranks; by default those of torch.distributed's default group.

    Raises:
        ConfigError: Weights are to be spread over a single rank.
    """
    if parallel != "fsdp":
        return Replicated(ranks or Ranks())
    ranks = ranks or ShardedRanks()
    if ranks.size == 1:
        raise ConfigError("Expect several ranks with parallel='fsdp', started by torchrun; actually: one")
    return Sharded(ranks)
