"""An agent: `metis-gym eval --agent guesser`."""

from typing import Any

import numpy as np


class Guesser:
    """Answers at once with a random option."""

    name = "guesser"

    def __init__(self, options: int = 4) -> None:
        self.options = options

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode."""
        self.rng = rng

    def act(self, observation: Any, info: dict[str, Any]) -> dict[str, str]:
        """Guess."""
        return {"answer": "ABCDEFGH"[self.rng.integers(self.options)]}
