"""A toy language model in float64, with prompts, tool output and padding, for tests of the loss and the loop."""

import torch
from torch import nn

from metis_agents.rl import Rollout, TokenLogprobs
from metis_gym.records import Outcome

VOCABULARY = 7


class ToyPolicy(nn.Module):
    """Next-token model with a little memory. Pads with garbage, on either side, as much as it is told."""

    def __init__(self, seed=0, pad=0, left=False):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embed = nn.Parameter(torch.randn(VOCABULARY, 5, generator=generator, dtype=torch.float64))
        self.head = nn.Parameter(torch.randn(5, VOCABULARY, generator=generator, dtype=torch.float64))
        self.pad, self.left, self.forwards = pad, left, []

    def logprobs(self, rollouts):
        self.forwards.append(len(rollouts))
        width = max((len(rollout.payload["ids"]) for rollout in rollouts), default=0) + self.pad
        logprobs_BT = torch.full((len(rollouts), width), -1e9, dtype=torch.float64)
        is_model_token_BT = torch.zeros((len(rollouts), width), dtype=torch.bool)
        entropy_BT = torch.full_like(logprobs_BT, 1e9)
        for row, rollout in enumerate(rollouts):
            ids, mask = torch.tensor(rollout.payload["ids"]), torch.tensor(rollout.payload["mask"])
            memory = torch.cumsum(self.embed[ids].tanh(), 0) / torch.arange(1, len(ids) + 1)[:, None]
            everything = torch.log_softmax(memory.roll(1, 0) @ self.head, -1)
            here = slice(width - len(ids), width) if self.left else slice(0, len(ids))
            logprobs_BT[row, here] = everything.gather(-1, ids[:, None])[:, 0]
            entropy_BT[row, here] = -(everything.exp() * everything).sum(-1)
            is_model_token_BT[row, here] = mask
        return TokenLogprobs(logprobs_BT, is_model_token_BT, entropy_BT, 0.9 * logprobs_BT.detach() - 0.1)


def toy_rollout(random, task_id="t", right=None, calls=None, scored=True, length=None):
    """One random episode: 1 to 9 tokens, some of them not the model's."""
    length = length or int(random.integers(1, 10))
    mask = [bool(random.random() < 0.7) for _ in range(length)]
    outcome = Outcome(
        task_id=task_id,
        answer_score=float(random.random() < 0.6) if right is None else float(right),
        format_score=1.0,
        tool_calls=int(random.integers(0, 4)) if calls is None else calls,
        tokens=sum(mask),
        scored=scored,
    )
    payload = {"ids": [int(i) for i in random.integers(0, VOCABULARY, length)], "mask": mask}
    return Rollout(outcome=outcome, model_tokens=sum(mask), length=length, payload=payload)


def toy_groups(random, tasks=4, size=6, unscored=0.15):
    """Random groups with some unscored episodes."""
    return [
        [toy_rollout(random, f"task {task}", scored=random.random() >= unscored) for _ in range(size)]
        for task in range(tasks)
    ]


class Replay:
    """A collector that gives the same groups again and again."""

    def __init__(self, groups):
        self.groups = groups

    def collect(self, tasks, group_size):
        return self.groups

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def gradient(policy):
    """All gradients in one vector; zeros where there is none."""
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in policy.parameters()]
    return torch.cat([grad.flatten() for grad in grads])
