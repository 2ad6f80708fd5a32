"""An environment of this package behind OpenEnv's interface: one for each session.

An error of the server never tells a client more than its kind: messages name files, and files are the server's.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
from openenv.core.env_server.interfaces import Environment

from metis_gym.backstage import backstage
from metis_gym.errors import InfrastructureError, MetisError
from metis_gym.serve.images import to_data_url
from metis_gym.serve.models import MetisAction, MetisObservation, MetisState
from metis_gym.tasksets import SPLITS

__all__ = ["MetisEnvironment", "RefusedError"]

_MAX_TASK_ID = 4_096
_MAX_NUMBER = (1 << 63) - 1
_log = logging.getLogger(__name__)


class RefusedError(RuntimeError):
    """A request that cannot be done; its message goes to the client."""


class MetisEnvironment(Environment[MetisAction, MetisObservation, MetisState]):  # type: ignore[misc]
    """A session: plays one episode at a time.

    Args:
        make_env: Makes the environment of a split.
        split: The split of episodes that name none.
        image_format: The form in which images are sent.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, make_env: Callable[[str], gym.Env[Any, Any]], split: str, image_format: str) -> None:
        super().__init__()
        self._make_env, self._split, self._image_format = make_env, split, image_format
        self._envs: dict[str, gym.Env[Any, Any]] = {}
        self._playing: gym.Env[Any, Any] | None = None
        self._is_over = True
        self._is_closed = False
        self._state = MetisState()

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task_id: str | None = None,
        member: int = 0,
        episode: int = 0,
        split: str | None = None,
        noise_key: int | None = None,
        **_: Any,
    ) -> MetisObservation:
        """Start an episode.

        Args:
            seed: Pins the task, as the seed of a local environment does.
            episode_id: Comes back in the state.
            task_id: Pins the task whatever the seed.
            member: Which episode of the task's group.
            episode: Tells apart the times that a task comes up.
            split: "train" or "test"; None for the server's own.
            noise_key: Key of grader noise and tool noise; None for the server's own.

        Raises:
            RefusedError: The session is over, or an argument is not valid.
        """
        self._check_open()
        _check_numbers({"seed": seed, "member": member, "episode": episode, "noise_key": noise_key})
        if task_id is not None and (not isinstance(task_id, str) or not 0 < len(task_id) <= _MAX_TASK_ID):
            raise RefusedError(f"task_id is text of 1 to {_MAX_TASK_ID} characters")
        if split not in (None, *SPLITS):
            raise RefusedError(f"split is one of {', '.join(SPLITS)}")
        options: dict[str, Any] = {"member": member, "episode": episode}
        if task_id is not None:
            options["task_id"] = task_id
        env = self._env(split or self._split, noise_key)
        observation, info = self._told(lambda: env.reset(seed=seed, options=options))
        self._playing, self._is_over = env, False
        self._state = MetisState(episode_id=episode_id, step_count=0, task_id=str(info["task_id"]))
        return self._observed(observation, info)

    def step(self, action: MetisAction, timeout_s: float | None = None, **_: Any) -> MetisObservation:  # noqa: ARG002
        """Take one turn of the model; the sandbox has time limits of its own.

        Raises:
            RefusedError: The session or the episode is over, or the action is not one.
        """
        self._check_open()
        if self._playing is None or self._is_over:
            raise RefusedError("there is no episode: reset first")
        env = self._playing
        observation, reward, terminated, truncated, info = self._told(lambda: env.step(action.text))
        self._is_over = bool(terminated or truncated)
        self._state = self._state.model_copy(update={"step_count": self._state.step_count + 1})
        return self._observed(observation, info, float(reward), bool(terminated), bool(truncated))

    @property
    def state(self) -> MetisState:
        """How many turns the episode has."""
        return self._state

    def close(self) -> None:
        """End the session: what its tools hold is gone, and nothing can be played in it any more."""
        self._is_closed = True
        for env in self._envs.values():
            env.close()
        self._envs, self._playing = {}, None

    def _env(self, split: str, noise_key: int | None) -> gym.Env[Any, Any]:
        if split not in self._envs:
            self._envs[split] = self._told(lambda: self._make_env(split))
        if noise_key is not None:
            backstage(self._envs[split]).use_noise_key(noise_key)
        return self._envs[split]

    def _observed(
        self,
        observation: Mapping[str, Any],
        info: Mapping[str, Any],
        reward: float = 0.0,
        terminated: bool = False,
        truncated: bool = False,
    ) -> MetisObservation:
        assert self._playing is not None
        inside = backstage(self._playing)
        prefix = "reward_components/"
        turns = inside.episode.turns
        return MetisObservation(
            system=observation["system"],
            text=observation["text"],
            images=[to_data_url(image, self._image_format) for image in observation["images"]],
            reward=reward,
            done=terminated or truncated,
            terminated=terminated,
            truncated=truncated,
            info={key: value for key, value in info.items() if not key.startswith(prefix)},
            reward_components={key.removeprefix(prefix): v for key, v in info.items() if key.startswith(prefix)},
            answer=turns[-1].answer if turns else None,
            grade_step=inside.grade.step.value,
            failure="" if inside.failure is None else type(inside.failure).__name__,
        )

    def _check_open(self) -> None:
        if self._is_closed:
            raise RefusedError("the session is over: it was idle for too long, or closed; connect again")

    def _told(self, act: Callable[[], Any]) -> Any:
        """Do something; what fails is told in full on the server, and by its kind alone to the client."""
        try:
            return act()
        except InfrastructureError as error:
            _log.warning("an episode could not begin: %s", error)
            raise RefusedError(f"the environment failed ({type(error).__name__}): the episode is not scored") from None
        except MetisError as error:
            _log.warning("a request was refused: %s", error)
            raise RefusedError(f"the request was refused ({type(error).__name__})") from None
        except Exception:  # noqa: BLE001 — the border to clients: what is unforeseen may name files, too
            _log.exception("a request failed")
            raise RefusedError("the server failed; its log says why") from None


def _check_numbers(numbers: Mapping[str, Any]) -> None:
    for name, value in numbers.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER
        if not (is_whole or (value is None and name in ("seed", "noise_key"))):
            raise RefusedError(f"{name} is a whole number from 0 to {_MAX_NUMBER}")
