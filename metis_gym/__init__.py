"""metis-gym: Gymnasium environments and agents for learning when to use a tool, and when not to."""

__version__ = "0.1.0"
