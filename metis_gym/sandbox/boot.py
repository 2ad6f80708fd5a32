"""The first lines of a zygote's life, passed to a bare Python as text.

The modules of `inside` come over standard input as source, so that a zygote needs no file of this project: it may run
as a user, in a mount namespace or in a container that cannot see any.
"""

import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

_sent = json.load(sys.stdin)
_sources: dict[str, str] = _sent["sources"]


class _FromText:
    """Finds and loads the modules that were sent."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if name not in _sources:
            return None
        place = f"<sandbox>/{name.replace('.', '/')}.py"
        within: list[str] | None = [] if "." not in name else None
        loader = _FromText()
        return importlib.util.spec_from_file_location(
            name,
            place,
            loader=loader,  # type: ignore[arg-type]
            submodule_search_locations=within,
        )

    @staticmethod
    def create_module(_spec: ModuleSpec) -> ModuleType | None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        code = compile(_sources.pop(module.__name__), str(module.__file__), "exec")
        exec(code, module.__dict__)


if __name__ == "__main__":
    sys.meta_path.insert(0, _FromText)
    main = importlib.import_module("inside.zygote").main
    main(int(sys.argv[1]), int(sys.argv[2]), _sent["spec"])
