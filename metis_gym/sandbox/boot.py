"""The first lines of a process that has no files of this project, passed to a bare Python as text.

The modules come over standard input as source: a zygote may run as a user, in a mount namespace or in a container
that cannot see any.
"""

import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


class FromText:
    """Finds and loads the modules that were sent.

    Args:
        sources: Source text by module name.
    """

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources
        self._packages = {name.rpartition(".")[0] for name in sources}

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """What the import system asks of a finder."""
        if name not in self._sources:
            return None
        place = f"<sandbox>/{name.replace('.', '/')}.py"
        within: list[str] | None = [] if name in self._packages else None
        return importlib.util.spec_from_file_location(
            name,
            place,
            loader=self,  # type: ignore[arg-type]
            submodule_search_locations=within,
        )

    def create_module(self, _spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the import system."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's source, and forget it."""
        code = compile(self._sources.pop(module.__name__), str(module.__file__), "exec")
        exec(code, module.__dict__)


def main() -> None:
    """Read what was sent, and call it."""
    length = int.from_bytes(sys.stdin.buffer.read(8), "little")
    sent = json.loads(sys.stdin.buffer.read(length))
    sys.meta_path.insert(0, FromText(sent["sources"]))
    module, _, function = sent["entry"].partition(":")
    getattr(importlib.import_module(module), function)(*sent["arguments"])


if __name__ == "__main__":
    main()
