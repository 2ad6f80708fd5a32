"""The comparing process behind `metis_gym.grading.latex`: one JSON pair in a line, `true` or `false` back."""

import json
import sys
from collections.abc import Callable

__all__ = ["main"]


def main() -> None:
    """Answer until the input ends."""
    try:
        compare = _comparer()
    except ImportError:
        _say("missing")
        return
    _say("ready")
    for line in sys.stdin:
        answer, gold = json.loads(line)
        _say("true" if compare(answer, gold) else "false")


def _comparer() -> Callable[[str, str], bool]:
    from math_verify import LatexExtractionConfig, parse, verify

    # LaTeX only, no fallback to text; no time limits of its own: this process is killed from outside.
    config = [LatexExtractionConfig()]

    def compare(answer: str, gold: str) -> bool:
        parsed = [
            parse(text, extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
            for text in (gold, answer)
        ]
        return all(parsed) and bool(verify(parsed[0], parsed[1], timeout_seconds=None))

    return compare


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
