"""Drawing tokens, and what is left when everybody has ended."""

import numpy as np
import pytest
import torch
from qwen_toys import BUDGET, jobs, player
from torch.utils._python_dispatch import TorchDispatchMode

from metis_agents.qwen3vl.chat.tokens import head
from metis_agents.qwen3vl.model.cache import CacheSlab, SlabView
from metis_agents.qwen3vl.rollouts import transformers_engine
from metis_agents.qwen3vl.rollouts.engine import TurnRequest
from metis_agents.qwen3vl.rollouts.sampling import sample, truncated
from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine
from metis_agents.qwen3vl.train.config import RunConfig
from metis_agents.rl import LossConfig, TrainerConfig
from metis_gym.errors import ConfigError


def by_blocks(probabilities, dim):
    """A sum in blocks, as a GPU makes it: what stands before a block is added up in another order."""
    assert dim == -1
    blocks = probabilities.split(8, dim)
    before = torch.stack([block.flip(dim).sum(dim) for block in blocks], dim)
    inside = [_running(block) for block in blocks]
    totals = [before[..., :number].flip(dim).sum(dim, keepdim=True) for number in range(len(blocks))]
    return torch.cat([part + total for part, total in zip(inside, totals, strict=True)], dim)


def _running(block):
    sums = [block[..., : end + 1].flip(-1).sum(-1) for end in range(block.shape[-1])]
    return torch.stack(sums, -1)


