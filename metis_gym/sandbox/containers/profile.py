"""The seccomp profile of the containers: what a session may call, and what its agent and zygote need on top.

It is narrower than the engine's default profile: no mounts, no tracing, no namespaces, no network sockets' system calls
beyond what local sockets need, no keys, no asynchronous rings.
"""

from typing import Any

from metis_gym.sandbox.inside.seccomp import session_calls

__all__ = ["seccomp_profile"]

_AGENT = """
access alarm arch_prctl capget capset chdir chmod chown clone clone3 close_range epoll_create1 execve execveat exit
faccessat2 fchmod fchmodat fchown fchownat fork getpgrp getrandom ioctl kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown madvise memfd_create mincore mlock munlock pidfd_open pidfd_send_signal prctl prlimit64
recvfrom recvmsg rt_sigqueueinfo sched_setaffinity sched_yield seccomp sendmsg sendto setfsgid setfsuid setgid setgroups
setpgid setrlimit setsid setsockopt set_tid_address socketpair tgkill umask utime utimensat utimes vfork wait4 waitid
fcntl fchmodat2 openat2 futex_waitv fstatfs statfs sysinfo
"""


def seccomp_profile() -> dict[str, Any]:
    """The filter of system calls, in the form that Docker reads."""
    names = sorted({*session_calls(), *_AGENT.split()})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }
