"""The stages: one file for each, with all its reasons."""
