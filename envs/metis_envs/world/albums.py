"""The images that a task about a landmark brings for image search."""

import numpy as np

from metis_envs.world.landmarks import draw_landmark
from metis_envs.world.names import choose
from metis_envs.world.things import Thing, draw_thing
from metis_gym.records import TitledImage

__all__ = ["images_of_task"]

_LOOKS = 1 << 32
_SITES = ("gallery", "postcards", "albums")


def images_of_task(
    rng: np.random.Generator, thing: Thing, look: int, *, width: int = 192, height: int = 144, others: int = 1
) -> tuple[TitledImage, ...]:
    """A thing's image with its name and town as title, in the midst of others of its kind.

    Args:
        rng: Draws the others and the order.
        thing: What the task's own image shows.
        look: Seed of the stream that the task's own image is drawn with:
            `draw_landmark(np.random.default_rng(look), thing.kind, …)`.
        width: Pixels; with the height, of the same proportions as the task's own image.
        height: Pixels.
        others: Images of other things of the same kind.
    """
    shown = [(thing, look)]
    for _ in range(others):
        other = draw_thing(rng, owner="corpus", kind=thing.kind)
        shown.append((other, int(rng.random() * _LOOKS)))
    album = [
        TitledImage(
            title=f"{entry.name}, {entry.town}",
            image=draw_landmark(np.random.default_rng(seed), entry.kind, width, height),
            link=f"https://{choose(rng, _SITES)}.example/{entry.full_name.casefold().replace(' ', '-')}",
        )
        for entry, seed in shown
    ]
    return tuple(album.pop(int(rng.random() * len(album))) for _ in range(len(album)))
