"""What the checks share: a rule that is kept or broken, and texts to try things with."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from metis_gym.errors import ConfigError

__all__ = ["AWKWARD_TEXTS", "BrokenContract", "Contract", "random_texts"]

T = TypeVar("T")

AWKWARD_TEXTS = ("", " ", "a", "'\"\\", "<>&{}[]", "é🦆\u200b", "\n\n", "0", "-1", "a" * 2000)
"""Texts that a program meets sooner or later."""


class BrokenContract(AssertionError):  # noqa: N818 — it reads as what it is in a test's output
    """A rule of a contract is broken. The message says which, what was found, and how to mend it."""


class Contract:
    """The rules of one thing.

    Args:
        what: The kind and the name, for messages: "the tool 'zoom'".
    """

    def __init__(self, what: str) -> None:
        self.what = what

    def rule(self, kept: bool, rule: str, found: object, mend: str) -> None:
        """A rule.

        Args:
            kept: Is it kept?
            rule: The rule, as a sentence part.
            found: What was found instead.
            mend: What to do, as a sentence.

        Raises:
            BrokenContract: It is not.
        """
        if not kept:
            raise BrokenContract(f"{self.what}: {rule}; actually: {str(found)[:400]}. {mend}".rstrip())

    @contextlib.contextmanager
    def must_work(self, rule: str, mend: str, *errors: type[Exception]) -> Iterator[None]:
        """Whatever raises one of these errors inside breaks the rule."""
        try:
            yield
        except errors as error:
            raise BrokenContract(f"{self.what}: {rule}; actually: {type(error).__name__}: {error}. {mend}") from error

    def made(self, thing: T | str, make: Callable[[str], T]) -> T:
        """A finished object from its spec, or as it is."""
        if not isinstance(thing, str):
            return thing
        with self.must_work("it can be made from its spec", "The message says what it lacks.", ConfigError):
            return make(thing)
        raise AssertionError("not reached")


def random_texts(letters: str, count: int, length: int, seed: int = 0) -> list[str]:
    """Texts of random letters, the same ones at every call."""
    rng = np.random.default_rng(seed)
    picked: Any = np.array(list(letters))
    return ["".join(rng.choice(picked, size=int(rng.integers(length)))) for _ in range(count)]
