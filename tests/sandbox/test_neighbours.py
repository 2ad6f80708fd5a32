"""Two sessions of one backend: neither sees or holds up the other."""

import ast
import fcntl
import struct

import pytest

from metis_gym.sandbox import RunStatus

LOCKS = {
    "flock": "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "lockf": "fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)",
    "description": "fcntl.fcntl(file, 37, struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0))",
}


@pytest.fixture
def pair(isolated):
    first, second = isolated.open(), isolated.open()
    yield first, second
    first.close()
    second.close()


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_both_hold_every_lock_on_a_file_that_both_see(pair, lock):
    code = f"import fcntl, os, struct\nfile = open(os.__file__, 'rb')\n{lock}\n'held'"
    assert [session.run(code).result_text for session in pair] == ["'held'", "'held'"]


def test_nobody_learns_of_a_lock(pair):
    first, second = pair
    first.run("import fcntl, os\nfile = open(os.__file__, 'rb')\nfcntl.lockf(file, fcntl.LOCK_SH)")
    asked = second.run(
        "import fcntl, os, struct\nfile = open(os.__file__, 'rb')\n"
        "fcntl.fcntl(file, fcntl.F_GETLK, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0))"
    )
    assert asked.status is RunStatus.OK
    assert struct.unpack("hhqqi", ast.literal_eval(asked.result_text))[0] == fcntl.F_UNLCK


def test_limits_of_the_other_are_not_read(pair):
    first, second = pair
    pid = first.run("import os\nos.getpid()").result_text
    code = f"import os, resource\nresource.prlimit({pid}, resource.RLIMIT_NOFILE) if os.getpid() != {pid} else 'own'"
    result = second.run(code)
    assert result.result_text == "'own'" or "PermissionError" in result.stderr


def test_the_folder_of_the_other_has_a_name_that_cannot_be_guessed(pair):
    places = [session.run("import os\nos.getcwd()").result_text.strip("'") for session in pair]
    if places == ["/sandbox", "/sandbox"]:
        return  # each has its own file system there
    names = [place.split("/")[-2] for place in places]
    assert names[0] != names[1]
    assert all(len(name) == 32 for name in names)


def test_a_database_works_on_disk_with_two_connections(isolated):
    session = isolated.open()
    result = session.run(
        "import sqlite3, threading\n"
        "first = sqlite3.connect('a.db', timeout=5)\n"
        "first.execute('create table t (x)')\n"
        "first.execute('insert into t values (1)')\nfirst.commit()\n"
        "second = sqlite3.connect('a.db')\n"
        "second.execute('insert into t values (2)')\nsecond.commit()\n"
        "first.execute('pragma journal_mode=wal')\n"
        "first.execute('insert into t values (3)')\nfirst.commit()\n"
        "first.execute('vacuum')\n"
        "second.execute('select sum(x) from t').fetchone()"
    )
    assert (result.result_text, result.stderr) == ("(6,)", "")
    session.close()


def test_copies_keep_what_they_can(isolated):
    session = isolated.open()
    result = session.run(
        "import os, shutil, tempfile\nopen('a', 'w').write('x')\nshutil.copy2('a', 'b')\nshutil.copystat('a', 'b')\n"
        "with tempfile.TemporaryFile() as file:\n    file.write(b'y')\n"
        "os.path.realpath('a') == os.path.join(os.getcwd(), 'a'), os.uname().nodename"
    )
    assert (result.result_text, result.stderr) == ("(True, 'sandbox')", "")
    session.close()
