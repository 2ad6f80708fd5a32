"""Where model-written Python runs: isolated, not filtered."""
