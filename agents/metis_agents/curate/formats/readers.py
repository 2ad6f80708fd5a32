"""The forms of rows that public data sets have, each as a function from a row to a sample.

| name | data sets | what a row has |
|---|---|---|
| `verl` | Metis-RL, DeepEyesV2_RL | `prompt`, `images`, `reward_model`, `ability`, `extra_info` |
| `thyme_sft` | Thyme-SFT, V-Interaction-400K | `image`, `question`, `response`: one text with all code and results |
| `thyme_rl` | Thyme-RL | `solution`, and `messages` or `question`, with `images` |
| `chat` | Metis-ColdStart, DeepEyesV2_SFT, OpenMMReasoner | `messages`, `conversations` or `prompt`, with `images` |
| `plain` | one's own | `question`, `answer`, `image` or `images`, `options` |

Metis-ColdStart and V-Interaction-400K are read by what their cards say; their columns were not seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metis_agents.curate.formats.conversations import (
    Said,
    dealt,
    dialect_of,
    guess_dialect,
    role_of,
    split_at_results,
    trajectory,
)
from metis_agents.curate.formats.parts import (
    gold_of,
    listed,
    load_image,
    load_images,
    marks,
    question_in,
    text_of,
)
from metis_agents.curate.records import RowError, Sample, SampleImage
from metis_gym.dialects.contract import IMAGE_MARK
from metis_gym.errors import ConfigError, TaskDataError
from metis_gym.filesets.rows import ImageFolder, as_texts
from metis_gym.filesets.texts import shown
from metis_gym.records import Role
from metis_gym.turns import encodable

__all__ = ["FORMATS", "Context", "Row", "find_format"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """Where a row stands.

    Attributes:
        source: The file, as it was named.
        row: Which row.
        folder: Where image files lie.
        dialect: What turns are written in; empty to find out by their tags.
    """

    source: str
    row: int
    folder: ImageFolder
    dialect: str = ""


def _verl(row: Row, at: Context) -> Sample:
    graded, extra = row.get("reward_model"), row.get("extra_info") or {}
    if not isinstance(graded, Mapping) or not isinstance(extra, Mapping):
        raise RowError("unreadable", f"reward_model and extra_info must be objects, actually: {shown(graded)}")
    said = _messages(row.get("prompt"), row.get("images"), at, may_lack_marks=True)
    fields = _common(row, at) | {"gold": gold_of({"gold": graded.get("ground_truth")}), "raw": row}
    fields["candidates"] = _texts(graded.get("candidate_answers"), "candidate_answers")
    asked = extra.get("question")
    if isinstance(asked, str) and asked.strip():
        fields["question"], fields["options"] = question_in(text_of(asked, "question"))
    return trajectory([one for one in said if one.role is not Role.ASSISTANT], **fields)


def _thyme_sft(row: Row, at: Context) -> Sample:
    images = load_images(row["image"] if "image" in row else row.get("images"), at.folder)
    if not images:
        raise RowError("marks_differ", "the row has no image")
    asked, response = text_of(row.get("question"), "question"), text_of(row.get("response"), "response")
    question, options = question_in(asked)
    spec = at.dialect or (
        "thyme" if "<code>" in response or "<sandbox_output>" in response else guess_dialect([response])
    )
    if not question:
        raise RowError("no_question", "the question is empty")
    first, results = _original_and_results(images, response)
    turns = split_at_results(response, dialect_of(spec), results)
    if not any(turn.text.strip() for turn in turns):
        raise RowError("no_model_turn", "the response is empty")
    prompt = asked if IMAGE_MARK in asked else f"{IMAGE_MARK * len(first)}\n{asked}"
    if marks(prompt) != len(first):
        raise RowError("marks_differ", f"{marks(prompt)} <image> in the question, {len(first)} images")
    fields = _common(row, at) | {"question": question, "options": options, "prompt": prompt}
    return Sample(**fields, images=first, dialect=spec, turns=turns)


def _original_and_results(
    images: tuple[SampleImage, ...], response: str
) -> tuple[tuple[SampleImage, ...], tuple[SampleImage, ...]]:
    """The original comes first, then the processed images; where no code is in the response, all are originals."""
    return (images[:1], images[1:]) if "<sandbox_output>" in response else (images, ())


def _thyme_rl(row: Row, at: Context) -> Sample:
    fields = _common(row, at)
    asked = row.get("question")
    if isinstance(asked, str) and asked.strip():
        fields["question"], fields["options"] = question_in(text_of(asked, "question"))
    if row.get("messages") is None:
        images = load_images(row.get("images", row.get("image")), at.folder)
        text = IMAGE_MARK * len(images) + "\n" + str(fields.get("question", ""))
        return trajectory([Said(Role.USER, text, images)], **fields)
    said = _messages(row["messages"], row.get("images"), at, may_lack_marks=True)
    return trajectory([one for one in said if one.role is not Role.ASSISTANT], **fields)


def _chat(row: Row, at: Context) -> Sample:
    column = next(name for name in ("messages", "conversations", "prompt") if name in row)
    said = _messages(row[column], row["images"] if "images" in row else row.get("image"), at)
    own = [one for one in said if one.role is Role.ASSISTANT]
    if len(own) == 1 and "<sandbox_output>" in own[0].text:
        return _continued(said, own[0].text, row, at)
    return trajectory(said, dialect=at.dialect, **_common(row, at))


def _continued(said: Sequence[Said], text: str, row: Row, at: Context) -> Sample:
    """One model turn with all results in it, in the dialect of Thyme."""
    before = trajectory([one for one in said if one.role is not Role.ASSISTANT], **_common(row, at))
    spec = at.dialect or "thyme"
    results = 0 if len(before.images) < 2 else len(before.images) - 1
    turns = split_at_results(text, dialect_of(spec), before.images[1:] if results else ())
    return replace(before, images=before.images[:1], dialect=spec, turns=turns)


def _plain(row: Row, at: Context) -> Sample:
    images = load_images(row["images"] if "images" in row else row.get("image", row.get("file_name")), at.folder)
    asked = text_of(row.get("question"), "question")
    fields = _common(row, at)
    given = _texts(row.get("options"), "options")
    fields["question"], fields["options"] = (asked.strip(), given) if given else question_in(asked)
    fields["candidates"] = _texts(row.get("candidates"), "candidates")
    return trajectory([Said(Role.USER, IMAGE_MARK * len(images) + "\n" + asked, images)], **fields)


@dataclass(frozen=True)
class Format:
    """A form of rows.

    Attributes:
        fits: Whether a file with these columns has it.
        read: From a row to a sample; raises `RowError` for a row that is none.
    """

    fits: Callable[[frozenset[str]], bool]
    read: Callable[[Row, Context], Sample]


FORMATS: Mapping[str, Format] = {
    "verl": Format(lambda names: {"prompt", "reward_model"} <= names, _verl),
    "thyme_sft": Format(
        lambda names: {"question", "response"} <= names and bool(names & {"image", "images"}), _thyme_sft
    ),
    "thyme_rl": Format(
        lambda names: "solution" in names and bool(names & {"messages", "question"}),
        _thyme_rl,
    ),
    "chat": Format(
        lambda names: bool(names & {"messages", "conversations"}) or {"prompt", "images"} <= names,
        _chat,
    ),
    "plain": Format(lambda names: {"question", "answer"} <= names, _plain),
}
"""The forms, in the order in which they are tried."""


def find_format(columns: Sequence[str], path: str) -> str:
    """The form of a file's rows.

    Raises:
        TaskDataError: None fits; the message lists the columns.
    """
    names = frozenset(columns)
    for name, form in FORMATS.items():
        if form.fits(names):
            return name
    raise TaskDataError(
        f"{path} has the columns {', '.join(map(repr, sorted(names)[:40])) or '(none)'}, which are those of no format; "
        f"choose one with --format: {', '.join(FORMATS)}"
    )


def read_row(name: str, row: Row, at: Context) -> Sample:
    """A row as a sample.

    Raises:
        RowError: It is none; the reason is one of the stage `read`.
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"there is no format {name!r}; expected one of {', '.join(FORMATS)}")
    try:
        return FORMATS[name].read(row, at)
    except (KeyError, StopIteration) as error:
        raise RowError("unreadable", f"a {name} row has no {error!s:.80}") from None
    except RecursionError:
        raise RowError("unreadable", "it is nested too deeply") from None


