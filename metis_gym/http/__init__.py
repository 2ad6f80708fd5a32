"""One bounded HTTP client for everything that asks a service: search engines, endpoints of models, judges.

```python
from metis_gym.http import Answer, Client, Policy

client = Client(service="scores", policy=Policy(timeout=10.0))
client.json("POST", "https://scores.example/v1", json={"text": "…"})
```
Subclass `Client` and set `raises` to have failures raised as an error of one's own kind.
"""

from metis_gym.http.addresses import check_url
from metis_gym.http.client import Answer, Client, Policy
from metis_gym.http.sockets import Deadline

__all__ = ["Answer", "Client", "Deadline", "Policy", "check_url"]
