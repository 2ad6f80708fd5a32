"""Former names of public things: they still work, and say what they are called now."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["former_names"]


def former_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a module's `__getattr__`, under which its former names go on working.

    ```python
    __getattr__ = former_names(__name__, {"PictureArray": "ImageArray"})
    ```

    Args:
        module: The module's name.
        names: Former name → the name in the same module.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {module}.{names[name]}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(module), names[name])

    return find
