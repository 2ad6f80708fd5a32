"""The last wall: a seccomp filter that permits about 150 harmless system calls and refuses the rest.

Source: `man 2 seccomp`; the filter is classic BPF over `struct seccomp_data {nr, arch, instruction_pointer, args[6]}`.
What is not listed answers EPERM; calls of another architecture (and x32) end the process. There is no way to make a
process, a socket to anywhere, a mount, or to signal anybody but oneself. Calls that tell something about the machine or
about other processes answer for the caller only, or fail as they would on a kernel without them.

File locks pretend to succeed: sessions share the libraries' files, and would see each other's locks on them. Where only
Landlock guards the file system, further calls that it does not know pretend to succeed (chmod, utime) or find nothing
(readlink): they would reach files outside of the working folder, and honest code such as `shutil.copy` makes them.
"""

import ctypes
import errno
import signal
import struct
from collections.abc import Iterable, Mapping, Sequence

from .syscalls import AUDIT_ARCH, MACHINE, call, numbers

__all__ = ["Filter", "ask_before_clone", "install", "session_calls"]

_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_EQUAL, _AT_LEAST = 0x15, 0x35
_ALLOW, _KILL, _ERRNO, _NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3

_PLAIN = """
read write readv writev pread64 pwrite64 preadv pwritev lseek sendfile copy_file_range
creat close dup dup2 dup3 pipe pipe2
stat fstat lstat newfstatat statx access faccessat faccessat2
getdents getdents64 getcwd chdir fchdir umask
mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat
truncate ftruncate fadvise64 readahead fsync fdatasync msync
mmap munmap mremap mprotect madvise brk
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigsuspend sigaltstack
pause alarm setitimer getitimer restart_syscall
exit exit_group set_robust_list set_tid_address rseq membarrier
sched_yield sched_get_priority_max sched_get_priority_min getcpu
getpid gettid getuid geteuid getgid getegid getresuid getresgid getgroups capget
getrlimit getrusage times wait4 waitid
time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getrandom
select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
recvfrom shutdown getsockname getpeername
"""
_FILE_TIMES_AND_MODES = "chmod fchmod fchmodat utime utimes futimesat utimensat"
_OF_ONES_OWN = "getpgid getsid sched_getparam sched_getscheduler"
"""Ask about a process, the first argument."""
_OF_OWN_FILES = "fallocate open openat readlink readlinkat uname"
"""Permitted where the session sees nothing but its own; what they answer elsewhere is in `_elsewhere`."""
_CHECKED = """
clone close_range fcntl flock futex getppid getpriority getsockopt ioctl kill prlimit64 sched_getaffinity sendto
socketpair tgkill
"""
_EXTENDED_ATTRIBUTES = "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr"
_MISSING = "clone3 openat2 fchmodat2 statfs fstatfs sysinfo"
"""These answer as on a kernel without them. The last three tell what all others on the machine use up."""

# CLONE_VM, _FS, _FILES, _SIGHAND, _THREAD, _SYSVSEM, _SETTLS, _PARENT_SETTID, _CHILD_CLEARTID: what pthreads ask for. A
# thread without _FILES would have descriptors of its own, which nobody counts. musl adds CLONE_DETACHED, a flag without
# any effect.
_THREAD = 0x003D0F00
_THREADS = (_THREAD, _THREAD | 0x00400000)
_CLOSE_RANGE_FLAGS = (0, 4)  # _CLOEXEC, but not _UNSHARE: again descriptors of one's own
# No owner, no signal, no lease, no pipe size. Asking for locks (F_GETLK, F_OFD_GETLK) finds none: no session has one.
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 36, 1030, 1032)
_FCNTL_LOCKS = (6, 7, 37, 38)  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
_FUTEX_PRIVATE, _FUTEX_CLOCK = 128, 256
_FUTEX_WAITS = (0, 9)  # FUTEX_WAIT, FUTEX_WAIT_BITSET
_IOCTL_REQUESTS = (0x5401, 0x541B, 0x5421, 0x5451)  # TCGETS, FIONREAD, FIONBIO, FIOCLEX
_SOL_SOCKET = 1
# SO_TYPE, _ERROR, _SNDBUF, _RCVBUF, _ACCEPTCONN, _PROTOCOL, _DOMAIN: nothing about the peer, which is the host.
_SOCKET_OPTIONS = (3, 4, 7, 8, 30, 38, 39)
_O_TMPFILE = 0x00400000
_AF_UNIX, _SOCK_STREAM = 1, 1
_SOCK_FLAGS = 0o2000000 | 0o4000
_ANY_PID = 0x5E55_1042
"""Stands for the session's process id in a program that is not told it yet."""


Code = list[bytes]
"""BPF instructions, eight bytes each."""


