"""The bounded client, as search uses it: what fails is a failed search, and a wrong shape is described, not quoted."""

from metis_gym.errors import SearchError
from metis_gym.http import Client as BoundedClient
from metis_gym.http import Policy, check_url

__all__ = ["Client", "Policy", "check_url", "shape_error"]


class Client(BoundedClient):
    """The bounded HTTP client of a search service; its failures are search errors."""

    raises = SearchError


def shape_error(client: Client, expected: str, actual: object) -> Exception:
    """The error for an answer that is JSON, but not what the service documents."""
    return client.error(f"expected {expected}; actually: {_shape(actual)}")


def _shape(value: object) -> str:
    """What kind of JSON this is, without a word of what stands in it.

    >>> _shape([1, 2]), _shape({"a": 1}), _shape(None)
    ('a list of 2', 'an object of 1', 'null')
    """
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return "null" if value is None else f"a {type(value).__name__}"
