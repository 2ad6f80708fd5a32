"""The last wall: a seccomp filter that permits about 150 harmless system calls and refuses the rest.

Source: `man 2 seccomp`; the filter is classic BPF over `struct seccomp_data {nr, arch, instruction_pointer, args[6]}`.
What is not listed answers EPERM; calls of another architecture (and x32) end the process. There is no way to make a
process, a socket to anywhere, a mount, or to signal anybody but oneself.

Where only Landlock guards the file system, calls that it does not know (chmod, utime) pretend to succeed: they would
reach files outside of the working folder, and honest code such as `shutil.copy` makes them.
"""

import ctypes
import errno
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
open openat creat close close_range dup dup2 dup3 pipe pipe2 flock
stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
getdents getdents64 getcwd chdir fchdir umask
mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat
truncate ftruncate fallocate fadvise64 readahead fsync fdatasync msync
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
mmap munmap mremap mprotect madvise brk
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigsuspend sigaltstack
pause alarm setitimer getitimer restart_syscall
exit exit_group futex set_robust_list set_tid_address rseq membarrier
sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu
getpid getppid gettid getpgid getsid getuid geteuid getgid getegid getresuid getresgid getgroups getpriority capget
getrlimit getrusage times sysinfo uname wait4 waitid
time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getrandom
select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
recvfrom shutdown getsockname getpeername getsockopt
"""
_FILE_TIMES_AND_MODES = "chmod fchmod fchmodat utime utimes futimesat utimensat"
_CHECKED = "clone fcntl ioctl kill prlimit64 sendto socketpair tgkill"
_MISSING = "clone3 openat2 fchmodat2"

_THREAD_FLAGS = 0x00010000 | 0x00000800 | 0x00000100  # CLONE_THREAD, _SIGHAND, _VM
# Every namespace, another parent, tracing, vfork.
_CLONE_FORBIDDEN = 0x7E020000 | 0x0000E000 | 0x00800000
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032, 36, 37, 38)  # no owner, no signal, no lease, no pipe size
_IOCTL_REQUESTS = (0x5401, 0x541B, 0x5421, 0x5451)  # TCGETS, FIONREAD, FIONBIO, FIOCLEX
_AF_UNIX, _SOCK_STREAM = 1, 1
_SOCK_FLAGS = 0o2000000 | 0o4000


Code = list[bytes]
"""BPF instructions, eight bytes each."""


def _instruction(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> Code:
    return [struct.pack("<HBBI", operation, if_true, if_false, value & 0xFFFFFFFF)]


def _verdict(action: int) -> Code:
    return _instruction(_RETURN, action)


_REFUSE = _verdict(_ERRNO | errno.EPERM)


def _load_argument(index: int, *, high: bool = False) -> Code:
    return _instruction(_LOAD, _OFFSET_ARGUMENTS + 8 * index + (4 if high else 0))


def _unless_equal(value: int, then: Code) -> Code:
    return _instruction(_EQUAL, value, len(then), 0) + then


def _one_of(index: int, values: Iterable[int], *, keep: int = 0xFFFFFFFF) -> Code:
    """Permit when the low half of argument `index`, masked with `keep`, is one of `values`."""
    code = _load_argument(index) + _instruction(_AND, keep)
    for value in values:
        code += _instruction(_EQUAL, value, 0, 1) + _verdict(_ALLOW)
    return code + _REFUSE


def _null(index: int) -> Code:
    """Permit when argument `index` is a null pointer."""
    halves = [_load_argument(index, high=high) + _unless_equal(0, _REFUSE) for high in (False, True)]
    return halves[0] + halves[1] + _verdict(_ALLOW)


def _thread() -> Code:
    """Permit a `clone` that makes a thread and nothing else."""
    nothing_else = _load_argument(0) + _instruction(_AND, _CLONE_FORBIDDEN) + _unless_equal(0, _REFUSE)
    return nothing_else + _one_of(0, (_THREAD_FLAGS,), keep=_THREAD_FLAGS)


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
    """Names of all calls that a session may make in some form."""
    return (*_PLAIN.split(), *_FILE_TIMES_AND_MODES.split(), *_CHECKED.split())


class Filter:
    """The filter of one tier, built once and installed by every session.

    Args:
        own_files: The session sees no files but its own and read-only mounts, so that modes and times may be set.
        machine: Architecture.
    """

    def __init__(self, *, own_files: bool, machine: str = MACHINE) -> None:
        self._machine = machine
        self._numbers = numbers(machine)
        self._blocks = self._by_number(own_files)

    def program(self, pid: int) -> bytes:
        """The instructions, for a process that may signal `pid`, itself, only."""
        to_itself = {self._numbers[name]: _one_of(0, (pid,)) for name in ("kill", "tgkill")}
        return b"".join(self._architecture() + _decide(_ranges(self._blocks | to_itself)))

    def _architecture(self) -> Code:
        code = _instruction(_LOAD, _OFFSET_ARCH) + _unless_equal(AUDIT_ARCH[self._machine], _verdict(_KILL))
        code += _instruction(_LOAD, _OFFSET_NUMBER)
        if self._machine == "x86_64":
            code += _instruction(_AT_LEAST, _X32, 0, 1) + _verdict(_KILL)
        return code

    def _by_number(self, own_files: bool) -> dict[int, Code]:
        pretended = _verdict(_ALLOW if own_files else _ERRNO)
        named = {
            **dict.fromkeys(_PLAIN.split(), _verdict(_ALLOW)),
            **dict.fromkeys(_MISSING.split(), _verdict(_ERRNO | errno.ENOSYS)),
            **dict.fromkeys(_FILE_TIMES_AND_MODES.split(), pretended),
            "clone": _thread(),
            "fcntl": _one_of(1, _FCNTL_COMMANDS),
            "ioctl": _one_of(1, _IOCTL_REQUESTS),
            "prlimit64": _null(2),
            "sendto": _null(4),
            "socketpair": _stream_pair(),
        }
        return {self._numbers[name]: block for name, block in named.items() if name in self._numbers}


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
