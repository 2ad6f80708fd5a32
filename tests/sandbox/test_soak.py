"""Twenty thousand sessions, honest and hostile, after which everything is as it was."""

import gc
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from metis_gym.sandbox.backends import ZygoteBackend
from tests.attacks.attack import PREAMBLE
from tests.attacks.catalogue import ATTACKS
from tests.attacks.ground import Ground
from tests.sandbox.available import start
from tests.sandbox.events import wait_until

SESSIONS = 20_000
WARM_UP = 500
THREADS = 4
ATTACKS_IN_HUNDRED = 3
IMAGE = np.full((20, 30, 3), 9, np.uint8)
# Those that take seconds by their nature would make this a test of patience.
SLOW = (
    "hangs",
    "exhaustion",
    "output-image_bomb",
    "output-archive_bomb",
    "crashes-stack",
    "reading-p",
    "reading-code",
)
QUICK = [attack for attack in ATTACKS if not attack.name.startswith(SLOW) and "for_ever" not in attack.name]
HONEST = """
import numpy as np
from PIL import Image
open('a.txt', 'w').write('x' * 1000)
print(np.asarray(image_1).sum(), sum(range({number})))
image_1.resize((40, 40))
"""


def family(pid):
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, grew = {pid}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return found - {pid}


def count(path):
    try:
        return len(os.listdir(path))
    except OSError:
        return 0


def mounts(path):
    """Mounts but those of a Docker engine, which may be busy with something else."""
    try:
        return sum("docker" not in line for line in Path(path).read_text().splitlines())
    except OSError:
        return 0


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def state(backend):
    """What must not grow."""
    gc.collect()
    launcher = backend._zygote._process.pid
    zygotes = {pid for pid in family(launcher) if pid in children_of(launcher)} or {launcher}
    zygote = min(zygotes)
    folder = backend._folders.path if backend._folders else tempfile.mkdtemp()
    return {
        "processes": len(family(os.getpid())),
        "threads": threading.active_count(),
        "descriptors": count("/proc/self/fd"),
        "descriptors of the zygote": count(f"/proc/{zygote}/fd"),
        "mounts": mounts("/proc/self/mountinfo"),
        "mounts of the zygote": mounts(f"/proc/{zygote}/mountinfo"),
        "folders": count(folder),
        "control groups": sum("docker" not in place for place, _, _ in os.walk("/sys/fs/cgroup")),
        "shared memory": count("/dev/shm"),
    }, {"host": resident(os.getpid()), "zygote": resident(zygote)}


def children_of(pid):
    found = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        found |= {int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()}
    return found


def live(backend, ground, numbers, wrong):
    chance = random.Random(min(numbers))
    for number in numbers:
        if chance.randrange(100) < ATTACKS_IN_HUNDRED:
            attack = chance.choice(QUICK)
            session = backend.open(images=[IMAGE], limits=attack.limits)
            for cell in attack.cells:
                result = session.run(f"{PREAMBLE}\nG = {ground.hints()!r}\n{cell}", timeout=0.5)
                text = result.stdout + result.stderr + result.result_text
                if "BREACH" in text or ground.leaked(text):
                    wrong.append((attack.name, text[:300]))
                if not session.alive:
                    break
        else:
            session = backend.open(images=[IMAGE], seed=number)
            result = session.run(HONEST.format(number=number))
            if result.stdout != f"{IMAGE.sum()} {sum(range(number))}\n" or result.images[0].shape != (40, 40, 3):
                wrong.append((number, result))
        session.close()


def spread(backend, ground, first, last):
    wrong = []
    parts = [range(first + offset, last, THREADS) for offset in range(THREADS)]
    threads = [threading.Thread(target=live, args=(backend, ground, part, wrong)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def growth(backend, before):
    """What has grown, in the end: ended processes are cleared away a moment later."""
    deadline = time.monotonic() + 10
    while True:
        now, memory = state(backend)
        grown = {what: (before[what], count) for what, count in now.items() if count > before[what]}
        if not grown or time.monotonic() > deadline:
            return grown, memory
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["namespace", "landlock"])
def test_twenty_thousand_sessions_leave_everything_as_it_was(name):
    backend = start(name)
    assert isinstance(backend, ZygoteBackend)
    ground = Ground()
    assert spread(backend, ground, 1, WARM_UP) == []
    # This process, the zygote with its launcher where it has one, and the child that waits to become a session.
    wait_until(lambda: len(family(os.getpid())) == (4 if name == "namespace" else 3))
    before, memory_before = state(backend)
    assert spread(backend, ground, WARM_UP, SESSIONS + 1) == []
    grown, memory_after = growth(backend, before)
    assert grown == {}
    assert ground.damage() == []
    for who, used in memory_after.items():
        assert used - memory_before[who] < 20 << 20, f"the {who} grew from {memory_before[who]} to {used} bytes"
    ground.close()
    backend.close()
