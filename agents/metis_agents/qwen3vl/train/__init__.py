"""A training run: its configuration, its parts, its checkpoints."""
