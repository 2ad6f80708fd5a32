"""Engines that work on files of this machine."""
