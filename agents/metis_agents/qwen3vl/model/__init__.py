"""The model: how it is loaded, what it sees, and its forward pass."""
