"""Wordings: several ways to ask the same, of which the last ones are kept for the test split.

Which one a task has comes from a stream of its own (`Brief.words`), so that words tell nothing about the scene.
"""

from collections.abc import Sequence

from metis_envs.families.blueprint import Brief

__all__ = ["TEST_ONLY", "choose_wording", "wordings_of"]

TEST_ONLY = 2
"""How many wordings, the last ones, no task of the train split has."""


def wordings_of(wordings: Sequence[str], split: str) -> tuple[str, ...]:
    """The wordings that tasks of a split may have.

    >>> wordings_of(("a?", "b?", "c?", "d?"), "train")
    ('a?', 'b?')
    """
    return tuple(wordings if split == "test" else wordings[:-TEST_ONLY])


def choose_wording(brief: Brief, wordings: Sequence[str], **fields: str) -> str:
    """Choose one of the wordings that the task's split may have, and fill its fields in.

    Args:
        brief: The task's.
        wordings: Five to ten; all with the same fields in braces.
        **fields: What stands in the fields.
    """
    possible = wordings_of(wordings, brief.split)
    return possible[int(brief.words.integers(len(possible)))].format(**fields)