def _instruction(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> Code:
    return [struct.pack("<HBBI", operation, if_true, if_false, value & 0xFFFFFFFF)]


def _verdict(action: int) -> Code:
    return _instruction(_RETURN, action)


def _fail(error: int) -> Code:
    return _verdict(_ERRNO | error)


_REFUSE = _fail(errno.EPERM)
_PRETEND = _fail(0)


def _load_argument(index: int, *, high: bool = False) -> Code:
    return _instruction(_LOAD, _OFFSET_ARGUMENTS + 8 * index + (4 if high else 0))


def _unless_equal(value: int, then: Code) -> Code:
    return _instruction(_EQUAL, value, len(then), 0) + then


def _one_of(index: int, values: Iterable[int], *, keep: int = 0xFFFFFFFF, otherwise: Code = _REFUSE) -> Code:
    """Permit when the low half of argument `index`, masked with `keep`, is one of `values`."""
    code = _load_argument(index) + _instruction(_AND, keep)
    for value in values:
        code += _instruction(_EQUAL, value, 0, 1) + _verdict(_ALLOW)
    return code + otherwise


def _require(index: int, values: Sequence[int]) -> Code:
    """Refuse, and else go on, unless the low half of argument `index` is one of `values`."""
    code = _load_argument(index)
    for number, value in enumerate(values):
        code += _instruction(_EQUAL, value, len(values) - number, 0)
    return code + _REFUSE


def _null(index: int) -> Code:
    """Permit when argument `index` is a null pointer."""
    halves = [_load_argument(index, high=high) + _unless_equal(0, _REFUSE) for high in (False, True)]
    return halves[0] + halves[1] + _verdict(_ALLOW)


def _without_flag(index: int, flag: int) -> Code:
    """Permit when argument `index` lacks a flag, which this file system does not know then."""
    code = _load_argument(index) + _instruction(_AND, flag)
    return code + _unless_equal(0, _fail(errno.ENOTSUP)) + _verdict(_ALLOW)


def _itself(otherwise: Code = _REFUSE) -> Code:
    """Permit when argument 0 is the session's process id, or 0, which means the caller."""
    return _one_of(0, (0, _ANY_PID), otherwise=otherwise)


def _signal_to_itself(index: int) -> Code:
    """Permit a signal, argument `index`, to the session; but not SIGCONT, which would undo the host's SIGSTOP."""
    going_on = _load_argument(index) + _instruction(_EQUAL, signal.SIGCONT, 0, 1) + _REFUSE
    return going_on + _one_of(0, (_ANY_PID,))


def _descriptor() -> Code:
    """Commands to a descriptor. Locks pretend to succeed."""
    locks = _load_argument(1)
    for value in _FCNTL_LOCKS:
        locks += _instruction(_EQUAL, value, 0, 1) + _PRETEND
    return locks + _one_of(1, _FCNTL_COMMANDS)


def _futex() -> Code:
    """Permit what stays in the process: a shared futex in a library's file would wake another session.

    Waiting is permitted, because that is how a thread is joined: the kernel wakes the waiter.
    """
    private = _load_argument(1) + _instruction(_AND, _FUTEX_PRIVATE) + _unless_equal(0, _verdict(_ALLOW))
    return private + _one_of(1, _FUTEX_WAITS, keep=~_FUTEX_CLOCK)


def _stream_pair() -> Code:
    """Permit a `socketpair` of connected unix streams: a datagram pair could write to any other socket."""
    return _load_argument(0) + _unless_equal(_AF_UNIX, _REFUSE) + _one_of(1, (_SOCK_STREAM,), keep=~_SOCK_FLAGS)


def _decide(blocks: Sequence[tuple[int, Code]]) -> Code:
    """Choose among blocks by the number of the call, which is loaded, in as few steps as there are halvings.

    The kernel tries the filter on every possible call when it is installed, so that a list, which takes a step for
    each permitted call, would cost every session a fifth of a millisecond.

    Args:
        blocks: Pairs of the first number that a block is for, and the block; sorted. Each ends in a verdict.
    """
    if len(blocks) == 1:
        return blocks[0][1]
    middle = len(blocks) // 2
    low, high = _decide(blocks[:middle]), _decide(blocks[middle:])
    # A conditional jump reaches 255 instructions, an unconditional one any number.
    return _instruction(_AT_LEAST, blocks[middle][0], 0, 1) + _instruction(_JUMP, len(low)) + low + high


def session_calls() -> tuple[str, ...]:
    """Names of all calls that have an answer of their own in some tier."""
    groups = (_PLAIN, _FILE_TIMES_AND_MODES, _OF_ONES_OWN, _OF_OWN_FILES, _CHECKED, _EXTENDED_ATTRIBUTES)
    return tuple(name for group in groups for name in group.split())


class Filter:
    """The filter of one tier, built once and installed by every session.

    Args:
        own_files: The session sees no files but its own and read-only mounts, so that modes and times may be set.
        machine: Architecture.
    """

    def __init__(self, *, own_files: bool, machine: str = MACHINE) -> None:
        self._machine = machine
        self._numbers = numbers(machine)
        blocks = {self._numbers[name]: block for name, block in _blocks(own_files).items() if name in self._numbers}
        self._program = b"".join(self._architecture() + _decide(_ranges(blocks)))

    def program(self, pid: int) -> bytes:
        """The instructions, for a process that may signal and ask about `pid`, itself, only."""
        return self._program.replace(struct.pack("<I", _ANY_PID), struct.pack("<I", pid))

    def _architecture(self) -> Code:
        code = _instruction(_LOAD, _OFFSET_ARCH) + _unless_equal(AUDIT_ARCH[self._machine], _verdict(_KILL))
        code += _instruction(_LOAD, _OFFSET_NUMBER)
        if self._machine == "x86_64":
            code += _instruction(_AT_LEAST, _X32, 0, 1) + _verdict(_KILL)
        return code


def _blocks(own_files: bool) -> dict[str, Code]:
    """What is decided about each call."""
    allow = _verdict(_ALLOW)
    return {
        **dict.fromkeys(_PLAIN.split(), allow),
        **dict.fromkeys(_MISSING.split(), _fail(errno.ENOSYS)),
        **dict.fromkeys(_FILE_TIMES_AND_MODES.split(), allow if own_files else _PRETEND),
        **dict.fromkeys(_EXTENDED_ATTRIBUTES.split(), _fail(errno.ENOTSUP)),
        **dict.fromkeys(_OF_ONES_OWN.split(), _itself()),
        **(dict.fromkeys(_OF_OWN_FILES.split(), allow) if own_files else _elsewhere()),
        "clone": _one_of(0, _THREADS),
        "close_range": _one_of(2, _CLOSE_RANGE_FLAGS),
        "fcntl": _descriptor(),
        "flock": _PRETEND,
        "futex": _futex(),
        "getppid": _PRETEND,  # 0, as for the first process of a pid namespace
        "getpriority": _require(0, (0,)) + _one_of(1, (0, _ANY_PID)),
        "getsockopt": _require(1, (_SOL_SOCKET,)) + _one_of(2, _SOCKET_OPTIONS),
        "ioctl": _one_of(1, _IOCTL_REQUESTS),
        "kill": _signal_to_itself(1),
        "prlimit64": _require(0, (0, _ANY_PID)) + _null(2),
        "sched_getaffinity": _itself(otherwise=_fail(errno.ENOSYS)),  # of a thread: glibc does without then
        "sendto": _null(4),
        "socketpair": _stream_pair(),
        "tgkill": _signal_to_itself(2),
    }


def _elsewhere() -> dict[str, Code]:
    """What is decided about calls that would reach, beyond the session's folder, the whole machine.

    Space is not reserved faster than it can be measured, nor held by files that never had a name; no link says where it
    leads; the machine has no name.
    """
    return {
        "fallocate": _fail(errno.ENOTSUP),
        "open": _without_flag(1, _O_TMPFILE),
        "openat": _without_flag(2, _O_TMPFILE),
        "readlink": _fail(errno.EINVAL),
        "readlinkat": _fail(errno.EINVAL),
        "uname": _REFUSE,
    }


def _ranges(blocks: Mapping[int, Code]) -> list[tuple[int, Code]]:
    """Blocks with the first number each is for; numbers that none is for are refused."""
    starts: list[tuple[int, Code]] = []
    for number in range(max(blocks) + 2):
        block = blocks.get(number, _REFUSE)
        if not starts or starts[-1][1] != block:
            starts.append((number, block))
    return starts


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(program: bytes) -> None:
    """Install a filter on the calling thread, for ever. `no_new_privs` must be set.

    Raises:
        OSError: The kernel refused it.
    """
    _set_filter(program, 0)


def ask_before_clone() -> int:
    """Make every `clone` of the calling process wait for an answer at a listener.

    Returns:
        The listener's descriptor. When its last copy is closed, `clone` fails.

    Raises:
        OSError: The kernel refused it.
    """
    clone = numbers(MACHINE)["clone"]
    code = _instruction(_LOAD, _OFFSET_NUMBER) + _unless_equal(clone, _verdict(_ALLOW)) + _verdict(_NOTIFY)
    return _set_filter(b"".join(code), _NEW_LISTENER)


def _set_filter(program: bytes, flags: int) -> int:
    fprog = _SockFprog(len(program) // 8, program)
    return call("seccomp", _SET_MODE_FILTER, flags, ctypes.byref(fprog))
