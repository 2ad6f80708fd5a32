"""An invented world to search: things with names, facts that are drawn, pages about them, and images of them.

Everything here is made up and says so by its links, which end in `.example`. The default corpus is written out of it,
beside real text; families draw *fresh* things with the same words, so that what they ask about looks like what the
corpus is full of, and stands in the task's overlay only:

```python
thing = draw_thing(rng, owner="train")  # never a thing of the corpus or of the other split
fact = draw_fact(rng, thing)  # .question, .value, .attribute
task = Task(..., question=fact.question, passages=pages_of_task(rng, thing, fact.attribute))
```
For a task whose answer is drawn last, `draw_values` gives the alternatives and `thing.with_fact` the thing of each.
`passages` then hold the page that answers, a near-copy of it, an older source that contradicts it, one that only chats,
and pages about namesakes. A task whose image decides which of several things it is about brings the same pages for each
of them, `pages_of_candidates`.

A landmark that is to be recognised is drawn twice, large for the question and small for the overlay:

```python
look = int(rng.integers(1 << 32))
source = draw_landmark(np.random.default_rng(look), thing.kind, 2048, 1536)
task = Task(..., images=(…source…), titled_images=images_of_task(rng, thing, look))  # the same proportions, 4 to 3
```
Image search then finds `thing.name` and its town as the first title; a second hop by text search finds its facts.
"""

from metis_envs.world.albums import images_of_task
from metis_envs.world.kinds import KINDS, Attribute, Kind
from metis_envs.world.landmarks import draw_landmark
from metis_envs.world.sources import pages_of_candidates, pages_of_task
from metis_envs.world.things import OWNERS, Fact, Thing, draw_fact, draw_thing, draw_values

__all__ = [
    "KINDS",
    "OWNERS",
    "Attribute",
    "Fact",
    "Kind",
    "Thing",
    "draw_fact",
    "draw_landmark",
    "draw_thing",
    "draw_values",
    "images_of_task",
    "pages_of_candidates",
    "pages_of_task",
]
