"""Cutting a batch into pieces that fit into memory. How it is cut changes no gradient."""

from collections.abc import Sequence

__all__ = ["micro_batches"]


def micro_batches(lengths: Sequence[int], episodes: int | None = None, tokens: int | None = None) -> list[list[int]]:
    """Cut episodes into micro-batches of like length, longest first, so that the biggest comes first.

    Args:
        lengths: Tokens of every episode.
        episodes: Most episodes in one piece.
        tokens: Most tokens in one piece, padding included. An episode that is longer by itself gets its own piece.

    Returns:
        Positions of the episodes, one list for each piece.

    >>> micro_batches([5, 2, 9, 3], tokens=10)
    [[2], [0, 3], [1]]
    >>> micro_batches([5, 2, 9, 3], episodes=3)
    [[2, 0, 3], [1]]
    """
    pieces: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        piece = pieces[-1] if pieces else None
        if piece is not None and _fits(len(piece) + 1, lengths[piece[0]], episodes, tokens):
            piece.append(index)
        else:
            pieces.append([index])
    return pieces


def _fits(count: int, longest: int, episodes: int | None, tokens: int | None) -> bool:
    return (episodes is None or count <= episodes) and (tokens is None or count * longest <= tokens)
