"""metis-gym: Gymnasium environments and agents for learning when to use a tool, and when not to.

Importing registers the environment ids; `gymnasium.make("metis_gym:MetisVQA-v0")` needs no import.
"""

from metis_gym.records import Episode, Necessity, Outcome, Task
from metis_gym.registration import ENV_IDS, register_all
from metis_gym.vector import make_vec

__all__ = ["ENV_IDS", "Episode", "Necessity", "Outcome", "Task", "__version__", "make_vec"]

__version__ = "0.1.0"

register_all()
