"""`python -m metis_gym` is `metis-gym`; with `torchrun -m metis_gym train …` the ranks share a run."""

import sys

from metis_gym.cli import main

if __name__ == "__main__":
    sys.exit(main())
