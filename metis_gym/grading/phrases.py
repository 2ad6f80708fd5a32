"""What an answer says, apart from how it says it: "The answer is 5.", "line S", "to the left" → 5, S, left.

Words are left out only where they say nothing: announcements, prepositions and articles in front, and *carriers*, the
nouns that the question asks by ("which line …", "how many stars …", "the number of the room") or that any question of
the kind does (letter, bar, arrow, …). What hedges or negates ("5 or 6", "not 5", "It is 5. It is 6.") stays as it is.
"""

import functools
import re

from metis_gym.grading.normalise import plain

__all__ = ["listed_answers", "readings", "shared_words", "without_words"]

_ANNOUNCED = re.compile(
    r"\b(?:answer|result|solution)\s*(?:(?:is|are|was|would be|should be)\b|[:=])\s*:?\s*", re.IGNORECASE
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|equals?|be|has|have|had|costs?|reads?|shows?|says?|states?|counted|count|see|find|found|got|get|"
    r"there's|it's|that's)\s+(?:equal to\s+|exactly\s+|about\s+)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^[^\W\d_][^\W\d_]+(?:\s[^\W\d_]+){0,3}:\s+", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:not|never|neither|nor|cannot|wrong|incorrect|unlike|except|either)\b|n't\b|\bor\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?;]\s|\n")
_REASON = re.compile(r",?\s(?:because|since)\b.*$", re.IGNORECASE)
_SUBJECT = re.compile(r"^((?:\S+\s){1,3}?)(?:is|was)\s(?:the\s|at\s)?(?!.*\bthan\b)[^\d]+$", re.IGNORECASE)
_ENCLOSED = re.compile(r"\(([^()\[\],;]+)\)")
_MAX_LEAD = 200
_MAX_VERBS = 4
_PLACE = re.compile(
    r"\s(?:on|in|at|of|for|along|across|altogether|overall)(?:\s(?:the|this|that|total|all|panel|card|image|image)\b.*)?$",
    re.IGNORECASE,
)

_FILLERS = frozenset(
    "the it it's its is are was were to at in on by from so thus hence therefore about approximately approx around "
    "roughly exactly equals called named labelled labeled marked pointing points point facing".split()
)
_CARRIERS = frozenset(
    "letter line bar curve arrow sign symbol shape colour color pattern direction number value digit option label name "
    "character side word seat locker gate badge code plate".split()
)
_NUMBER_CARRIERS = frozenset("number value digit total sum result".split())
_LABELS_ONLY = frozenset("panel plot subplot column row point graph figure section angle segment".split())
_HEAD = re.compile(
    r"\b(?:which|what|whose|how many|how much)\s+(?:kind of |type of |sort of )?([^\W\d_]+)"
    r"|\b(?:number|name|colour|color|letter|value|price|shape) (?:of|on|in) (?:the |a )?([^\W\d_]+)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“([^”]{1,40})”")
_NO_HEADS = frozenset(
    "is are was were does do did can will would has have had the a an of to in on at it they he she way else and or "
    "not no more less this that these those you we i".split()
)


@functools.lru_cache(maxsize=4096)
def _carriers(question: str) -> frozenset[str]:
    heads = {word.lower() for found in _HEAD.findall(question[:4000]) for word in found if word} - _NO_HEADS
    heads |= {word.lower() for field in _QUOTED.findall(question[:4000]) for word in field.split()} - _NO_HEADS
    return frozenset(heads | {head.removesuffix("s") for head in heads if len(head) > 3})


def readings(answer: str, question: str = "") -> tuple[str, ...]:
    """What an answer may say, from the literal to the freest reading; each without formatting.

    >>> readings("The answer is **5**."), readings("to the left"), readings("line S", "Which line is lowest?")
    (('The answer is 5', '5', 'answer is 5'), ('to the left', 'left'), ('line S', 'S'))
    """
    literal = plain(answer)
    found = [literal, *_unwrapped(literal)]
    found += [number for text in found if text[:1].isdigit() and (number := _PLACE.sub("", text)) != text]
    found += [reason for text in found[:1] if (reason := _REASON.sub("", text)) != text]
    found += [subject[1].strip() for text in found if (subject := _SUBJECT.match(text)) and not _NOT.search(text)]
    found += [enclosed[1] for text in found if (enclosed := _ENCLOSED.fullmatch(text))]
    found += [bare for text in found if (bare := _bare(text, _carriers(question))) != text]
    return tuple(dict.fromkeys(text for text in found if text))


def _unwrapped(text: str) -> list[str]:
    """What is said behind an announcement or a verb, if the words before it neither hedge, negate, nor say another."""
    announced = list(_ANNOUNCED.finditer(text))
    if announced:
        rest = text[announced[0].end() :]
        is_clear = len(announced) == 1 and not _NOT.search(text[: announced[0].start()][-_MAX_LEAD:])
        return [_end(rest)] if is_clear else []
    label = _LABEL.match(text)
    found = [text[label.end() :]] if label and not _NOT.search(label.group()) else []
    for verb in list(_VERB.finditer(text[:_MAX_LEAD]))[:_MAX_VERBS]:
        lead = text[: verb.start()]
        if _NOT.search(lead) or _SENTENCE_END.search(lead):
            break
        found.append(_end(text[verb.end() :]))
    return found


def _end(text: str) -> str:
    return text.rstrip(" .;:,")


def _bare(text: str, carriers: frozenset[str]) -> str:
    """Without fillers and carriers in front, and without a carrier behind."""
    words = text.split()
    if len(words) > 12:
        return text
    first, last = 0, len(words)
    while first < last - 1 and _is_empty(words[first], " ".join(words[first + 1 :]), carriers):
        first += 1
    if last - first > 1 and words[last - 1].lower() in _CARRIERS | carriers and _may_carry(words[first : last - 1]):
        last -= 1
    return " ".join(words[first:last])


def _is_empty(word: str, rest: str, carriers: frozenset[str]) -> bool:
    word = word.lower().rstrip(":,")
    if word in _FILLERS or word in carriers:
        return True
    if rest[:1].isdigit() or rest[:1] in "-+.$":
        return word in _NUMBER_CARRIERS
    return word in _CARRIERS or (word in _LABELS_ONLY and len(rest) <= 2)


def _may_carry(words: list[str]) -> bool:
    """Not where an article alone would be left: "a line" does not say A."""
    return words[-1] not in ("a", "A", "an", "the", "The", "no", "No", "not", "I")


@functools.lru_cache(maxsize=1024)
def listed_answers(question: str) -> tuple[str, ...]:
    """The possible answers that a question itself lists at its end.

    >>> listed_answers("Which sign is it: circle, square or star?")
    ('circle', 'square', 'star')
    """
    _, colon, behind = question[-1000:].rpartition(": ")
    listed = re.split(r",\s*(?:or\s+)?|\s+or\s+", behind.rstrip(" ?.")) if colon else []
    return tuple(listed) if len(listed) > 1 and all(listed) else ()


def shared_words(alternatives: tuple[str, ...]) -> frozenset[str]:
    """Words in all of the possible answers, which tell none from another; none if there are fewer than two.

    >>> sorted(shared_words(("rising diagonal stripes", "vertical stripes")))
    ['stripes']
    """
    if len(alternatives) < 2:
        return frozenset()
    return frozenset.intersection(*(frozenset(text.casefold().split()) for text in alternatives))


def without_words(text: str, words: frozenset[str]) -> str:
    """A text without some of its words; the whole text where nothing would be left."""
    kept = [word for word in text.split() if word.casefold() not in words]
    return " ".join(kept) or text
