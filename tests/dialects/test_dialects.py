"""Dialects: reading turns, writing turns, observations, the format score."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metis_gym.dialects import DIALECTS, Limits
from metis_gym.dialects.contract import ToolSpec, find_blocks, remove_blocks, without_image_marks
from metis_gym.dialects.plain import final_answer
from metis_gym.records import ToolCall, ToolResult, ToolStatus
from metis_gym.testing import check_dialect

NAMES = DIALECTS.names()
WITH_TOOLS = tuple(name for name in NAMES if name != "plain")
SPEC = ToolSpec(
    name="python", description="Runs code.", schema={"type": "object", "properties": {"code": {"type": "string"}}}
)
PLAIN_LETTERS = st.characters(exclude_characters="<>", exclude_categories=("Cs", "Z", "C"))
LIMITS = Limits(max_turns=3, calls_per_turn=2)


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_contract(name):
    check_dialect(name, calls_tools=name in WITH_TOOLS)


@pytest.mark.parametrize("name", WITH_TOOLS)
@given(
    code=st.text(max_size=200) | st.text(alphabet="`<>/'\"\\\n #codethinkasrwl_{}", max_size=200),
    tool=st.sampled_from(["python", "zoom"]),
)
def test_written_calls_are_read_back(name, code, tool):
    dialect = DIALECTS.create(name)
    calls = (ToolCall(name=tool, arguments={"code": code}), ToolCall(name="python", arguments={"code": "1"}))
    calls = calls[: dialect.max_calls]
    parsed = dialect.parse(dialect.write_calls(calls, "because"))
    assert parsed.calls == calls
    assert parsed.answer is None


@pytest.mark.parametrize("name", NAMES)
@given(answer=st.text(alphabet=PLAIN_LETTERS, min_size=1, max_size=40))
def test_written_answers_are_read_back(name, answer):
    dialect = DIALECTS.create(name)
    text = dialect.write_answer(answer, "because")
    assert dialect.parse(text).answer == answer
    assert dialect.format_score([text]) == 1.0


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(max_size=300) | st.text(alphabet='<>/_{}"aenorswtlc:', max_size=300))
def test_reading_never_raises(name, text):
    dialect = DIALECTS.create(name)
    parsed = dialect.parse(text)
    assert bool(parsed.calls) + (parsed.answer is not None) <= 1
    assert parsed.calls or parsed.answer is not None or parsed.notes
    dialect.format_score([text])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "hostile", ["<answer>", "<tool_call>", "<reason>", "<think>", "<tool_call></tool_call>", "</reason>"]
)
def test_reading_hostile_text_is_not_quadratic(name, hostile):
    dialect = DIALECTS.create(name)

    # Linear reading takes well under a second; quadratic reading would run into the suite's time limit.
    text = hostile * (4_000_000 // len(hostile))
    parsed = dialect.parse(text)
    assert parsed.calls or parsed.notes or parsed.answer
    assert dialect.format_score([text]) in (0.0, 1.0)


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_the_system_turn_names_tools_and_limits(name):
    text = DIALECTS.create(name).system([SPEC], LIMITS)
    assert "python" in text and "Runs code." in text and "3" in text
    assert "python" not in DIALECTS.create(name).system([], LIMITS)


def test_metis_observation_of_code():
    result = ToolResult(name="python", status=ToolStatus.OK, output="42 <image>", errors="warn", images=(None, None))
    text = DIALECTS.create("metis").observation([result])
    assert text == "Code execution result:\nstdout:\n```\n42 \n```\nstderr:\n```\nwarn\n```\nImages:\n<image>\n<image>"


def test_metis_observation_of_nothing():
    text = DIALECTS.create("metis").observation([ToolResult(name="python", status=ToolStatus.OK)])
    assert text == "Code execution result:\n(no output)"


def test_captions_stand_under_their_images():
    result = ToolResult(
        name="image_search", status=ToolStatus.OK, images=(None, None), captions=("A tower", "A bridge")
    )
    assert DIALECTS.create("metis").observation([result]) == "1. <image>\n[A tower]\n2. <image>\n[A bridge]"


def test_qwen_puts_each_result_into_a_response():
    results = [ToolResult(name="python", status=ToolStatus.OK, output=str(i), images=(None,) * i) for i in range(3)]
    text = DIALECTS.create("qwen").observation(results)
    assert [block.body for block in find_blocks(text, "tool_response")] == [
        "\n0\n",
        "\n1\n<image>\n",
        "\n2\n<image>\n<image>\n",
    ]


def test_qwen_takes_plain_text_as_the_answer_and_ignores_thoughts():
    dialect = DIALECTS.create("qwen")
    assert dialect.parse("<think>B? <answer>B</answer></think>It is C.").answer == "It is C."
    assert dialect.parse("Long story.\nAnswer: D").answer == "D"


@pytest.mark.parametrize(
    ("turns", "score"),
    [
        (["<reason>a</reason><answer>B</answer>"], 1.0),
        (["<reason>a</reason><tool_call>{}</tool_call>", "<reason>b</reason><answer>B</answer>"], 1.0),
        (["<answer>B</answer>"], 1.0),
        (["<reason>a<answer>B</answer>"], 0.0),  # reason is not closed
        (["<answer>B</answer><reason>a</reason>"], 0.0),  # no answer after the last reason
        (["<reason>a</reason>", "B"], 0.0),  # no answer
        (["<tool_call>{}", "<reason>b</reason><answer>B</answer>"], 0.0),  # call is not closed
        ([], 0.0),
    ],
)
def test_metis_format_score(turns, score):
    assert DIALECTS.create("metis").format_score(turns) == score


def test_arguments_may_come_as_a_json_string():
    text = '<tool_call>{"name": "python", "arguments": "{\\"code\\": \\"1\\"}"}</tool_call>'
    assert DIALECTS.create("metis").parse(text).calls == (ToolCall(name="python", arguments={"code": "1"}),)


def test_raw_line_breaks_in_code_are_read():
    text = '<tool_call>{"name": "python", "arguments": {"code": "a = 1\nprint(a)"}}</tool_call>'
    assert DIALECTS.create("qwen").parse(text).calls[0].arguments["code"] == "a = 1\nprint(a)"


def test_final_answer_of_long_text_is_its_last_line():
    assert final_answer("thinking " * 60 + "\nB") == "B"


@given(st.text(alphabet="<image>", max_size=200))
def test_image_marks_cannot_be_smuggled(text):
    assert "<image>" not in without_image_marks(text)


def test_blocks_are_found_from_left_to_right():
    assert remove_blocks("a<r>1</r>b<r>2</r>c<r>3", "r") == "abc<r>3"
    assert [json.loads(block.body) for block in find_blocks("<t>1</t><t>2", "t")] == [1, 2]
