"""Whatever is given to an algorithm of stable-baselines3 as an environment, as a group environment."""

from collections.abc import Iterator

from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
    VecTransposeImage,
)

from metis_agents.sb3.group_env import DEFAULT_GROUP_SIZE, DEFAULT_TASKS, Env, GroupVecEnv, without_monitor
from metis_agents.sub_envs import make_from_spec
from metis_gym.errors import ConfigError

__all__ = ["as_group_env"]


def as_group_env(env: Env, tasks: int | None = None, group_size: int | None = None, seed: int = 0) -> GroupVecEnv:
    """Make a group environment of what was given, or check that it is the one that is wanted.

    Of a `DummyVecEnv` or `SubprocVecEnv`, as `make_vec_env` makes them, the first environment says which one is meant;
    others like it are played, as many as there are, in processes of their own where they had them. With a single one
    the numbers of tasks and members are those asked for, or the defaults.

    Args:
        env: An id, an environment made by `gymnasium.make`, a `GroupVecEnv`, or one of the library's vector
            environments, also in a `VecMonitor`. `VecTransposeImage` is passed over: the policy reads both orders.
        tasks: P, tasks at a time.
        group_size: G, members of each group.
        seed: Of the stream of tasks, where a group environment is made.

    Raises:
        ConfigError: An environment of another kind, or of other groups.
    """
    if not isinstance(env, VecEnv):
        return GroupVecEnv(env, tasks=tasks or DEFAULT_TASKS, group_size=group_size or DEFAULT_GROUP_SIZE, seed=seed)
    writers = []
    for wrapper in _wrappers(env):
        if not isinstance(wrapper, VecMonitor | VecTransposeImage):
            raise ConfigError(
                f"HDPO plays whole groups itself and would pass over what {type(wrapper).__name__} does to "
                "observations or rewards; use a wrapper of the single environment instead (gymnasium.wrappers)"
            )
        if isinstance(wrapper, VecMonitor) and wrapper.results_writer is not None:
            writers.append(wrapper.results_writer)
    inside = env.unwrapped
    if isinstance(inside, DummyVecEnv | SubprocVecEnv):
        inside = _more_like(inside, tasks, group_size, seed)
    if not isinstance(inside, GroupVecEnv):
        raise ConfigError(
            f"HDPO compares episodes of one task and needs to say who plays which: give it an id, an environment, a "
            f"metis_agents.sb3.GroupVecEnv, a DummyVecEnv or a SubprocVecEnv, actually: {type(inside).__name__}"
        )
    for name, given, own in (("tasks", tasks, inside.tasks), ("group_size", group_size, inside.group_size)):
        if given is not None and given != own:
            raise ConfigError(f"Expect {name} ({given}) to be that of the environment ({own})")
    inside.writers += [writer for writer in writers if writer not in inside.writers]
    return inside


def _wrappers(env: VecEnv) -> Iterator[VecEnvWrapper]:
    while isinstance(env, VecEnvWrapper):
        yield env
        env = env.venv


def _more_like(env: DummyVecEnv | SubprocVecEnv, tasks: int | None, group_size: int | None, seed: int) -> GroupVecEnv:
    """A group environment of as many environments as these."""
    spec = env.get_attr("spec")[0]
    if spec is None:
        raise ConfigError(
            f"HDPO makes environments like the first one of the {type(env).__name__}, which was not made by "
            "`gymnasium.make`: register it and make it by its id"
        )
    if env.num_envs == 1:
        tasks, group_size = tasks or DEFAULT_TASKS, group_size or DEFAULT_GROUP_SIZE
    else:
        group_size = group_size or (env.num_envs // tasks if tasks else min(DEFAULT_GROUP_SIZE, env.num_envs))
        tasks = tasks or env.num_envs // max(group_size, 1)
    if env.num_envs not in (1, tasks * group_size):
        raise ConfigError(
            f"Expect tasks × group_size environments, {tasks} × {group_size} = {tasks * group_size}, actually: "
            f"{env.num_envs}. Give tasks and group_size whose product that is, or a single environment"
        )
    workers = min(env.num_envs, tasks) if isinstance(env, SubprocVecEnv) else 0
    template = make_from_spec(without_monitor(spec))
    try:
        return GroupVecEnv(template, tasks=tasks, group_size=group_size, seed=seed, workers=workers)
    finally:
        template.close()
