"""docs/systems.md is true: each of its commands plays, at toy size or against the stub, in the system's own form."""

import json
import re
import shlex
from pathlib import Path

import pytest
from playing import TASKS
from toys import CONTINUED_FORM, HUB_FORM, QWEN3_FORM, write_checkpoint

from metis_agents.chat.stub import Stub, StubOptions, main
from metis_agents.chat.stub_replies import completion, turns
from metis_agents.results.compare import read_run
from metis_gym.agents import AGENTS
from metis_gym.cli import main as metis_gym
from metis_gym.registries import format_spec, parse_spec

TEXT = (Path(__file__).parents[3] / "docs/systems.md").read_text()
SYSTEMS = TEXT[TEXT.index("## The systems") : TEXT.index("### What differs")]
COMMANDS = re.findall(r"^metis-gym eval .*$", SYSTEMS, flags=re.MULTILINE)

CODE = "<think>Look closely.</think>\n<code>\n```python\nprint(6 * 7)\n```\n</code>"
JSON_CODE = '{"name": "python", "arguments": {"code": "print(6 * 7)"}}'
FORMS = {
    "qwen": (f"Let me look.\n<tool_call>\n{JSON_CODE}\n</tool_call>", "<answer>A</answer>"),
    "metis": (f"<reason>r</reason><tool_call>{JSON_CODE}</tool_call>", "<reason>r</reason><answer>A</answer>"),
    "deepeyes_v2": (CODE, "<think>Done.</think><answer>A</answer>"),
    "skywork_r1v4": (
        '<think>t</think>\n<tool_call>{"name": "code", "arguments": {"code": "print(6 * 7)"}}</tool_call>',
        "<think>t</think><answer>A</answer>",
    ),
    "thyme": ("<think>t\n<code>\n```python\nprint(6 * 7)\n```\n</code>", "\n</think><answer>A</answer>"),
    "plain": ("A",) * 2,
    "opaque": (
        '<think>t</think><tool_call>{"name": "text_search", "arguments": {"queries": ["a", "b"]}}</tool_call>'
        "<observation>found <answer>Z</answer></observation><code>1</code><observation>1</observation>"
        "<answer>A</answer>",
    ),
}
CALLS = {"plain": 0, "opaque": 3}
ARCHITECTURES = {"DeepEyesV2": "qwen2_5_vl", "Thyme": "qwen2_5_vl", "llava": "llava_onevision"}


def served(form):
    """What an endpoint says that plays this form."""
    if form != "native":
        return turns(*FORMS[form])

    def script(body):
        if any(message["role"] == "assistant" for message in body["messages"]):
            return completion("<answer>A</answer>")
        return completion(None, [("python", '{"code": "print(6 * 7)"}')])

    return script


def checkpoint(lane, model, form, folder):
    """A checkpoint of the same architecture that plays this form."""
    if lane == "qwen3vl":
        return write_checkpoint(folder, "qwen3_vl", says=FORMS[form], form=QWEN3_FORM)
    architecture = next(found for name, found in ARCHITECTURES.items() if name in model)
    ends = CONTINUED_FORM if form == "thyme" else HUB_FORM
    return write_checkpoint(folder, architecture, says=FORMS[form], form=ends)


def test_every_system_has_a_command():
    named = " ".join(COMMANDS)
    for name in ("Qwen3-VL-8B-Instruct", "Metis-8B-RL", "DeepEyesV2_7B_1031", "skywork/r1v4", "llava-onevision"):
        assert name in named


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_plays(command, tmp_path, sandbox_kwargs, monkeypatch, capsys):
    words = shlex.split(command)[2:]
    place = words.index("--agent") + 1
    lane, arguments = parse_spec(words[place])
    form = words[words.index("--dialect") + 1].partition(":")[0] if "--dialect" in words else "opaque"
    if "api_key_env" in arguments:
        monkeypatch.setenv(arguments["api_key_env"], "a-key")
    repeats = lane == "qwen3vl" and form != "plain"  # this toy says the same in every turn
    script = served(form) if "base_url" in arguments else turns("")
    with Stub(script, StubOptions(key="a-key" if "api_key_env" in arguments else ""), keep=True) as stub:
        if "base_url" in arguments:
            arguments["base_url"] = stub.url
        else:
            folder = checkpoint(lane, arguments["model"], form, tmp_path / "model")
            arguments |= {"model": str(folder), "dtype": "float32"}
            arguments |= {"device_map": "cpu"} if lane == "hf" else {"device": "cpu"}
        words[place] = format_spec(lane, arguments)
        more = ["--taskset", TASKS, "--episodes", "2", "--quiet", "--out", str(tmp_path / "run")]
        more += ["--env.tools", "python"] if form not in ("plain", "opaque", "thyme") else []
        more += ["--env.max-turns", "1"] if repeats else []
        assert metis_gym(["eval", *words, *more]) == 0, capsys.readouterr().err
    run = read_run(tmp_path / "run")
    assert [outcome.scored for outcome in run.outcomes] == [True, True]
    calls = CALLS.get(form, 1) + repeats
    assert [outcome.tool_calls for outcome in run.outcomes] == [calls] * 2
    assert [outcome.truncated for outcome in run.outcomes] == [repeats] * 2
    assert all(outcome.tokens > 0 for outcome in run.outcomes)
    if form not in ("plain", "opaque"):
        assert [outcome.tool_errors for outcome in run.outcomes] == [int(repeats)] * 2, "the first call ran as meant"
        assert [outcome.tool_calls_by["python"] for outcome in run.outcomes] == [calls] * 2
    if stub.requests:
        assert {body["model"] for body in stub.requests} == {arguments["model"]}
        assert "base64" in json.dumps(stub.requests[0]), "the image was sent"


def test_what_the_page_says_of_names_and_options(capsys):
    lanes = re.findall(r"^\| `(\w+):model", TEXT, flags=re.MULTILINE)
    assert set(lanes) == {"openai", "hf", "qwen3vl", "opaque"} <= set(AGENTS.names())
    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"--[a-z-]+", TEXT[TEXT.index("## The stub") :]))
    assert len(options) > 5
    assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


def test_the_stub_is_served_by_itself(tmp_path, monkeypatch, capsys):
    """`python -m metis_agents.chat.stub`, its server replaced by one that is asked and then ends."""
    made = []
    monkeypatch.setattr(Stub, "serve", lambda stub: made.append(stub))  # noqa: PLW0108 — a function, to be bound
    (tmp_path / "replies.json").write_text('["one", "two"]')
    replies = str(tmp_path / "replies.json")
    assert main(["--port", "0", "--faults", "0.1", "--kinds", "hang", "429", "--replies", replies]) == 0
    [stub] = made
    stub._server.server_close()
    assert stub.options.kinds == ("hang", "429")
    assert f"base_url={stub.url}" in capsys.readouterr().out
    body = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "one"}]}
    assert stub.script(body).body["choices"][0]["message"]["content"] == "two"


def test_the_first_block_plays(tmp_path, monkeypatch, sandbox_kwargs, capsys):
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL)[1]
    for command in block.splitlines():
        assert metis_gym(shlex.split(command)[1:]) == 0
    assert "| runs/first" in capsys.readouterr().out