def test_a_token_of_probability_0_is_never_drawn(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    logits_BV = torch.randn(64, 200, generator=generator)
    is_forbidden_BV = torch.rand(64, 200, generator=generator) < 0.5
    is_forbidden_BV[:, :9] = True
    is_forbidden_BV[:, -9:] = True
    logits_BV = logits_BV.masked_fill(is_forbidden_BV, float("-inf"))
    cumulated_BV = by_blocks(torch.log_softmax(logits_BV, -1).exp(), dim=-1)
    monkeypatch.setattr(torch.Tensor, "cumsum", by_blocks)
    is_greedy_B = torch.zeros(64, dtype=torch.bool)
    # Each boundary between two tokens, and the numbers on both sides of it.
    for place in range(200):
        boundary_B = cumulated_BV[:, place] / cumulated_BV[:, -1]
        for ulps in (-2e-7, -6e-8, 0.0, 6e-8, 2e-7):
            ids_B, logprobs_B = sample(logits_BV, (boundary_B + ulps).clamp(0, 1), is_greedy_B)
            assert torch.isfinite(logprobs_B).all()
            assert not is_forbidden_BV.gather(-1, ids_B[:, None]).any()


def test_what_is_drawn_instead_is_the_neighbour():
    logits_BV = torch.tensor([[0.0, float("-inf"), 0.0], [float("-inf"), 0.0, 0.0]])
    ids_B, _ = sample(logits_BV, torch.tensor([0.0, 0.0]), torch.zeros(2, dtype=torch.bool))
    assert ids_B.tolist() == [0, 1]


def test_keys_and_values_are_gone_when_the_last_episode_is_over(kit):
    engine = TransformersEngine(kit.network, features=kit.features)
    most = []
    original = engine.step
    engine.step = lambda: (original(), most.append(engine.cache_bytes))[0]
    acting = player(kit, engine, budget=BUDGET)
    first = acting.play(jobs())
    assert max(most) > 0
    assert engine.cache_bytes == 0
    again = acting.play(jobs())
    acting.close()
    assert [one.payload.ids_T.tolist() for one in first] == [one.payload.ids_T.tolist() for one in again]


def watched(engine):
    """The most bytes of keys and values that the engine held after any step."""
    most = []
    original = engine.step
    engine.step = lambda: (original(), most.append(engine.cache_bytes))[0]
    return most


@pytest.mark.parametrize("conversations_that_fit", [1, 2.5, 5])
def test_keys_and_values_stay_within_their_budget_and_change_nothing(kit, conversations_that_fit):
    """Twelve episodes over turns, with returned images: where they do not fit, they wait, or are encoded again."""
    plain = TransformersEngine(kit.network, features=kit.features)
    whole, played = watched(plain), []
    longest = plain._slab.bytes_of(1, BUDGET.prompt + BUDGET.response)
    budget = int(conversations_that_fit * longest)
    engine = TransformersEngine(kit.network, features=kit.features, cache_bytes=budget)
    held = watched(engine)
    for one in (plain, engine):
        acting = player(kit, one, overlap=False)
        played.append(acting.play(jobs(tasks=3, group_size=4)))
        acting.close()
    assert max(held) <= budget < max(whole)
    for one, other in zip(*played, strict=True):
        assert one.payload.ids_T.tolist() == other.payload.ids_T.tolist()
        np.testing.assert_allclose(one.payload.logprobs_T, other.payload.logprobs_T, rtol=0, atol=2e-5)


def test_turns_that_outgrow_the_budget_together_are_interrupted_and_go_on(kit, conversations, monkeypatch):
    monkeypatch.setattr(transformers_engine, "_HEADROOM", 0)
    prompts = [head(tokens, tokens.prompt_length) for tokens in conversations]
    asked = [TurnRequest(episode=i, tokens=prompt, max_tokens=300, seed=i) for i, prompt in enumerate(prompts)]
    engines = [TransformersEngine(kit.network, features=kit.features) for _ in range(2)]
    per_row = engines[0]._slab.bytes_of(1, 1)  # a block
    engines[1]._given_bytes = 7 * per_row
    said, interrupted = [], 0
    for engine in engines:
        engine.submit(asked)
        turns = {}
        while not engine.is_idle:
            turns |= {turn.episode: turn for turn in engine.step()}
            interrupted += sum(bool(turn.ids) for turn in engine._waiting)
            assert engine is engines[0] or engine.cache_bytes <= 7 * per_row
        said.append(turns)
    assert interrupted > 0
    assert {i: turn.ids for i, turn in said[0].items()} == {i: turn.ids for i, turn in said[1].items()}


def test_a_conversation_larger_than_the_budget_is_written_all_the_same(kit):
    engine = TransformersEngine(kit.network, features=kit.features, cache_bytes=1)
    acting = player(kit, engine)
    assert all(rollout.outcome.scored for rollout in acting.play(jobs(tasks=1, group_size=2)))
    acting.close()


class Largest(TorchDispatchMode):
    """The largest tensor that anything makes."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            known = {arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, torch.Tensor)}
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in known:
                self.numbers = max(self.numbers, one.numel())
        return made


def test_no_token_copies_the_keys_that_heads_share(kit, conversations):
    """A step makes nothing as large as the keys of one layer for all heads; rows of one length need no mask."""
    engine = TransformersEngine(kit.network, features=kit.features)
    prompt = head(conversations[0], conversations[0].prompt_length)
    rows = 64
    engine.submit([TurnRequest(episode=i, tokens=prompt, max_tokens=4, seed=i) for i in range(rows)])
    engine.step()
    text = kit.model.config.text_config
    shared = rows * len(prompt) * text.num_key_value_heads * text.head_dim
    with Largest() as largest:
        engine.step()
    assert text.num_attention_heads == 2 * text.num_key_value_heads
    assert 0 < largest.numbers <= 1.1 * shared


@pytest.mark.parametrize("lengths", [(3, 3, 3), (3, 5, 2)])
def test_a_mask_is_made_only_where_rows_keep_different_lengths(lengths):
    slab = CacheSlab(1, 1, 2, torch.float32, torch.device("cpu"))
    slab.reserve(3, 8)
    slab.lengths = list(lengths)
    assert (SlabView(slab, 0, [1, 1, 1]).may_attend() is None) == (len(set(lengths)) == 1)


def test_the_likeliest_tokens_alone_are_drawn():
    probabilities = torch.tensor([[0.4, 0.1, 0.3, 0.2]]).expand(1_000, -1)
    uniforms_B = (torch.arange(1_000) + 0.5) / 1_000
    is_greedy_B = torch.zeros(1_000, dtype=torch.bool)
    counts = {}
    for name, options in {
        "p": {"top_p": 0.65},
        "k": {"top_k": 3},
        "both": {"top_k": 3, "top_p": 0.4},
        "all": {},
    }.items():
        ids_B, logprobs_B = sample(truncated(probabilities.log(), **options), uniforms_B, is_greedy_B)
        counts[name] = torch.bincount(ids_B, minlength=4).tolist()
        shares = torch.tensor(counts[name]) / 1_000
        torch.testing.assert_close(logprobs_B.exp(), shares[ids_B], rtol=0, atol=2e-3)
    # .4 + .3 reach .65; of three tokens .4/.9, .3/.9, .2/.9; of these three the first alone reaches .4.
    assert counts == {
        "p": [571, 0, 429, 0],
        "k": [444, 0, 334, 222],
        "both": [1_000, 0, 0, 0],
        "all": [400, 100, 300, 200],
    }


def test_truncated_rollouts_need_an_importance_cap(tmp_path):
    for options in ({"top_p": 0.9}, {"top_k": 20}):
        with pytest.raises(ConfigError, match="Expect an importance cap"):
            RunConfig(out=tmp_path, **options)
        RunConfig(out=tmp_path, trainer=TrainerConfig(loss=LossConfig(importance_cap=2.0)), **options)
