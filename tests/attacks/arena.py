"""Runs attacks against one backend, in this process, and looks for damage after each."""

import time
from dataclasses import dataclass

import numpy as np

from metis_gym.errors import SandboxError
from metis_gym.sandbox import RunResult, SandboxBackend, SharedImages
from tests.attacks.attack import BREACH, PREAMBLE, Attack
from tests.attacks.ground import Ground

GRACE = 0.2
"""Seconds between interruption and end: short, for the sake of the tests' time."""
_OURS = ("namespace", "landlock", "docker")
_IMAGE = np.full((8, 9, 3), 200, np.uint8)
_HONEST = (
    "import numpy as np\nprint(np.arange(10).sum(), image_1.size, set(image_1.tobytes()), open('given.txt').read())"
)
_OF_THE_SIBLING = "value + 1, image_1.size, set(image_1.tobytes())"


@dataclass(frozen=True)
class Verdict:
    """What came of an attack."""

    status: str
    breaches: list[str]


class Arena:
    """A backend with a sibling session that has to survive everything.

    Args:
        backend: What is attacked.
        try_next: Whether a further session is tried after each attack, which takes long where sessions do.
    """

    def __init__(self, backend: SandboxBackend, *, try_next: bool = True) -> None:
        self._backend = backend
        self._try_next = try_next
        self.ground = Ground()
        self._images = SharedImages([_IMAGE])  # as the episodes of a group share those of their task
        self._sibling = backend.open(images=self._images)
        self._sibling.run(f"open('sibling.txt', 'w').write({self.ground.tokens['sibling']!r}); value = 41")

    def attack(self, attack: Attack) -> Verdict:
        """Run an attack and everything that has to hold afterwards."""
        files = {"image_files": True} if attack.image_files and self._backend.name in _OURS else {}
        session = self._backend.open(images=self._images, limits=attack.limits, **files)
        text, results = "", []
        breaches: list[str] = []
        try:
            for number, cell in enumerate(attack.cells):
                time.sleep(attack.pause if number else 0)
                result = session.run(f"{PREAMBLE}\nG = {self.ground.hints()!r}\n{cell}", timeout=attack.timeout)
                results.append(result)
                text += result.stdout + result.stderr + result.result_text
                breaches += _over_limits(result, attack)
                if not session.alive:
                    break
        finally:
            session.close()
        breaches += [line for line in text.splitlines() if line.startswith(BREACH)]
        damage = self.ground.damage()
        breaches += self.ground.leaked(text) + damage
        if damage:  # a fresh one, or the next attacks would be blamed for it
            self.ground.close()
            self.ground = Ground()
        breaches += filter(None, [attack.judge(results[-1])])
        return Verdict(results[-1].status.value, breaches + self._aftermath())

    def close(self) -> None:
        self._sibling.close()
        self._backend.close()
        self.ground.close()

    def _aftermath(self) -> list[str]:
        """The sibling session and the next one must work as before."""
        found = []
        try:
            if (kept := self._sibling.run(_OF_THE_SIBLING).result_text) != "(42, (9, 8), {200})":
                found.append(f"the sibling session answers {kept!r}")
            if not self._try_next:
                return found
            following = self._backend.open(images=self._images, files={"given.txt": b"hey"})
            said = following.run(_HONEST).stdout
            following.close()
            if said != "45 (9, 8) {200} hey\n":
                found.append(f"the next session says {said!r}")
        except SandboxError as error:
            found.append(f"the backend broke: {error}")
        return found


def _over_limits(result: RunResult, attack: Attack) -> list[str]:
    limits = attack.limits
    found = []
    slack = 4096  # for the traceback's last lines and the names of the limits
    if len(result.stdout) > limits.output_bytes + slack or len(result.stderr) > limits.output_bytes + slack:
        found.append(f"{len(result.stdout)} and {len(result.stderr)} characters of output")
    if len(result.result_text) > limits.output_bytes:
        found.append(f"{len(result.result_text)} characters of result")
    if len(result.images) > limits.images:
        found.append(f"{len(result.images)} images")
    if sum(image.shape[0] * image.shape[1] for image in result.images) > limits.image_pixels:
        found.append("images over the limit")
    if result.seconds > attack.timeout + 3:
        found.append(f"it took {result.seconds:.1f} s")
    return found