def _common(row: Row, at: Context) -> dict[str, Any]:
    ability = row.get("ability")
    return {
        "source": at.source,
        "row": at.row,
        "gold": gold_of(row),
        "ability": encodable(ability[:80]) if isinstance(ability, str) else "",
    }


def _texts(value: Any, what: str) -> tuple[str, ...]:
    try:
        return as_texts(value, what)
    except TaskDataError as error:
        raise RowError("unreadable", str(error)) from None


def _messages(value: Any, images: Any, at: Context, *, may_lack_marks: bool = False) -> list[Said]:
    """The messages of a column, with their images: from the column of images, or from the parts of contents."""
    found: list[tuple[Role, str]] = []
    inside: list[SampleImage] = []
    for message in listed(value, "messages"):
        if not isinstance(message, Mapping):
            raise RowError("unreadable", f"a message must be an object, actually: {shown(message)}")
        role = role_of(message.get("role", message.get("from")))
        text, own = _content(message.get("content", message.get("value")), at)
        found.append((role, text))
        inside += own
    pool = inside if inside else list(load_images(images, at.folder))
    if may_lack_marks and pool and not any(IMAGE_MARK in text for _, text in found):
        place = next((n for n, (role, _) in enumerate(found) if role is Role.USER), None)
        if place is not None:
            found[place] = (Role.USER, IMAGE_MARK * len(pool) + "\n" + found[place][1])
    return dealt(found, pool)


def _content(value: Any, at: Context) -> tuple[str, list[SampleImage]]:
    """A content as text with marks: it is a text, or a list of parts of which some are images."""
    if isinstance(value, str):
        return text_of(value, "content"), []
    texts: list[str] = []
    images: list[SampleImage] = []
    for part in listed(value, "content"):
        if not isinstance(part, Mapping):
            raise RowError("unreadable", f"a part of a content must be an object, actually: {shown(part)}")
        if part.get("type") == "text":
            texts.append(text_of(part.get("text"), "text"))
            continue
        held = part.get("image_url") if part.get("image_url") is not None else part.get("image")
        texts.append(IMAGE_MARK)
        if held is not None:
            images.append(load_image(held, at.folder))
    return "\n".join(texts), images
