"""What a second channel costs: one update with two channels against one with one, same episodes, same forward pass.

The two are measured in turn, in random order, in the same process and on one thread; the ratio is the median over
pairs. It is CPU time, so that others on the machine matter little. Prints one line.
"""

import statistics
import sys
import time

import numpy as np
import torch
from torch import nn

from metis_agents.rl import Rollout, TokenLogprobs, Trainer, TrainerConfig
from metis_gym.records import Outcome

TASKS, GROUP_SIZE, TOKENS, VOCABULARY, WIDTH = 4, 8, 96, 512, 128
PAIRS = 40


class SmallTransformer(nn.Module):
    """Two layers, next-token: small for a language model, large enough that its forward pass is what costs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.causal = nn.Transformer.generate_square_subsequent_mask(TOKENS)

    def logprobs(self, rollouts):
        ids_BT = torch.stack([rollout.payload for rollout in rollouts])
        hidden = self.body(self.embed(ids_BT), mask=self.causal, is_causal=True)
        everything = torch.log_softmax(self.head(hidden).roll(1, 1), -1)
        logprobs_BT = everything.gather(-1, ids_BT.unsqueeze(-1)).squeeze(-1)
        return TokenLogprobs(logprobs_BT, torch.ones_like(ids_BT, dtype=torch.bool))


def episodes():
    """Groups in which both channels have a signal, so that one channel needs the same forward passes as two."""
    random = np.random.default_rng(0)
    groups = []
    for task in range(TASKS):
        group = []
        for member in range(GROUP_SIZE):
            outcome = Outcome(
                task_id=f"{task}",
                answer_score=float(member % 2),
                format_score=1.0,
                tool_calls=int(random.integers(0, 5)),
            )
            ids = torch.from_numpy(random.integers(0, VOCABULARY, TOKENS))
            group.append(Rollout(outcome=outcome, model_tokens=TOKENS, payload=ids))
        groups.append(group)
    return groups


def measure(pairs=PAIRS):
    """The ratios two channels / one channel, one for each pair of updates."""
    torch.set_num_threads(1)
    groups, policy = episodes(), SmallTransformer()
    config = TrainerConfig(tasks=TASKS, group_size=GROUP_SIZE, minibatches=1, lr=1e-12)
    trainers = {name: Trainer(policy, None, f"hdpo:w_tool={name}", config) for name in ("0", "0.15")}

    def seconds(name):
        started = time.process_time()
        assert trainers[name].learn(groups).updates[0].episodes == TASKS * GROUP_SIZE
        return time.process_time() - started

    for name in ("0", "0.15") * 3:
        seconds(name)
    random, ratios = np.random.default_rng(1), []
    for _ in range(pairs):
        order = ["0", "0.15"] if random.random() < 0.5 else ["0.15", "0"]
        taken = {name: seconds(name) for name in order}
        ratios.append(taken["0.15"] / taken["0"])
    return ratios


def main():
    """Print the ratio."""
    ratios = measure()
    low, _, high = statistics.quantiles(ratios, n=4)
    sys.stdout.write(
        f"hdpo: an update with two channels takes {statistics.median(ratios):.4f} times one with one "
        f"(median of {len(ratios)} pairs, quartiles {low:.4f} to {high:.4f}; wanted: at most 1.02)\n"
    )


if __name__ == "__main__":
    main()
