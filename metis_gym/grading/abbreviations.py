"""Words that are written short or in full: Halden St. is Halden Street, St. Ann is Saint Ann.

A short form is read where only one word can be meant: kinds of street behind their name, titles in front of one.
"""

import functools

__all__ = ["written_out"]

_BEHIND = dict(
    pair.split("=")
    for pair in (
        "st=street rd=road ave=avenue av=avenue blvd=boulevard ln=lane dr=drive sq=square pl=place ct=court "
        "hwy=highway pkwy=parkway ter=terrace cres=crescent"
    ).split()
)
_IN_FRONT = {"st": "saint", "mt": "mount", "dr": "doctor", "mr": "mister", "prof": "professor"}
_MAX_WORDS = 12


@functools.lru_cache(maxsize=4096)
def written_out(text: str) -> str:
    """A normalised text with its short words in full.

    >>> written_out("halden st"), written_out("12 halden st., harrow"), written_out("st. ann"), written_out("5 ct")
    ('halden street', '12 halden street, harrow', 'saint ann', '5 ct')
    """
    words = text.split()
    if not 2 <= len(words) <= _MAX_WORDS:
        return text
    first, *others = words
    out = [_IN_FRONT.get(first.rstrip("."), first)]
    for place, word in enumerate(others, 1):
        is_behind_a_name = len(words[place - 1]) > 1 and any(map(str.isalpha, words[place - 1]))
        bare = word.rstrip(".,")
        ends = place == len(words) - 1 or word.endswith(",")
        out.append(_BEHIND[bare] + "," * word.endswith(",") if is_behind_a_name and ends and bare in _BEHIND else word)
    return " ".join(out)
