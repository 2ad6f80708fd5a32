"""Drawing tokens, and what is left when everybody has ended."""

import torch
from qwen_toys import BUDGET, jobs, player

from metis_agents.qwen3vl.rollouts.transformers_engine import TransformersEngine, sample


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
