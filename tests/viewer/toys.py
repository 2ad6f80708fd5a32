"""Made-up runs on disk: what an environment would have recorded, without drawing a scene or running a tool."""

import dataclasses

import gymnasium as gym
import numpy as np

import metis_gym  # noqa: F401 — registers the ids
from metis_gym.recording import Event, RunWriter
from metis_gym.records import AnswerKind, GoldAnswer, Necessity, Outcome, Task, TaskImage, ToolResult, ToolStatus

PAYLOADS = (
    "<script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "\"><svg onload=alert(1)><a href='javascript:alert(1)'>x</a>",
    "' autofocus onfocus='alert(1)' x='",
    "</script></style></title></textarea><iframe src=https://evil.example></iframe>",
    "<!-- --><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "[x](javascript:alert(1)) ![y](https://evil.example/y.png) https://evil.example",
    "\u202egnp.exe\x1b[2J\x00\ud800&lt;b&gt;&#60;script&#62; style=background:url(https://evil.example)",
)
"""What a model, a tool, a data set or a recording may hold to break out of the page."""

FURTHER = (
    "</SCRIPT\t><script/x>document.title='hacked'</script >",
    "<svg><script>document.title='hacked'</script><style>@import'https://evil.example'</style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--><img src=1 onerror=document.title=1>'>",
    "data:text/html,<script>document.title='hacked'</script>",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='document.title=1'/>",
    "&#x3c;script&#x3e;document.title=1&lt;/script&gt; &NewLine; +ADw-script+AD4-document.title=1+ADw-/script+AD4-",
    "${document.title=1} {{constructor.constructor('document.title=1')()}} <%= 1 %> %s %(x)s {0} \\x3cscript\\x3e",
    "<a href=javascript:document.title=1 target=_top>x</a><base href=https://evil.example><form action=//evil.example>",
    "<img srcset=https://evil.example/a.png><link rel=prefetch href=//evil.example><object data=//evil.example>",
    "line\u2028paragraph\u2029tag\U000e0041end\ufeffmark\u2066isolate\u2069\ufffe\r\nnext",
    '#e0" tabindex=0 autofocus accesskey=x contenteditable onbeforeinput=document.title=1 "',
    "<b id=search>clobber</b><input id=list name=shown><p hidden class=here data-cell=none-called>",
)
"""More of them: other forms of the same, and what other places than HTML would obey."""


def image(shade, width=64, height=48):
    return np.full((height, width, 3), shade, np.uint8)


def task(name, necessity=Necessity.NONE, **changes):
    source = np.arange(96 * 128 * 3, dtype=np.uint32).reshape(96, 128, 3).astype(np.uint8)
    made = Task(
        task_id=name,
        family="signs",
        question=f"What is {name}?",
        images=(TaskImage(source=source, view=source[::2, ::2].copy()),),
        gold=GoldAnswer(value="A", kind=AnswerKind.CHOICE),
        options=("red", "blue"),
        necessity=necessity,
        region=(10, 12, 40, 44),
        explanation="Look.",
        notes="a test image",
    )
    return dataclasses.replace(made, **changes)


def outcome(of, right=True, calls=0, **changes):
    fields = {
        "task_id": of.task_id,
        "family": of.family,
        "necessity": of.necessity,
        "answer_score": float(right),
        "format_score": 1.0,
        "tool_calls": calls,
        "tool_cost": float(calls),
        "tool_calls_by": {"python": calls},
        "turns": calls + 1,
    }
    return Outcome(**{**fields, **changes})


@dataclasses.dataclass
class Played:
    """An episode to be written: its task, the model's turns and what the tools gave in each."""

    task: Task
    outcome: Outcome
    turns: tuple = ()
    prompt: str = "the prompt <image>"
    further: dict = dataclasses.field(default_factory=dict)
    failure: str = ""


def played(name, necessity=Necessity.NONE, *, right=True, calls=0, **changes):
    """An episode with crops in its turns, as many as there are calls."""
    of = task(name, necessity, **changes)
    crop = ToolResult(name="python", status=ToolStatus.OK, output="done", images=(image(99),), seconds=0.05)
    turns = [("image_1.crop((8, 8, 60, 60)).resize((640, 640))", (crop,)) for _ in range(calls)]
    return Played(of, outcome(of, right, calls), (*turns, ("<answer>A</answer>", ())))


def record(folder, episodes):
    """A recorded run of these episodes."""
    writer = RunWriter(folder, gym.spec("MetisVQA-v0"))
    for episode in episodes:
        writer.write_task(episode.task)
        blank = dataclasses.replace(episode.outcome, tool_calls=0, answer_score=0.0).to_info()
        seen = {"system": "", "text": episode.prompt, "images": tuple(one.view for one in episode.task.images)}
        given = {"seed": None, "options": {"task_id": episode.task.task_id}}
        writer.write(Event(kind="reset", given=given, returned={"observation": seen, "info": blank}))
        for number, (action, results) in enumerate(episode.turns, start=1):
            is_last = number == len(episode.turns)
            paid = {"reward_components/reward": episode.outcome.answer_score, **episode.further} if is_last else {}
            returned = {
                "observation": {"system": "", "text": "", "images": ()},
                "reward": 0.0,
                "terminated": is_last,
                "truncated": False,
                "info": (episode.outcome.to_info() if is_last else blank) | paid,
            }
            failure = episode.failure if is_last else ""
            given = {"action": action}
            writer.write(Event(kind="step", given=given, returned=returned, results=tuple(results), failure=failure))
    writer.close()
    return folder


def four_cells():
    """Ten episodes: 4 needed and used, 3 redundant, 2 rightly without, 1 needed and not used."""
    rows = [played(f"used-{n}", Necessity.REQUIRED, calls=1, right=n != 0) for n in range(4)]
    rows += [played(f"redundant-{n}", calls=2) for n in range(3)]
    rows += [played(f"without-{n}", family="sums") for n in range(2)]
    return [*rows, played("missed-0", Necessity.REQUIRED, right=False)]


def hostile(payloads=PAYLOADS):
    """Every payload in every place that somebody else writes."""
    rows = []
    for number, payload in enumerate(payloads):
        of = task(
            f"{number}{payload}",
            family=payload,
            question=payload,
            options=(payload, "blue"),
            gold=GoldAnswer(value=payload),
            explanation=payload,
            notes=payload,
        )
        result = ToolResult(
            name=payload,
            status=ToolStatus.ERROR,
            output=payload,
            errors=payload,
            images=(image(3),),
            captions=(payload,),
        )
        turns = ((f"{payload} image_1.crop((0, 0, 20, 20))", (result,)), (f"<answer>{payload}</answer>", ()))
        further = {f"reward_components/{payload}": 1.0, payload: payload}
        failure = payload if number % 4 == 3 else ""  # of an episode that failed, nothing else is told
        made = outcome(of, calls=1, tool_calls_by={payload: 1})
        rows.append(Played(of, made, turns, prompt=payload, further=further, failure=failure))
    return rows
