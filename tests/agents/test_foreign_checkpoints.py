"""Checkpoints that somebody else made: reading them runs nothing, and what does not fit is a CheckpointError."""

import ast
import base64
import contextlib
import copy
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn
from torch.distributed.checkpoint.metadata import Metadata

from metis_agents.qwen3vl.train.shard_files import TensorsOnlyReader
from metis_agents.sb3 import HDPO, StopAfterBatches, ToolUsePolicy
from metis_agents.sb3.saving import open_model, write_model
from metis_agents.states import from_bytes, read_state, to_bytes, write_state
from metis_gym import rewards
from metis_gym.errors import CheckpointError, ConfigError

ENV = "MetisVQA-Discrete-v0"
ROOT = Path(__file__).parents[2]


class Trap:
    """Runs when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (open, (self.marker, "w"))


def made(**kwargs):
    return HDPO("MultiInputPolicy", ENV, **{"tasks": 1, "group_size": 2, "seed": 0, "device": "cpu", **kwargs})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model after a batch."""
    path = tmp_path_factory.mktemp("saved") / "model.zip"
    model = made().learn(10**9, callback=StopAfterBatches(1))
    model.save(path)
    model.env.close()
    return path


def weights(model):
    return torch.cat([values.flatten() for values in model.policy.state_dict().values()])


def changed(saved, path, change):
    """The file with its content changed."""
    content = copy.deepcopy(dict(open_model(saved)[0]))
    change(content)
    write_model(path, {name: part for name, part in content.items() if name != "format"})
    return path


# -- stable-baselines3's own form -----------------------------------------------------------------------------------


def test_a_file_of_the_librarys_own_form_is_not_unpickled(tmp_path):
    marker = tmp_path / "ran"
    trap = base64.b64encode(pickle.dumps(Trap(marker))).decode()
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("data", json.dumps({"policy_class": {":type:": "type", ":serialized:": trap}}))
        archive.writestr("_stable_baselines3_version", "2.9.2")
    for read in (HDPO.load, made().set_parameters):
        with pytest.raises(CheckpointError, match=r"holds pickled objects.*trust=True"):
            read(tmp_path / "evil.zip")
    with pytest.raises(CheckpointError, match="trust=True"):
        HDPO.load(tmp_path / "evil.zip", ENV)
    assert not marker.exists()


