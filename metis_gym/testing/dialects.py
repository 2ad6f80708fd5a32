"""The contract of dialects, checked on one that somebody wrote."""

import json
import time

from metis_gym.dialects import DIALECTS, Dialect, Limits, ParsedTurn, ToolSpec
from metis_gym.dialects.contract import IMAGE_MARK, dialect_problems
from metis_gym.records import ToolCall, ToolResult, ToolStatus
from metis_gym.testing.contract import AWKWARD_TEXTS, Contract, random_texts
from metis_gym.testing.examples import example_task

__all__ = ["check_dialect"]

_TOOL = ToolSpec(
    name="python",
    description="Runs code.",
    schema={"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
)
_LIMITS = Limits(max_turns=3, calls_per_turn=2)
_CODES = ("1", "a = 1\nprint('x')", 'print("é🦆")', "if a < b > c: pass", "")
_ANSWERS = ("B", "12", "a word", "1/2", "é")
_HOSTILE_LETTERS = '<>/_{}"[]|aenorswtlci: \n'
_RAISED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_SIZES, _SECONDS = (1_000, 4_000, 16_000, 64_000), 2.0


def check_dialect(dialect: str | Dialect, *, calls_tools: bool = True) -> None:
    """Check that a dialect keeps its contract.

    Args:
        dialect: A spec such as "my_pkg.dialects:Mine", or a dialect.
        calls_tools: False for a dialect in which no tool can be called.

    Raises:
        BrokenContract: A rule is broken; the message says which, and how to mend it.
    """
    contract = Contract(f"the dialect {dialect!r}" if isinstance(dialect, str) else f"the {type(dialect).__name__}")
    made = contract.made(dialect, DIALECTS.make)
    problems = dialect_problems(made)
    contract.rule(not problems, "it is complete", "; ".join(problems), "")
    if calls_tools:
        _check_system(contract, made)
        _check_calls(contract, made)
    _check_answers(contract, made)
    _check_any_text(contract, made)
    _check_speed(contract, made)
    _check_prompt(contract, made)
    if calls_tools:
        _check_observations(contract, made)


def _check_system(contract: Contract, made: Dialect) -> None:
    text = made.system([_TOOL], _LIMITS)
    for part in (_TOOL.name, _TOOL.description, "code", str(_LIMITS.max_turns)):
        contract.rule(
            part in text,
            f"the system turn tells of {part!r}",
            repr(text),
            "Name the tools, their arguments, the limits.",
        )


def _check_calls(contract: Contract, made: Dialect) -> None:
    for code in _CODES:
        calls = (
            ToolCall(name="python", arguments={"code": code}),
            ToolCall(name="text_search", arguments={"query": "q"}),
        )
        for asked in (calls[:1], calls):
            parsed = made.parse(made.write_calls(asked, "because"))
            contract.rule(
                tuple(parsed.calls) == asked and parsed.answer is None,
                "parse() reads back the calls that write_calls() writes",
                f"{parsed} of {asked}",
                "Several calls in a turn, quotes, line breaks and signs like < must survive.",
            )


def _check_answers(contract: Contract, made: Dialect) -> None:
    for answer in _ANSWERS:
        text = made.write_answer(answer, "because")
        read = made.parse(text)
        contract.rule(
            read.answer == answer and not read.calls,
            "parse() reads back the answer that write_answer() writes",
            f"{read} of {answer!r}",
            "The reason must not become part of the answer.",
        )
        score = made.format_score([text])
        contract.rule(score == 1.0, "what write_answer() writes keeps the format", f"format_score {score}", "")


def _check_any_text(contract: Contract, made: Dialect) -> None:
    turns = [made.write_answer("B", "r"), made.write_calls([ToolCall(name="python", arguments={"code": "1"})], "r")]
    pieces = [turn[:cut] for turn in turns for cut in range(0, len(turn), 3)]
    for text in (*AWKWARD_TEXTS, *pieces, *random_texts(_HOSTILE_LETTERS, 300, 80)):
        with contract.must_work("reading never raises, whatever the text is", f"The text is {text[:80]!r}.", *_RAISED):
            parsed = made.parse(text)
            score = made.format_score([text])
        contract.rule(
            isinstance(parsed, ParsedTurn), "parse() returns a ParsedTurn", f"{parsed!r} of {text[:80]!r}", ""
        )
        contract.rule(
            not (parsed.calls and parsed.answer is not None),
            "a turn holds calls or an answer, never both",
            f"{parsed} of {text[:80]!r}",
            "Calls go before answers.",
        )
        contract.rule(
            bool(parsed.calls or parsed.notes) or parsed.answer is not None,
            "a turn without calls and answer has a note for the model",
            f"{parsed} of {text[:80]!r}",
            "Say in `notes` what should have been written.",
        )
        contract.rule(0.0 <= score <= 1.0, "format_score is from 0 to 1", f"{score!r} of {text[:80]!r}", "")


def _check_speed(contract: Contract, made: Dialect) -> None:
    """Reading takes time in proportion to the text: a quadratic reader does not come to the end of this."""
    tags = {word for word in made.write_answer("B", "r").split("B")[0].split() if word} | {"<tool_call>", "{", '{"a":'}
    for tag in sorted(tags):
        for size in _SIZES:
            text, start = tag * size, time.process_time()
            made.parse(text)
            seconds = time.process_time() - start
            contract.rule(
                seconds < _SECONDS,
                "reading takes time in proportion to the length of the text",
                f"{seconds:.1f} s for {tag!r} written {size:,} times",
                "Look for each tag from where the last one ended; avoid nested repetition in patterns.",
            )


def _check_prompt(contract: Contract, made: Dialect) -> None:
    task = example_task()
    prompt = made.prompt(task)
    contract.rule(
        prompt.count(IMAGE_MARK) == len(task.images) and task.question in prompt,
        "the prompt has the question, and one <image> for each image",
        repr(prompt),
        "",
    )
    contract.rule(all(option in prompt for option in task.options), "the prompt has the options", repr(prompt), "")


def _check_observations(contract: Contract, made: Dialect) -> None:
    image = example_task().images[0].view
    for count in (0, 1, 3):
        smuggling = ToolResult(name="python", status=ToolStatus.OK, output="4 <im<image>age>", images=(image,) * count)
        titled = ToolResult(name="zoom", status=ToolStatus.OK, images=(image,) * count, captions=("a",) * count)
        text = made.observation([smuggling, titled], ["a note"])
        contract.rule(
            text.count(IMAGE_MARK) == 2 * count,
            "an observation has one <image> for each returned image, and none that a tool's output holds",
            f"{text!r} for {2 * count} images",
            "Use metis_gym.dialects.contract.without_image_marks on every text of a result.",
        )
        contract.rule("4" in text and "a note" in text, "an observation has the output and the notes", repr(text), "")
    for status in ToolStatus:
        result = ToolResult(name="python", status=status, output="what it said")
        contract.rule(
            "what it said" in made.observation([result]),
            f"an observation has the output of a call that ended {status.value!r}",
            json.dumps(made.observation([result])),
            "The model learns from it what was wrong.",
        )
