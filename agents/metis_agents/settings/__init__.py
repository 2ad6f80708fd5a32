"""Settings: a frozen configuration as paths and values, as JSON, and as the options of a command.

A configuration is a frozen dataclass, possibly of others. `fields` takes it apart and puts it together, `environments`
says which arguments an environment takes, and `command_line` makes the options of a command out of both. The first two
need neither torch nor tyro.
"""
