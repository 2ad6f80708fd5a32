"""Grading: answers → graded answers."""

from metis_gym.grading.cascade import CascadeGrader, Grade, Grader, GradingStep
from metis_gym.grading.noise import GraderNoise, Visit

__all__ = ["CascadeGrader", "Grade", "Grader", "GraderNoise", "GradingStep", "Visit"]
