"""The first lines of a zygote's life, passed to a bare Python as text.

The modules of `inside` come over standard input as source, so that a zygote needs no file of this project: it may run
as a user, in a mount namespace or in a container that cannot see any.
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

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """What the import system asks of a finder."""
        if name not in self._sources:
            return None
        place = f"<sandbox>/{name.replace('.', '/')}.py"
        within: list[str] | None = None if "." in name else []
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
    """Read what was sent and become a zygote."""
    sent = json.load(sys.stdin)
    sys.meta_path.insert(0, FromText(sent["sources"]))
    importlib.import_module("inside.zygote").main(int(sys.argv[1]), int(sys.argv[2]), sent["spec"])


if __name__ == "__main__":
    main()
