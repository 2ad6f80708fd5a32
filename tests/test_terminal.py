"""Nothing that came from elsewhere reaches a terminal raw: not in output, not in errors, not in a rendered episode."""

import ast
import io
import unicodedata
from pathlib import Path

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metis_gym  # noqa: F401 — registers the ids
from metis_gym import errors
from metis_gym.terminal import printable, say

ROOT = Path(__file__).parents[1]
EVIL = (
    "\x1b]52;c;aGk=\x07 \x1b[31m \x9b2J \x90q\x9c \u202egnp.exe \u2066x\u2069 \x08\r\x7f\x00 \U000e0041 \ud800 \u200b"
)
SENT = set("\n\t\u200c\u200d")


def harmful(text):
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - SENT


@settings(derandomize=True, max_examples=300, database=None)
@given(st.text(st.characters(), max_size=50))
def test_no_control_or_format_character_is_left(text):
    shown = printable(text)
    assert not harmful(shown)
    assert printable(shown) == shown


def test_every_such_character_of_unicode_is_escaped():
    every = "".join(map(chr, range(0x110000)))
    left = harmful(printable(every))
    # Arabic and other number signs, which are drawn, and Egyptian joiners, which join signs of their own.
    assert {unicodedata.name(char).split()[0] for char in left} <= {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}


def test_what_was_there_can_be_seen():
    assert printable("a\x1b[2Jb\x9b\u202ec\U000e0041") == r"a\x1b[2Jb\x9b\u202ec\U000e0041"
    assert printable("naïve 日本語 \t\n🧑\u200d🚀 x² \\n") == "naïve 日本語 \t\n🧑\u200d🚀 x² \\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_every_stream_can_carry_what_is_said(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    say(f"… 日本語 {EVIL}", stream=stream)
    assert b"\x1b" not in stream.buffer.getvalue()


def error_classes():
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MetisError)]


@pytest.mark.parametrize("kind", error_classes())
def test_messages_of_errors_are_printable(kind):
    error = kind(f"given: {EVIL}")
    assert not harmful(str(error))
    assert error.args == (f"given: {EVIL}",)


@pytest.mark.parametrize("dialect", ["metis", "qwen", "plain"])
def test_a_rendered_episode_is_printable(dialect):
    env = gym.make("MetisVQA-v0", taskset="signs:max_source=1792,required_share=0", dialect=dialect, render_mode="ansi")
    env.reset(seed=1)
    env.step(f"{EVIL}<tool_call>{EVIL}")
    env.step({"name": EVIL, "arguments": {EVIL: EVIL}}) if dialect != "plain" else None
    assert not harmful(env.render())
    env.close()


ALLOWED = {
    "metis_gym/terminal.py": "the one that writes",
    "agents/metis_agents/progress.py": "asks whether there is a terminal, and writes with `say`",
    "metis_gym/grading/latex_process.py": "speaks to its parent through a pipe",
}


def test_whatever_writes_to_a_stream_says_it():
    """Every `print` and every `sys.stdout` of the packages; code inside of a sandbox has streams of its own."""
    found = []
    for package in ("metis_gym", "envs/metis_envs", "agents/metis_agents"):
        for path in (ROOT / package).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if name in ALLOWED or "sandbox/inside" in name or "containers/agent" in name:
                continue
            found += [f"{name}:{node.lineno}" for node in ast.walk(ast.parse(path.read_text())) if _writes(node)]
    assert found == []


def _writes(node):
    """A call of print, or of a method of sys.stdout or sys.stderr."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called == "print" or called.startswith(("sys.stdout.", "sys.stderr.", "warnings.showwarning"))
