"""The system-call filter, run in a small interpreter of its own, and the tables, beside the kernel's headers."""

import errno
import re
import signal
import struct
from pathlib import Path

import pytest

from metis_gym.sandbox.inside.seccomp import Filter
from metis_gym.sandbox.inside.syscalls import AUDIT_ARCH, PLATFORMS, numbers

PRETENDED = 0x00050000
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
REFUSED = ERRNO | errno.EPERM
PID = 4711


def decide(program, number, arguments=(), arch=AUDIT_ARCH["x86_64"]):
    """What the kernel would do: an interpreter for the BPF instructions that the filter uses (`man 2 bpf`)."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *[a & (2**64 - 1) for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6]])
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x05:
            at += value
        elif operation in (0x15, 0x35):
            holds = accumulator == value if operation == 0x15 else accumulator >= value
            at += if_true if holds else if_false
        elif operation == 0x06:
            return value
        else:
            raise AssertionError(f"unknown operation {operation:#x}")


@pytest.fixture(params=PLATFORMS)
def ask(request):
    names = numbers(request.param)
    program = Filter(own_files=True, machine=request.param).program(PID)

    def ask(name, *arguments):
        if name not in names:
            pytest.skip(f"{request.param} has no {name}")
        return decide(program, names[name], arguments, AUDIT_ARCH[request.param])

    return ask


@pytest.mark.parametrize("name", ["read", "write", "openat", "mmap", "fsync", "exit_group", "getdents64", "ppoll"])
def test_harmless_calls_are_permitted(ask, name):
    assert ask(name, 1, 2, 3) == ALLOW


@pytest.mark.parametrize("name", ["mount", "unshare", "setns", "prctl", "seccomp", "capset", "setfsuid", "pivot_root"])
def test_the_sandboxs_own_tools_are_refused(ask, name):
    assert ask(name, 1, 2, 3) == REFUSED


def test_new_threads_but_no_processes_and_no_namespaces(ask):
    thread = 0x3D0F00  # what glibc asks for
    assert ask("clone", thread) == ALLOW
    assert ask("clone", thread | 0x400000) == ALLOW  # musl
    for flags in (17, 0x4111, thread | 0x10000000, thread | 0x00020000, thread | 0x8000, thread | 0x1000):
        assert ask("clone", flags) == REFUSED
    assert ask("clone3") == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("shift", range(32))
def test_a_thread_shares_all_that_threads_share_and_takes_nothing_more(ask, shift):
    if shift != 22:  # CLONE_DETACHED, which has no effect
        assert ask("clone", 0x3D0F00 ^ (1 << shift)) == REFUSED


def test_descriptors_are_closed_for_all_threads(ask):
    assert ask("close_range", 3, 9, 0) == ALLOW
    assert ask("close_range", 3, 9, 4) == ALLOW
    for flags in (2, 6, 1, 8):  # 2 is CLOSE_RANGE_UNSHARE
        assert ask("close_range", 3, 9, flags) == REFUSED


def test_signals_to_itself_only(ask):
    assert ask("kill", PID, 9) == ALLOW
    assert ask("tgkill", PID, PID + 1, 9) == ALLOW
    for other in (0, 1, -1, -PID, PID + 1, PID + 2**31):
        assert ask("kill", other, 9) == REFUSED
        assert ask("tgkill", other, PID, 9) == REFUSED


def test_nobody_wakes_itself(ask):
    assert ask("kill", PID, signal.SIGCONT) == REFUSED
    assert ask("tgkill", PID, PID, signal.SIGCONT) == REFUSED


def test_descriptors_may_not_get_an_owner_to_signal(ask):
    for command in (0, 1, 2, 3, 4, 1030):
        assert ask("fcntl", 0, command) == ALLOW
    # F_SETOWN, _GETOWN, _SETSIG, _SETOWN_EX, _GETOWN_EX, _SETLEASE, _GETLEASE, _NOTIFY, _DUPFD_QUERY, _SETPIPE_SZ, …
    for command in (8, 9, 10, 15, 16, 1024, 1025, 1026, 1027, 1031, 1033, 1034):
        assert ask("fcntl", 0, command) == REFUSED


def test_locks_pretend_to_succeed_and_nobody_hears_of_others(ask):
    assert ask("flock", 3, 6) == PRETENDED
    for command in (6, 7, 37, 38):
        assert ask("fcntl", 3, command, 4096) == PRETENDED
    for command in (5, 36):
        assert ask("fcntl", 3, command, 4096) == ALLOW  # there is none to be found


def test_futexes_are_private_or_waited_for(ask):
    for operation in (0, 1, 3, 4, 5, 6, 9, 10):
        assert ask("futex", 4096, operation | 128) == ALLOW
        assert ask("futex", 4096, operation | 128 | 256) == ALLOW
    for operation in (0, 9, 9 | 256):
        assert ask("futex", 4096, operation) == ALLOW  # how a thread is joined
    for operation in (1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13):
        assert ask("futex", 4096, operation) == REFUSED


@pytest.mark.parametrize("name", ["getpgid", "getsid", "sched_getparam", "sched_getscheduler", "sched_getaffinity"])
def test_only_about_itself(ask, name):
    assert ask(name, 0) == ask(name, PID) == ALLOW
    for other in (1, 2, -1, PID + 1):
        assert ask(name, other) != ALLOW


def test_only_its_own_priority(ask):
    assert ask("getpriority", 0, 0) == ask("getpriority", 0, PID) == ALLOW
    for which, who in ((0, 1), (1, 0), (2, 0), (2, PID)):
        assert ask("getpriority", which, who) == REFUSED


def test_options_of_sockets_say_nothing_about_the_peer(ask):
    for option in (3, 4, 7, 8, 30, 38, 39):
        assert ask("getsockopt", 3, 1, option) == ALLOW
    for option in set(range(130)) - {3, 4, 7, 8, 30, 38, 39}:
        assert ask("getsockopt", 3, 1, option) == REFUSED
    for level in (0, 6, 17, 41, 270):
        assert ask("getsockopt", 3, level, 3) == REFUSED
    for name in ("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"):
        assert ask(name) == ERRNO | errno.ENOTSUP


@pytest.mark.parametrize("name", ["sysinfo", "statfs", "fstatfs"])
def test_what_the_machine_is_busy_with_is_not_told(ask, name):
    assert ask(name) == ERRNO | errno.ENOSYS


def test_the_parent_has_no_number(ask):
    assert ask("getppid") == PRETENDED


def test_four_requests_to_devices(ask):
    for request in (0x5401, 0x541B, 0x5421, 0x5451):
        assert ask("ioctl", 0, request) == ALLOW
        assert ask("ioctl", 0, request | 1 << 40) == ALLOW  # the kernel looks at 32 bits only
    for request in (0x5412, 0x541C, 0x540E, 0x8901, 0):
        assert ask("ioctl", 0, request) == REFUSED


def test_limits_may_be_read_and_not_set(ask):
    assert ask("prlimit64", 0, 1, 0, 4096) == ALLOW
    assert ask("prlimit64", PID, 1, 0, 4096) == ALLOW
    assert ask("prlimit64", PID + 1, 1, 0, 4096) == REFUSED
    assert ask("prlimit64", 0, 1, 4096, 0) == REFUSED
    assert ask("prlimit64", 0, 1, 1 << 40, 0) == REFUSED


def test_socket_pairs_of_connected_streams_only(ask):
    assert ask("socketpair", 1, 1) == ALLOW
    assert ask("socketpair", 1, 1 | 0o2000000 | 0o4000) == ALLOW
    for family, kind in ((1, 2), (1, 5), (2, 1), (16, 1), (1, 1 | 1 << 20)):
        assert ask("socketpair", family, kind) == REFUSED
    assert ask("sendto", 3, 4096, 10, 0, 0) == ALLOW
    assert ask("sendto", 3, 4096, 10, 0, 4096) == REFUSED
    assert ask("sendto", 3, 4096, 10, 0, 1 << 40) == REFUSED


@pytest.mark.parametrize("machine", PLATFORMS)
def test_everything_that_is_not_listed_is_refused(machine):
    program = Filter(own_files=True, machine=machine).program(PID)
    listed = set(numbers(machine).values())
    for number in set(range(600)) - listed:
        assert decide(program, number, arch=AUDIT_ARCH[machine]) == REFUSED
    permitted = [n for n in listed if decide(program, n, (PID,), AUDIT_ARCH[machine]) == ALLOW]
    assert 100 < len(permitted) < 170


def test_other_architectures_end_the_process():
    program = Filter(own_files=True, machine="x86_64").program(PID)
    assert decide(program, 0, arch=AUDIT_ARCH["aarch64"]) == KILL
    assert decide(program, 0, arch=0x40000003) == KILL  # i386
    assert decide(program, 0x40000000) == KILL  # x32
    assert decide(program, 0xFFFFFFFF) == KILL


@pytest.mark.parametrize("name", ["chmod", "fchmod", "fchmodat", "utimensat", "utime"])
def test_where_only_landlock_guards_files_modes_and_times_are_pretended_to_change(name):
    number = numbers("x86_64")[name]
    assert decide(Filter(own_files=True, machine="x86_64").program(PID), number) == ALLOW
    assert decide(Filter(own_files=False, machine="x86_64").program(PID), number) == ERRNO


def test_where_only_landlock_guards_files_links_lead_nowhere_and_files_have_names():
    names = numbers("x86_64")
    own, elsewhere = (Filter(own_files=own, machine="x86_64").program(PID) for own in (True, False))
    for name, answer in (
        ("readlink", errno.EINVAL),
        ("readlinkat", errno.EINVAL),
        ("uname", errno.EPERM),
        ("fallocate", errno.ENOTSUP),
    ):
        assert decide(own, names[name]) == ALLOW
        assert decide(elsewhere, names[name]) == ERRNO | answer
    temporary = 0o20200002
    assert decide(own, names["openat"], (-100, 4096, temporary)) == ALLOW
    assert decide(elsewhere, names["openat"], (-100, 4096, temporary)) == ERRNO | errno.ENOTSUP
    assert decide(elsewhere, names["open"], (4096, temporary)) == ERRNO | errno.ENOTSUP
    assert decide(elsewhere, names["openat"], (-100, 4096, 0o102)) == ALLOW


@pytest.mark.parametrize("pid", [1, 2, 77777, 4_000_000])
def test_every_session_has_its_own_number_in_the_filter(pid):
    program = Filter(own_files=False, machine="x86_64").program(pid)
    other = Filter(own_files=False, machine="x86_64").program(pid + 1)
    kill = numbers("x86_64")["kill"]
    assert decide(program, kill, (pid, 9)) == ALLOW
    assert decide(other, kill, (pid, 9)) == REFUSED
    assert len(program) == len(other)


HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
OTHER_NAMES = {"newfstatat": "fstatat"}
NEWER_THAN_SOME_HEADERS = {"fchmodat2": 452}


@pytest.mark.parametrize("machine", PLATFORMS)
def test_numbers_are_those_of_the_kernels_headers(machine):
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"the kernel's headers are not installed: {header}")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    official = {**NEWER_THAN_SOME_HEADERS, **{name: int(number) for name, number in found}}
    for name, number in numbers(machine).items():
        assert official.get(name, official.get(OTHER_NAMES.get(name, ""))) == number, name


def test_another_machine_has_no_table():
    with pytest.raises(ValueError, match="no table of system calls for 'riscv64'; there is one for x86_64 and aarch64"):
        numbers("riscv64")
