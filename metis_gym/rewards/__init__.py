"""Reward designs: groups of outcomes → advantage channels."""
