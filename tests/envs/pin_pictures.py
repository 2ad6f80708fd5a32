"""Write the pinned pictures anew: `python tests/envs/pin_pictures.py`, after raising GENERATION or the constraints."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parents[1] / folder) for folder in ("", "envs", "agents"))]


def main() -> None:
    from test_families import FAMILIES, GOLDEN, digest

    from metis_envs.families.base import versions_fingerprint

    pinned = {"versions": versions_fingerprint(), "digests": {name: digest(name, 1) for name in FAMILIES}}
    GOLDEN.write_text(json.dumps(pinned, indent=2) + "\n")


if __name__ == "__main__":
    main()
