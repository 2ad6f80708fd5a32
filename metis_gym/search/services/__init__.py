"""Engines that ask a service over HTTP, and what is kept of its answers."""
