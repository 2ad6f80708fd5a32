"""Rollouts: engines that write turns, and the worker that plays episodes with them."""