def test_pickles_beside_our_own_content_are_not_read(saved, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "model.zip"
    path.write_bytes(saved.read_bytes())
    trap = pickle.dumps(Trap(marker))
    with zipfile.ZipFile(path, "a") as archive:
        data = {"policy_class": {":type:": "type", ":serialized:": base64.b64encode(trap).decode()}}
        archive.writestr("data", json.dumps(data))
        archive.writestr("policy.pth", trap)
        archive.writestr("pytorch_variables.pth", trap)
    HDPO.load(path)
    HDPO.load(path, trust=True)
    made().set_parameters(path)
    assert not marker.exists()


def test_what_is_saved_holds_no_pickle(saved):
    with zipfile.ZipFile(saved) as archive:
        assert sorted(archive.namelist()) == ["_stable_baselines3_version", "model.safetensors", "system_info.txt"]


def test_the_librarys_own_form_is_read_where_it_is_trusted(tmp_path, saved):
    model = HDPO.load(saved, ENV)
    BaseAlgorithm.save(model, tmp_path / "old.zip")
    with pytest.raises(CheckpointError, match="trust=True"):
        HDPO.load(tmp_path / "old.zip")
    old = HDPO.load(tmp_path / "old.zip", ENV, trust=True)
    assert torch.equal(weights(old), weights(model))
    with pytest.raises(CheckpointError, match="trust=True"):
        HDPO.load(saved_ppo(tmp_path))


def saved_ppo(tmp_path):
    PPO(ToolUsePolicy, ENV, n_steps=4, batch_size=4).save(tmp_path / "ppo.zip")
    return tmp_path / "ppo.zip"


# -- what the library's users expect --------------------------------------------------------------------------------


def test_arguments_come_back(tmp_path):
    kwargs = {"net_arch": {"pi": [32], "vf": [16]}, "activation_fn": nn.Tanh, "optimizer_kwargs": {"betas": (0.8, 0.9)}}
    model = made(policy_kwargs=kwargs, reward_design="hdpo:w_tool=0.3", max_grad_norm=None, epochs=2, verbose=0)
    model.save(tmp_path / "model")  # the library adds .zip
    copy_ = HDPO.load(str(tmp_path / "model"))
    assert copy_.policy_kwargs == kwargs
    assert rewards.spec_of(copy_.reward_design) == "hdpo:w_tool=0.3"
    assert (copy_.max_grad_norm, copy_.epochs, copy_.tasks, copy_.group_size) == (None, 2, 1, 2)
    assert torch.equal(weights(copy_), weights(model))
    assert copy_.observation_space == model.observation_space
    assert copy_.action_space == model.action_space
    copy_.set_parameters(str(tmp_path / "model"))


def schedule(remaining):
    return 1e-3 * remaining


class OwnPolicy(ToolUsePolicy):
    """A class that no file can name."""


def test_what_is_code_is_given_again(tmp_path):
    model = made(learning_rate=schedule)
    model.save(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match=r"HDPO\.load\(path, learning_rate=…\)"):
        HDPO.load(tmp_path / "model.zip")
    assert HDPO.load(tmp_path / "model.zip", learning_rate=schedule).learning_rate is schedule
    assert HDPO.load(tmp_path / "model.zip", custom_objects={"learning_rate": schedule}).learning_rate is schedule
    HDPO(OwnPolicy, ENV, tasks=1, group_size=2).save(tmp_path / "own.zip")
    with pytest.raises(CheckpointError, match="policy_class"):
        HDPO.load(tmp_path / "own.zip")
    own = HDPO.load(tmp_path / "own.zip", custom_objects={"policy_class": OwnPolicy})
    assert type(own.policy) is OwnPolicy
    with pytest.raises(ConfigError, match="no further objects"):
        model.save(tmp_path / "model.zip", include=["env"])


# -- damaged and hostile content ------------------------------------------------------------------------------------


def first(mapping):
    return next(iter(mapping))


def set_weight(content, value):
    policy = content["trainer"]["policy"]
    policy[first(policy)] = value


def set_moment(content, value):
    moments = content["trainer"]["optimizer"]["state"]
    moments[0] = {"step": torch.tensor(1.0), "exp_avg": value, "exp_avg_sq": value}


HOSTILE = {
    "a huge network": lambda c: c["arguments"].update(policy_kwargs={"net_arch": [10**9]}),
    "many layers": lambda c: c["arguments"].update(policy_kwargs={"net_arch": [8] * 10**5}),
    "a class of its own": lambda c: c["arguments"].update(policy_kwargs={"activation_fn": {"class": "os.system"}}),
    "an unknown option": lambda c: c["arguments"].update(policy_kwargs={"evil": 1}),
    "a policy's module": lambda c: c.update(policy="os:system"),
    "no policy": lambda c: c.update(policy=None),
    "many tasks": lambda c: c["arguments"].update(tasks=10**9),
    "a design's module": lambda c: c["arguments"].update(reward_design="my_package.module:Design"),
    "a surrogate's module": lambda c: c["arguments"]["loss"].update(surrogate="my_package.module:thing"),
    "no loss": lambda c: c["arguments"].update(loss=None),
    "a learning rate that is text": lambda c: c["arguments"].update(learning_rate="1"),
    "no arguments": lambda c: c.update(arguments=None),
    "a missing argument": lambda c: c["arguments"].pop("tasks"),
    "a huge space": lambda c: c["observation_space"]["dict"]["image"].update(shape=[10**6, 10**6, 3]),
    "a negative space": lambda c: c["observation_space"]["dict"]["image"].update(shape=[-1]),
    "a space of objects": lambda c: c["observation_space"]["dict"]["image"].update(dtype="object"),
    "many actions": lambda c: c["action_space"].update(n=10**12),
    "no space": lambda c: c.update(action_space=None),
    "weights of another shape": lambda c: set_weight(c, torch.zeros(3)),
    "weights that are text": lambda c: set_weight(c, "text"),
    "weights that are missing": lambda c: c["trainer"]["policy"].popitem(),
    "moments of another shape": lambda c: set_moment(c, torch.zeros(7, 7)),
    "moments of nothing": lambda c: c["trainer"]["optimizer"]["state"].update({10**6: {}}),
    "another optimiser": lambda c: c["trainer"]["optimizer"]["param_groups"][0].update(evil=1),
    "no groups": lambda c: c["trainer"]["optimizer"].update(param_groups=[]),
    "a generator that is none": lambda c: c["trainer"].update(order={"bit_generator": "os.system"}),
    "a generator of another size": lambda c: c["trainer"].update(torch_rng=torch.zeros(3, dtype=torch.uint8)),
    "batches that are text": lambda c: c["trainer"].update(batches_done="many"),
    "no trainer": lambda c: c.pop("trainer"),
    "a state that is a list": lambda c: c.update(trainer=[1]),
    "a counter that is text": lambda c: c["counters"].update(num_timesteps="5"),
    "a counter that is missing": lambda c: c["counters"].pop("num_timesteps"),
    "episodes that are none": lambda c: c.update(episodes=[{"r": "1"}]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_content_that_does_not_fit_is_one_error(name, saved, tmp_path):
    path = changed(saved, tmp_path / "model.zip", HOSTILE[name])
    with pytest.raises((CheckpointError, ConfigError)) as raised:
        HDPO.load(path)
    assert len(str(raised.value)) < 1_500


def test_a_file_does_not_say_where_logs_go(saved, tmp_path):
    path = changed(saved, tmp_path / "model.zip", lambda c: c["arguments"].update(tensorboard_log=str(tmp_path / "x")))
    assert HDPO.load(path).tensorboard_log is None
    assert HDPO.load(path, tensorboard_log=str(tmp_path / "own")).tensorboard_log == str(tmp_path / "own")


def test_nothing_is_inflated(saved, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", b"\0" * 50_000_000)
    with pytest.raises(CheckpointError, match="is compressed"):
        HDPO.load(tmp_path / "bomb.zip")


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(st.data())
def test_damaged_bytes_are_one_error(saved, data):
    content = bytearray(saved.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointError):  # nothing else may come
        open_model(io.BytesIO(bytes(content)))


# -- states ---------------------------------------------------------------------------------------------------------

STATE = {
    "tensors": [torch.arange(6).reshape(2, 3), torch.ones(2, dtype=torch.bfloat16), torch.tensor(3.0), torch.zeros(0)],
    "view": torch.arange(10)[2:5],
    "across": torch.arange(6).reshape(2, 3).T,
    "array": np.arange(3, dtype=np.uint32),
    "numbers": {0: {"step": 1, "big": 1 << 127, "nan": None}, (1, "a"): -1.5},
    "text": ["a", ("b", True, None)],
    "$odd": {"$tensor": "x"},
    "bytes": b"\x00\xff",
}


def test_a_state_comes_back(tmp_path):
    twice = torch.ones(3)
    state = {**STATE, "tied": [twice, twice]}
    write_state(state, tmp_path / "state.safetensors")
    for read in (read_state(tmp_path / "state.safetensors"), from_bytes(to_bytes(state))):
        assert same(read, state)
        assert type(read["text"][1]) is tuple


def same(one, other):
    if isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in other)
    if isinstance(other, list | tuple):
        return (
            type(one) is type(other) and all(map(same, one, other, strict=True))
            if False
            else all(map(same, one, other))
        )
    return type(one) is type(other) and one == other


def test_what_is_no_state_is_not_written():
    for surprise in (print, object(), {1, 2}, nn.ReLU):
        with pytest.raises(CheckpointError, match=r"state\.a\.0 cannot be saved"):
            to_bytes({"a": [surprise]})


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(st.data())
def test_damaged_states_are_one_error(data):
    content = bytearray(to_bytes(STATE))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointError):  # nothing else may come
        from_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("rest", ["[" * 100_000, "{}" * 2, '{"$tensor": "absent"}', '{"$tensor": [1]}', '{"$map": 3}'])
def test_hostile_headers_are_one_error(rest):
    from safetensors.torch import save

    with pytest.raises(CheckpointError):
        from_bytes(save({"a": torch.zeros(1)}, {"state": rest}))


def test_a_pickle_in_a_states_place_is_not_run(tmp_path):
    marker = tmp_path / "ran"
    path = tmp_path / "state.safetensors"
    torch.save({"a": Trap(marker)}, path)
    for content in (path.read_bytes(), pickle.dumps(Trap(marker))):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            read_state(path)
        with pytest.raises(CheckpointError):
            from_bytes(content)
    assert not marker.exists()


# -- distributed checkpoints ----------------------------------------------------------------------------------------


def test_a_list_of_shards_runs_nothing(tmp_path):
    marker = tmp_path / "ran"
    traps = (Trap(marker), Metadata({"a": Trap(marker)}), Metadata({}, planner_data=Trap(marker)))
    for trap in traps:
        (tmp_path / ".metadata").write_bytes(pickle.dumps(trap))
        with pytest.raises(CheckpointError, match="no record of torch's shards"):
            TensorsOnlyReader(tmp_path).read_metadata()
    for content in (b"", b"junk", pickle.dumps({"a": 1})):
        (tmp_path / ".metadata").write_bytes(content)
        with pytest.raises(CheckpointError):
            TensorsOnlyReader(tmp_path).read_metadata()
    assert not marker.exists()


# -- everywhere -----------------------------------------------------------------------------------------------------

RUNS_CODE = {
    "agents/metis_agents/qwen3vl/train/shard_files.py": "unpickles torch's records of shards, and no other name",
    "agents/metis_agents/sb3/algorithm.py": "stable-baselines3's own form, with trust=True",
    "metis_gym/testing/agents.py": "copies an agent that is being checked, as workers are sent one",
    "metis_gym/testing/designs.py": "copies a design that is being checked",
    "metis_gym/sandbox/boot.py": "loads this package's own modules in the zygote",
}


def test_nothing_else_reads_what_can_run():
    """Every call of the packages that turns bytes into objects or code, but for what runs inside of a sandbox."""
    found = set()
    for package in ("metis_gym", "envs/metis_envs", "agents/metis_agents"):
        for path in (ROOT / package).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if "sandbox/inside" not in name and any(map(_can_run, ast.walk(ast.parse(path.read_text())))):
                found.add(name)
    assert found == set(RUNS_CODE)


def _can_run(node):
    if isinstance(node, ast.Attribute | ast.Name):
        whole = ast.unparse(node)
        return whole in ("pickle.Unpickler", "load_from_zip_file", "cloudpickle.loads", "dill.loads", "joblib.load")
    if not isinstance(node, ast.Call):
        return False
    called, options = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
    if called == "torch.load":
        return options.get("weights_only") != "True"
    if called in ("np.load", "numpy.load"):
        return options.get("allow_pickle", "False") != "False"
    return called in ("pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "yaml.load", "eval", "exec")
