"""The looks of the host at a session's folder, which are short while nothing happens there and miss nothing after."""

import pytest

from metis_gym.errors import SandboxUnavailableError
from metis_gym.sandbox import RunStatus, SandboxLimits, guards
from tests.sandbox.available import start

LIMITS = SandboxLimits(disk_bytes=2 << 20)
COARSE = 12_000_000
WRITE = "import os\nfd = os.open(name, os.O_RDWR | os.O_CREAT)\nfor _ in range(3): os.write(fd, bytes(1 << 20))\n"
# Ways to hold more than the limit allows, in several runs, the last of which is over it.
WAYS = {
    "in the working folder": ["name = 'a'\n" + WRITE],
    "in the temporary folder": ["import tempfile\nname = tempfile.gettempdir() + '/a'\n" + WRITE],
    "beside them": ["name = '../a'\n" + WRITE],
    "in a folder of ones own": ["import os\nos.mkdir('d')", "1", "name = 'd/a'\n" + WRITE],
    "in a folder that takes the place of one": [
        "import os\nos.rename('../work', '../w')\nos.mkdir('../work')",
        "1",
        "name = '../w/a'\n" + WRITE,
    ],
    "in a file that was empty": ["open('a', 'w').close()", "1", "name = 'a'\n" + WRITE],
    "in a file instead of a folder": [
        "import os\nos.rmdir('../tmp')\nopen('../tmp', 'w').close()",
        "1",
        "name = '../tmp'\n" + WRITE,
    ],
    "removed and open": ["name = 'a'\n" + WRITE + "os.unlink('a')"],
    "removed and open before it was written": [
        "import os\nfd = os.open('a', os.O_RDWR | os.O_CREAT)\nos.unlink('a')",
        "1",
        "for _ in range(3): os.write(fd, bytes(1 << 20))",
    ],
    "removed and mapped before it was written": [
        "import mmap, os\nheld = []\nfor _ in range(2):\n    fd = os.open('a', os.O_RDWR | os.O_CREAT)\n"
        "    os.ftruncate(fd, 2 << 20)\n    held.append(mmap.mmap(fd, 2 << 20))\n    os.unlink('a')\n    os.close(fd)",
        "1",
        "for memory in held: memory[:] = bytes(2 << 20)",
    ],
    "removed as soon as made, again and again": [
        "import mmap, os\nheld = []\ndef more():\n    fd = os.open('a', os.O_RDWR | os.O_CREAT)\n"
        "    os.write(fd, bytes(1 << 20))\n    held.append(mmap.mmap(fd, 99))\n    os.unlink('a')\n    os.close(fd)",
        "more()",
        "more()",
        "more()",
    ],
}


@pytest.fixture(scope="module", params=["clock as it is", "coarse clock"])
def watched(request):
    """A backend whose sessions have folders on the host's disk."""
    try:
        backend = start("landlock")
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    backend.open().close()
    if request.param == "coarse clock":
        backend._folders.tick_ns = COARSE
    yield backend
    backend.close()


@pytest.mark.parametrize("at_once", [True, False], ids=["in its first run", "after others"])
@pytest.mark.parametrize("runs", WAYS.values(), ids=WAYS)
def test_files_count_wherever_and_whenever_they_are_made(watched, runs, at_once):
    session = watched.open(limits=LIMITS)
    if not at_once:
        for _ in range(5):
            assert session.run("1").status is RunStatus.OK
    results = [session.run(code) for code in runs]
    assert [result.status for result in results[:-1]] == [RunStatus.OK] * (len(runs) - 1)
    assert "Disk limit of 2 MB reached." in results[-1].stderr
    session.close()


def test_a_session_without_files_is_not_searched_for_removed_ones(watched, monkeypatch):
    searched = []
    monkeypatch.setattr(guards, "hidden_bytes", lambda *given: searched.append(given) or {})
    session = watched.open(limits=LIMITS)
    if watched._folders.tick_ns:  # while the clock has not moved on, the folders' times tell nothing
        session.run("import time\ntime.sleep(0.03)")
        session.run("1")
        searched.clear()
    for _ in range(20):
        session.run("1")
    assert searched == []
    session.run("open('a', 'w').close()\nimport os\nos.unlink('a')")
    assert searched != []
    session.close()


def test_a_session_without_files_is_not_measured_again(watched, monkeypatch):
    session = watched.open(limits=LIMITS)
    if watched._folders.tick_ns:
        session.run("import time\ntime.sleep(0.03)")
    session.run("1")
    measured = []
    monkeypatch.setattr(guards, "measure", measured.append)
    assert session.run("1").status is RunStatus.OK
    assert measured == []
    session.close()
