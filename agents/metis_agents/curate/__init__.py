"""From public trajectories and prompts to training data: `metis-gym curate` (arXiv 2604.08545, section on data).

Two pipelines of small stages. `sft` filters trajectories: code that runs again and gives what was recorded, calls that
the answer needed. `rl` filters prompts: pass rates strictly between 0 and 1. Every verdict is kept in a ledger, so that
a run that was killed goes on where it was, and a report says what was dropped and why. docs/curation.md explains it.

It does not download data, and it never repeats a search. Nothing here imports torch.
"""
