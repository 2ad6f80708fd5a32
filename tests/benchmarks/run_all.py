"""Run every benchmark here: `make bench`. Each file prints its own table and compares in one and the same run."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run them one after the other; the exit code is 1 if one failed."""
    failed = []
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n## {path.stem.removeprefix('bench_')}\n", flush=True)
        if subprocess.run([sys.executable, str(path)], check=False).returncode:
            failed.append(path.name)
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
