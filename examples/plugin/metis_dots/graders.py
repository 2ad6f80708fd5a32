"""A grader: `grader="contained"`."""

import re

from metis_gym.grading import SimpleGrader
from metis_gym.records import Task


class Contained(SimpleGrader):
    """Right if the right answer stands in the answer as a word, whatever else it says."""

    def score(self, answer: str, task: Task) -> float:
        """1 or 0."""
        accepted = (task.gold.value, *task.gold.candidates)
        return float(any(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", answer) for text in accepted))
