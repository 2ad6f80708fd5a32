"""Play the tasks oneself: a page on this machine, on which a person sees what a model sees and may call its tools.

The rules stand in `Game`, which knows no socket; `page` draws it and `server` serves it to one browser of one user.
"""

from metis_gym.play.game import Game, Tally
from metis_gym.play.server import PlayServer

__all__ = ["Game", "PlayServer", "Tally"]
