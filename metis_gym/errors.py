"""Every error this project raises on purpose.

```
MetisError
├── ConfigError (ValueError)            an argument that is not valid; the message names the valid ones
│   └── UnknownNameError                a name that no registry knows; the message suggests the nearest
├── InvalidActionError (TypeError)      an action that no model could have produced, such as a number
├── MissingDependencyError (ImportError)  an optional package is absent; the message holds the install command
├── TaskIdError (ValueError)            a task id that cannot be read, or was made by other versions
├── StorageError                        a folder of results that cannot be written or read; what was finished is kept
├── ImageError (ValueError)             an image that cannot be decoded: damaged, too large, or of another format
├── TaskDataError (ValueError)          a file of tasks, or a row of it, that cannot be used
├── RecordingError                      a recorded run that cannot be written, read or replayed
├── NonFiniteError (ArithmeticError)    training met a NaN or an infinity; the message names what was not finite
├── BudgetError                         a prompt, an observation or an image that is larger than a model may be given
├── CheckpointError                     a checkpoint that cannot be written or read; the last whole one stays
├── RankLostError                       another rank of a distributed run is gone; the last checkpoint stands
├── SandboxUnavailableError             no isolation can be had on this machine: nothing was run
├── SearchIndexError                    a corpus or an index that cannot be built or opened; the message names the row
└── InfrastructureError                 failed, not wrong: the episode is *unscored*, never scored 0
    ├── EndpointError                   a model's endpoint gave no usable answer, however often it was asked
    ├── JudgeError                      an LLM judge gave no verdict, or its endpoint failed
    ├── SandboxError                    a sandbox broke (not the code in it)
    └── SearchError                     a search failed: a service, a time-out, a damaged index
```

Whatever the *model* does wrong is no error here: it gets an observation that says what was wrong, and the episode
goes on.

Messages quote what they met. `str(error)` is printable: control and direction characters in it are escaped, so that no
traceback, log or command sends them to a terminal. `error.args` holds the message as it was made.
"""

from metis_gym.terminal import printable

__all__ = [
    "BudgetError",
    "CheckpointError",
    "ConfigError",
    "EndpointError",
    "ImageError",
    "InfrastructureError",
    "InvalidActionError",
    "JudgeError",
    "MetisError",
    "MissingDependencyError",
    "NonFiniteError",
    "RankLostError",
    "RecordingError",
    "SandboxError",
    "SandboxUnavailableError",
    "SearchError",
    "SearchIndexError",
    "StorageError",
    "TaskDataError",
    "TaskIdError",
    "UnknownNameError",
]


class MetisError(Exception):
    """Base of all errors raised on purpose by this project."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(MetisError, ValueError):
    """An argument that is not valid. The message says what was given and what is valid."""


class UnknownNameError(ConfigError):
    """A name that no registry knows."""


class InvalidActionError(MetisError, TypeError):
    """An action of a type that no model could have produced (a number, None, …)."""


class MissingDependencyError(MetisError, ImportError):
    """An optional package is absent. The message holds the command that installs it."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> "MissingDependencyError":
        """Build the error for one package.

        Args:
            package: The import that failed.
            extra: The extra of this distribution that brings it.
            purpose: What needs it, to end the sentence "… needs it".
        """
        return cls(
            f"{purpose} needs {package}, which is not installed. Install it with: pip install 'metis-gym[{extra}]'"
        )


class NonFiniteError(MetisError, ArithmeticError):
    """Training met a NaN or an infinity. The message names what was not finite; no step was taken with it."""


class BudgetError(MetisError):
    """A prompt, an observation or an image that is larger than a model may be given. Nothing is cut in silence."""


class CheckpointError(MetisError):
    """A checkpoint that cannot be written or read. What was written before it is untouched."""


class TaskIdError(MetisError, ValueError):
    """A task id that cannot be read, or that was made by other versions of the generating packages."""


class StorageError(MetisError):
    """A folder of results that cannot be written (no permission, a full disk) or read. What was finished is kept."""


class ImageError(MetisError, ValueError):
    """An image that cannot be decoded: damaged, cut off, too large, or of a format that is not read."""


class TaskDataError(MetisError, ValueError):
    """A file of tasks, or a row of it, that cannot be used. The message names the file, the row and what is wrong."""


class RecordingError(MetisError):
    """A recorded run that cannot be written, read or replayed."""


class RankLostError(MetisError):
    """Another rank of a distributed run is gone. Its own output says why; the last checkpoint stands."""


class SandboxUnavailableError(MetisError):
    """No isolation can be had on this machine. Nothing was run without it."""


class SearchIndexError(MetisError):
    """A corpus or an index that cannot be built or opened. The message names the file and the row, if there is one."""


class InfrastructureError(MetisError):
    """Something around the model failed. The episode is unscored: left out of every statistic and of the loss."""


class EndpointError(InfrastructureError):
    """A model's endpoint gave no usable answer, however often it was asked. It is never taken for a wrong answer."""


class SandboxError(InfrastructureError):
    """A sandbox broke. What the *code* in it does (raise, hang, exhaust a limit) is a result, not this error."""


class JudgeError(InfrastructureError):
    """An LLM judge gave no verdict, or its endpoint failed. The answer is neither right nor wrong."""


class SearchError(InfrastructureError):
    """A search failed. The message says why; it is never an empty result, and it is never cached."""
