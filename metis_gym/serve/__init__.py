"""Environments as a server, for trainers on other machines (extra `[openenv]`): OpenEnv's protocol, and a client.

`metis-gym serve` starts the server, which any client of OpenEnv may use. `MetisRemote-v0` is a Gymnasium environment
that plays on such servers: `gym.make("metis_gym:MetisRemote-v0", urls=["http://127.0.0.1:8000"])`.
"""

from metis_gym.serve.images import IMAGE_FORMATS, read_data_url, to_data_url

__all__ = ["IMAGE_FORMATS", "read_data_url", "to_data_url"]
