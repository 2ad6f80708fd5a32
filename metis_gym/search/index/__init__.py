"""Indexes: how their files are built, and how they are read."""
