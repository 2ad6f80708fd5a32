"""Keys appear nowhere: in no record, file, error, log, table or pickle, whatever the server says."""

import base64
import copy
import html
import json
import logging
import pickle
import traceback
from urllib.parse import quote, quote_plus

import pytest
from playing import HERE, LOOK, agent, play

from metis_agents.agents import make_agent
from metis_agents.chat.opaque import OpaqueAgent
from metis_agents.chat.requests_log import read_requests
from metis_agents.chat.stub import Stub, StubOptions
from metis_agents.chat.stub_replies import Reply, completion
from metis_gym.cli import main
from metis_gym.errors import ConfigError, InfrastructureError

KEY = 'sk-secret/"+123'
FORMS = (KEY, quote_plus(KEY), json.dumps(KEY)[1:-1])


def is_clean(text):
    return not any(form in text for form in FORMS)


def echo(body):
    """A server that repeats the key everywhere."""
    if sum(message["role"] == "assistant" for message in body["messages"]) == 0:
        call = LOOK.replace("1", json.dumps(KEY))
        fields = {KEY: KEY, "tool_note": {"key": [KEY]}}
        return completion(f"<reason>{KEY}</reason><tool_call>{call}", **fields)
    return completion(f"<reason>{KEY}</reason><answer>{KEY}</answer>")


def test_no_file_of_an_evaluation_holds_it(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setenv("A_KEY", KEY)
    with Stub(echo, StubOptions(key=KEY), keep=True) as stub, caplog.at_level(logging.DEBUG):
        player = agent(stub.url, api_key_env="A_KEY")
        report = play(player, 3, out=tmp_path / "out", record=tmp_path / "rec", tools=(f"{HERE}:Look",))
    assert report.outcomes[0].tool_calls == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 6
    for path in files:
        assert is_clean(path.read_bytes().decode("latin-1")), path
    assert is_clean(json.dumps(read_requests(tmp_path / "rec/requests.jsonl.gz"), ensure_ascii=False))
    captured = capfd.readouterr()
    assert is_clean(str(report) + repr(report) + captured.out + captured.err + caplog.text)
    assert is_clean(repr(vars(player)) + repr(player))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_no_error_holds_it(status, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("A_KEY", KEY)
    refusal = Reply(status=status, body={"error": {"message": f"Incorrect key {KEY}", "code": KEY}})
    with Stub(lambda body: refusal) as stub:
        with pytest.raises(ConfigError) as raised:
            play(agent(stub.url, api_key_env="A_KEY"), out=tmp_path / "out", record=tmp_path / "rec")
        words = ["--agent", f'openai:model=m,base_url="{stub.url}",api_key_env=A_KEY', "--episodes", "1", "--quiet"]
        assert main(["eval", *words, "--taskset", "metis_gym.testing.examples:ExampleTasks"]) == 2
    assert "***" in str(raised.value)
    assert is_clean("".join(traceback.format_exception(raised.value)) + capsys.readouterr().err)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or is_clean(path.read_bytes().decode("latin-1"))


def test_no_failure_holds_it(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    with Stub(lambda body: Reply(status=500, body=f"crashed with {KEY}".encode())) as stub:
        report = play(agent(stub.url, api_key_env="A_KEY"), 2)
        assert "***" in str(report.failures)
        assert is_clean(str(report))
        with pytest.raises(InfrastructureError) as raised:
            play(agent(stub.url, api_key_env="A_KEY"), 25)
    assert is_clean("".join(traceback.format_exception(raised.value)))


REPEATED = {
    "plain": KEY,
    "upper case": KEY.upper(),
    "in an address": quote_plus(KEY),
    "in a path": quote(KEY),
    "in an address, lower case": quote(KEY, safe="").lower(),
    "in HTML": html.escape(KEY),
    "in JSON in JSON": json.dumps(json.dumps({"key": KEY})),
    "in JSON of PHP": json.dumps(KEY).replace("/", "\\/"),
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "in Basic": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "in Basic, shifted": base64.b64encode(f"users:{KEY}:x".encode()).decode(),
    "in hexadecimal": KEY.encode().hex(),
    "in a repr": repr({"Authorization": f"Bearer {KEY}"}),
}


@pytest.mark.parametrize("form", REPEATED)
@pytest.mark.parametrize("status", [200, 401, 500])
def test_no_form_of_it_comes_through(form, status, tmp_path):
    """What can be decoded is as good as the key: no 12 characters of any form stay beside each other."""
    said = REPEATED[form]
    reply = Reply(status=status, body={"error": {"message": f"bad: {said}."}})
    if status == 200:
        reply = completion(f"<reason>{said}</reason><answer>{said}</answer>")
    found = ""
    with Stub(lambda body: reply) as stub:
        try:
            found = str(play(agent(stub.url, api_key=KEY, attempts=1), out=tmp_path, record=tmp_path / "rec").failures)
        except ConfigError as error:
            found = str(error)
    found += "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*.json*"))
    plain = found.replace("\\", "")
    secret = said.replace("\\", "").replace("{'Authorization': 'Bearer ", "").replace('"{"key": "', "")
    pieces = {secret[start : start + 12] for start in range(8, len(secret) - 20)}
    assert "***" in found
    assert not [piece for piece in pieces if piece in plain]


def test_no_pickle_or_copy_holds_it(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    for kind in (agent, lambda url, **given: OpaqueAgent(model="m", base_url=url, **given)):
        with Stub() as stub:
            named = kind(stub.url, api_key_env="A_KEY")
            assert is_clean(pickle.dumps(named).decode("latin-1"))
            assert is_clean(pickle.dumps(copy.deepcopy(named)).decode("latin-1"))
            given = kind(stub.url, api_key=KEY)
            with pytest.raises(TypeError, match="a key is not pickled"):
                pickle.dumps(given)
            assert is_clean(json.dumps(named.settings) + json.dumps(given.settings))


def test_a_key_in_a_command_is_refused_and_not_repeated(capsys, tmp_path):
    spec = f"openai:model=m,base_url=stub,api_key='{KEY}'"
    words = ["eval", "--agent", spec, "--episodes", "1", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert "api_key_env" in captured.err
    assert is_clean(captured.err + captured.out)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as raised:
        agent("http://user:pass@127.0.0.1/v1")
    assert "pass@" not in str(raised.value)


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        make_agent("openai:model=m,base_url=stub,api_key_env=NO_SUCH_KEY")


@pytest.mark.parametrize("key", ["A", "none", "EMPTY", "1"])
def test_a_dummy_key_does_not_change_what_the_model_says(key):
    with Stub(lambda body: completion(f"<reason>{key}</reason><answer>A</answer>"), keep=True) as stub:
        with_key, without = play(agent(stub.url, api_key=key), 3), play(agent(stub.url), 3)
    assert with_key.outcomes == without.outcomes
