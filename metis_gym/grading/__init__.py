"""Grading: answers → graded answers."""

from metis_gym.grading.cascade import CascadeGrader, Grade, Grader, GradingStep
from metis_gym.grading.contract import SimpleGrader, checked_grade, grader_problems
from metis_gym.grading.noise import GraderNoise, Visit
from metis_gym.registries import Registry

__all__ = [
    "GRADERS",
    "CascadeGrader",
    "Grade",
    "Grader",
    "GraderNoise",
    "GradingStep",
    "SimpleGrader",
    "Visit",
    "checked_grade",
]

GRADERS: Registry[Grader] = Registry(
    "grader",
    {
        "cascade": "metis_gym.grading.cascade:CascadeGrader",
        "judge": "metis_gym.grading.judge:JudgeGrader",
        "rules": "metis_gym.grading.cascade:CascadeGrader",
    },
    group="graders",
    problems=grader_problems,
)
"""Graders by name ("rules" is another name of "cascade"); add one with `@GRADERS.register("name")`."""
