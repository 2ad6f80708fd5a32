"""What is asked about things, in several wordings; the last ones are for the test split (`families.wordings`)."""

from collections.abc import Mapping

from metis_envs.world.kinds import Attribute

__all__ = ["NAME_WORDINGS", "wordings_about"]

NAME_WORDINGS = (
    "What is the name of {thing}?",
    "What is {thing} called?",
    "Which name does {thing} have?",
    "How is {thing} known?",
    "By what name does one find {thing} in a guide?",
    "Under which name is {thing} listed?",
)
"""For the name of a thing, with `{thing}`."""

_WORDINGS: Mapping[str, tuple[str, ...]] = {
    "year": (
        "In which year was {thing} completed?",
        "When was {thing} finished?",
        "In what year did work on {thing} end?",
        "What year was {thing} completed in?",
        "Since which year has {thing} been complete?",
        "Which year did the builders finish {thing} in?",
    ),
    "architect": (
        "Who designed {thing}?",
        "Who was the architect of {thing}?",
        "Who drew the plans of {thing}?",
        "By whom was {thing} designed?",
        "What is the name of the person who designed {thing}?",
        "Whose design is {thing}?",
    ),
    "material": (
        "What is {thing} mainly built of?",
        "What is the main material of {thing}?",
        "Which material was used for almost all of {thing}?",
        "Of what is most of {thing} built?",
        "What did the builders mostly use for {thing}?",
        "Which material is {thing} for the most part made of?",
    ),
    "visitors": (
        "How many visitors does {thing} have in a year?",
        "How many people visit {thing} each year?",
        "What is the yearly number of visitors of {thing}?",
        "By how many people is {thing} visited in a year?",
        "How many visitors are counted at {thing} in one year?",
        "In a year, how many people come to see {thing}?",
    ),
}
_MEASURES = (
    "How {ask} is {{thing}}, in metres?",
    "What is the {word} of {{thing}}, in metres?",
    "In metres, how {ask} is {{thing}}?",
    "Which {word} does {{thing}} have, in metres?",
    "How many metres {ask} is {{thing}}?",
    "What {word} in metres was measured at {{thing}}?",
)
_COUNTS = (
    "How many {unit} does {{thing}} have?",
    "What is the number of {unit} of {{thing}}?",
    "How many {unit} are there in all at {{thing}}?",
    "How many {unit} would one count at {{thing}}?",
    "Of how many {unit} can {{thing}} boast?",
    "What number of {unit} has {{thing}}?",
)


def wordings_about(attribute: Attribute) -> tuple[str, ...]:
    """The wordings of a question about an attribute, with `{thing}`.

    >>> from metis_envs.world import KINDS
    >>> wordings_about(KINDS["tower"].attribute("bells"))[1]
    'What is the number of bells of {thing}?'
    """
    if attribute.name in _WORDINGS:
        return _WORDINGS[attribute.name]
    if attribute.unit == "metres":
        ask = attribute.question.removeprefix("How ").partition(" is ")[0]
        return tuple(wording.format(ask=ask, word=attribute.name) for wording in _MEASURES)
    return tuple(wording.format(unit=attribute.unit) for wording in _COUNTS)
