"""A synthetic corpus: clean trajectories in the project's own dialects, and the same with one planted fault each."""

import base64
import functools
import io
import json
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from metis_gym.dialects import DIALECTS
from metis_gym.images.transforms import fit
from metis_gym.records import ToolCall, ToolResult, ToolStatus

CROP = "image_1.crop((20, 20, 148, 148))"


def picture(seed, size=(192, 160)):
    """A smooth image with structure in it, which no other seed resembles."""
    rng = np.random.default_rng([7, seed])
    small = Image.fromarray(rng.integers(0, 256, (7, 8, 3), dtype=np.uint8))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC))


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def crop(image):
    """What `CROP` shows."""
    return fit(np.ascontiguousarray(image[20:148, 20:148]))


@dataclass
class Row:
    """A trajectory: an image, one call of Python with its recorded result, and an answer."""

    seed: int
    dialect: str = "metis"
    code: str = CROP
    output: str = ""
    shown: list = field(default_factory=lambda: None)
    question: str = ""
    answer: str = "red"
    images: list = field(default_factory=list)
    calls: list = field(default_factory=lambda: None)
    edit: object = None  # changes the messages at the end

    def __post_init__(self):
        self.question = (
            self.question or f"Which colour has thing number {self.seed} beside the {_word(self.seed)} wall?"
        )
        if self.shown is None:
            self.shown = [crop(picture(self.seed))] if self.code == CROP else []
        self.images = self.images or [encoded(picture(self.seed))]

    def turns(self):
        """(call text, observation) and the answer's text, in the dialect."""
        dialect = DIALECTS.make(self.dialect)
        calls = self.calls if self.calls is not None else [ToolCall(name="python", arguments={"code": self.code})]
        said = []
        if calls:
            result = ToolResult(name="python", status=ToolStatus.OK, output=self.output, images=tuple(self.shown))
            said = [(dialect.write_calls(calls, "The detail is small."), dialect.observation([result]))]
        return said, dialect.write_answer(self.answer, "Now it is plain.")

    def messages(self):
        """Chat messages and the images for their marks."""
        said, answer = self.turns()
        messages = [
            {"role": "system", "content": "You answer questions about images."},
            {"role": "user", "content": "<image>" * len(self.images) + f"\nQuestion: {self.question}"},
        ]
        for call, observation in said:
            messages += [{"role": "assistant", "content": call}, {"role": "user", "content": observation}]
        messages.append({"role": "assistant", "content": answer})
        images = [*self.images, *(image if isinstance(image, bytes) else encoded(image) for image in self.shown)]
        if self.edit:
            messages, images = self.edit(messages, images)
        return messages, images

    def chat(self):
        messages, images = self.messages()
        return {"messages": messages, "images": [_uri(image) for image in images], "answer": self.answer}

    def but(self, **changes):
        return replace(self, **changes)


def _word(seed):
    words = ("north", "south", "garden", "kitchen", "harbour", "station", "library", "market", "chapel", "tower")
    return " ".join(words[(seed // 10**place) % 10] for place in range(4))


def _uri(image):
    return image if isinstance(image, str) else "data:image/png;base64," + base64.b64encode(image).decode()


def write_jsonl(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def clean(count, start=0, **options):
    return [Row(seed, **options) for seed in range(start, start + count)]


def text_edit(number, change):
    """Change the text of one message."""

    def edit(messages, images):
        messages[number]["content"] = change(messages[number]["content"])
        return messages, images

    return edit


def _bomb():
    """A PNG that says it has 30,000 x 30,000 pixels."""
    data = bytearray(encoded(picture(0)))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@functools.cache
def cheap_faults():
    """(stage, reason, chat row) for each reason of the cheap stages."""
    base = Row(9_000)
    png, jpeg = encoded(picture(1)), encoded(picture(2), "JPEG")

    def with_image(data):
        return base.but(images=[data]).chat()

    def edited(number, change):
        return base.but(edit=text_edit(number, change)).chat()

    no_answer = base.but(
        edit=lambda messages, images: (
            [*messages[:-1], {"role": "assistant", "content": "<reason>hm</reason>"}],
            images,
        )
    ).chat()
    gone = base.but(edit=lambda messages, images: (messages[:2] + messages[-1:], images)).chat()
    return [
        ("read", "unreadable", '{"messages": ['),
        ("read", "unreadable", {"messages": 17, "images": []}),
        ("read", "unreadable", json.dumps({"messages": "[" * 5_000})),
        ("read", "unreadable", '{"messages": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("read", "no_model_turn", {"messages": base.chat()["messages"][:2], "images": base.chat()["images"][:1]}),
        ("read", "no_question", {"messages": base.chat()["messages"][2:3], "images": []}),
        ("read", "marks_differ", {**base.chat(), "images": base.chat()["images"][:1]}),
        ("read", "marks_differ", {**base.chat(), "images": base.chat()["images"] * 2}),
        ("read", "unknown_role", {**base.chat(), "messages": [{"role": "narrator", "content": "x"}]}),
        ("images", "missing", {**base.chat(), "images": ["nowhere.png", base.chat()["images"][1]]}),
        ("images", "missing", {**base.chat(), "images": ["../../etc/secret.png", base.chat()["images"][1]]}),
        ("images", "missing", {**base.chat(), "images": ["pipe.png", base.chat()["images"][1]]}),
        ("images", "not_an_image", with_image(b"This is no image at all.")),
        ("images", "not_an_image", {**base.chat(), "images": ["no base64!", base.chat()["images"][1]]}),
        ("images", "truncated", with_image(png[: len(png) // 2])),
        ("images", "truncated", with_image(jpeg[: len(jpeg) // 2])),
        ("images", "too_large", with_image(_bomb())),
        ("images", "too_large", with_image(encoded(picture(3, (4000, 8))))),
        ("images", "blank", with_image(encoded(np.full((60, 60, 3), 9, np.uint8)))),
        ("structure", "self_made_observation", edited(2, lambda t: t + "\n<tool_response>17</tool_response>")),
        ("structure", "unbalanced_tags", edited(2, lambda t: t.replace("</reason>", ""))),
        ("structure", "unreadable_call", edited(2, lambda t: t.replace('{"name"', '{"name'))),
        ("structure", "unreadable_call", edited(2, lambda t: t.replace('"python"', '"hammer"'))),
        ("structure", "call_without_result", base.but(edit=lambda m, i: (m[:3], i[:1])).chat()),
        ("structure", "result_without_call", edited(2, lambda _: "<reason>Let me see.</reason>")),
        ("structure", "second_answer", base.but(edit=lambda m, i: ([*m[:2], m[-1], m[3], m[-1]], i)).chat()),
        ("structure", "no_answer", no_answer),
        (
            "structure",
            "call_without_result",
            {
                **gone,
                "messages": [*gone["messages"][:2], *[{"role": "assistant", "content": base.turns()[0][0][0]}] * 2],
                "images": gone["images"][:1],
            },
        ),
    ]


def read_rows(out):
    """All rows of the tables of a curation."""
    from pyarrow import parquet

    return [row for file in sorted(out.glob("data-*.parquet")) for row in parquet.read_table(file).to_pylist()]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
