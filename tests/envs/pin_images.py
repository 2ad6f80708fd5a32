"""Write the pinned images anew: `python tests/envs/pin_images.py`.

Run it after raising the `generation` of the families that draw differently, or after changing the pinned versions of
the packages that draw. It refuses a family that draws differently and has its old generation still.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parents[1] / folder) for folder in ("", "envs", "agents"))]


def main() -> None:
    from test_families import FAMILIES, GOLDEN, digests, family

    from metis_envs.families.versions import versions_fingerprint

    old, versions = json.loads(GOLDEN.read_text()), versions_fingerprint(1)
    pinned = {name: {"generation": family(name).generation, "digests": digests(name)} for name in FAMILIES}
    for name, new in pinned.items():
        before = old["families"].get(name, new) if old["versions"] == versions else new
        if before["digests"] != new["digests"] and before["generation"] >= new["generation"]:
            sys.exit(
                f"{name} draws differently: raise its generation, which is {new['generation']}, then run this again"
            )
    GOLDEN.write_text(json.dumps({"versions": versions, "families": pinned}, indent=2) + "\n")


if __name__ == "__main__":
    main()
