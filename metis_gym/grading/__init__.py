"""Grading: answers → graded answers."""

from metis_gym.grading.cascade import CascadeGrader, Grade, Grader, GradingStep

__all__ = ["CascadeGrader", "Grade", "Grader", "GradingStep"]
