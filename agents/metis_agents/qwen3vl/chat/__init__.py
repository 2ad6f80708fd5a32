"""Conversations as tokens: rendering, parsing, and which tokens the model itself wrote."""
