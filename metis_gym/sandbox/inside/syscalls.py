"""Linux system calls by name, for x86-64 and aarch64.

The numbers are those of the kernel's `unistd_64.h` (x86-64) and of its generic table (aarch64); a test compares them
with the headers where these are installed. Only calls that the sandbox makes, permits or names are listed.
"""

import ctypes
import os

__all__ = ["AUDIT_ARCH", "MACHINE", "PLATFORMS", "call", "number", "numbers"]

# name, x86-64, aarch64; "-" where the architecture has no such call.
_TABLE = """
access 21 -; alarm 37 -; arch_prctl 158 -; brk 12 214; capget 125 90; capset 126 91; chdir 80 49; chmod 90 -;
chown 92 -; clock_getres 229 114; clock_gettime 228 113; clock_nanosleep 230 115; clone 56 220; clone3 435 435;
close 3 57; close_range 436 436; copy_file_range 326 285; creat 85 -; dup 32 23; dup2 33 -; dup3 292 24;
epoll_create 213 -; epoll_create1 291 20; epoll_ctl 233 21; epoll_pwait 281 22; epoll_pwait2 441 441;
epoll_wait 232 -; eventfd 284 -; eventfd2 290 19; exit 60 93; exit_group 231 94; faccessat 269 48;
faccessat2 439 439; fadvise64 221 223; fallocate 285 47; fchdir 81 50; fchmod 91 52; fchmodat 268 53;
fchmodat2 452 452; fchown 93 55; fchownat 260 54; fcntl 72 25; fdatasync 75 83; fgetxattr 193 10;
flistxattr 196 13; flock 73 32; fstat 5 80; fstatfs 138 44; fsync 74 82; ftruncate 77 46; futex 202 98;
futimesat 261 -; getcpu 309 168; getcwd 79 17; getdents 78 -; getdents64 217 61; getegid 108 177; geteuid 107 175;
getgid 104 176; getgroups 115 158; getitimer 36 102; getpeername 52 205; getpgid 121 155; getpid 39 172;
getppid 110 173; getpriority 140 141; getrandom 318 278; getresgid 120 150; getresuid 118 148; getrlimit 97 163;
getrusage 98 165; getsid 124 156; getsockname 51 204; getsockopt 55 209; gettid 186 178; gettimeofday 96 169;
getuid 102 174; getxattr 191 8; ioctl 16 29; kill 62 129; landlock_add_rule 445 445;
landlock_create_ruleset 444 444; landlock_restrict_self 446 446; lchown 94 -; lgetxattr 192 9; link 86 -;
linkat 265 37; listxattr 194 11; llistxattr 195 12; lseek 8 62; lstat 6 -; madvise 28 233; membarrier 324 283;
mkdir 83 -; mkdirat 258 34; mmap 9 222; mount 165 40; mount_setattr 442 442; mprotect 10 226; mremap 25 216;
msync 26 227; munmap 11 215; nanosleep 35 101; newfstatat 262 79; open 2 -; openat 257 56; openat2 437 437;
pause 34 -; pipe 22 -; pipe2 293 59; pivot_root 155 41; poll 7 -; ppoll 271 73; prctl 157 167; pread64 17 67;
preadv 295 69; prlimit64 302 261; pselect6 270 72; pwrite64 18 68; pwritev 296 70; read 0 63; readahead 187 213;
readlink 89 -; readlinkat 267 78; readv 19 65; recvfrom 45 207; rename 82 -; renameat 264 38; renameat2 316 276;
restart_syscall 219 128; rmdir 84 -; rseq 334 293; rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139;
rt_sigsuspend 130 133; rt_sigtimedwait 128 137; sched_get_priority_max 146 125; sched_get_priority_min 147 126;
sched_getaffinity 204 123; sched_getparam 143 121; sched_getscheduler 145 120; sched_yield 24 124; seccomp 317 277;
select 23 -; sendfile 40 71; sendto 44 206; set_robust_list 273 99; set_tid_address 218 96; setfsuid 122 151;
setitimer 38 103; setns 308 268; shutdown 48 210; sigaltstack 131 132; socketpair 53 199; stat 4 -; statfs 137 43;
statx 332 291; symlink 88 -; symlinkat 266 36; sysinfo 99 179; tgkill 234 131; time 201 -; times 100 153;
truncate 76 45; umask 95 166; umount2 166 39; uname 63 160; unlink 87 -; unlinkat 263 35; unshare 272 97;
utime 132 -; utimensat 280 88; utimes 235 -; wait4 61 260; waitid 247 95; write 1 64; writev 20 66;
"""

PLATFORMS = ("x86_64", "aarch64")
MACHINE = os.uname().machine if hasattr(os, "uname") else "unknown"
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def numbers(machine: str) -> dict[str, int]:
    """All listed calls of one architecture, by name.

    Raises:
        ValueError: An architecture without a table.
    """
    if machine not in PLATFORMS:
        raise ValueError(f"no table of system calls for {machine!r}; there is one for {' and '.join(PLATFORMS)}")
    column = 1 + PLATFORMS.index(machine)
    rows = [entry.split() for entry in _TABLE.split(";") if entry.strip()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


_NUMBERS = numbers(MACHINE) if MACHINE in PLATFORMS else {}
_libc = ctypes.CDLL(None, use_errno=True) if MACHINE in PLATFORMS else None
if _libc is not None:
    _libc.syscall.restype = ctypes.c_long  # which holds an address, too


def number(name: str) -> int:
    """The number of a call on this machine."""
    return _NUMBERS[name]


def call(name: str, *arguments: object) -> int:
    """Make a system call.

    Args:
        name: Its name.
        *arguments: Integers, bytes (passed as a pointer), ctypes buffers, or None for a null pointer.

    Raises:
        OSError: It failed; the message begins with the call's name.
    """
    if _libc is None:
        raise OSError(f"{name}: no table of system calls for {MACHINE}")
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(number(name)), *passed))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
