"""Neighbours: sessions cannot see each other, and see nothing of the host but what docs/sandbox.md lists."""

from tests.attacks.attack import Family

FAMILY = Family("neighbours")
add = FAMILY.add

# A lock that conflicts with another one on a file that all sessions see would be seen by a neighbour.
add(
    "whole_file_locks",
    """
import fcntl
path = os.__file__
first, second = os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY)
fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
try:
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    breach('a lock that others see')
""",
)
add(
    "locks_of_descriptions",
    """
import fcntl, struct
path = os.__file__
first, second = os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY)
lock = struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0)
for command in (37, 38):
    try:
        fcntl.fcntl(first, command, lock)
    except OSError:
        pass
asked = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)
for fd in (first, second):
    for command in (5, 36):
        kind = struct.unpack('hhqqi', fcntl.fcntl(fd, command, asked))[0]
        if kind != fcntl.F_UNLCK:
            breach(f'{command} finds a lock of kind {kind}')
""",
)
add(
    "locks_on_devices",
    """
import fcntl
for path in ('/dev/null', '/dev/zero', '/dev/urandom'):
    first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        breach(path)
""",
)
add(
    "leases_and_notices",
    """
import fcntl
fd = os.open(os.__file__, os.O_RDONLY)
attempt('F_SETLEASE', fcntl.fcntl, fd, 1024, fcntl.F_RDLCK)
attempt('F_GETLEASE', fcntl.fcntl, fd, 1025)
folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
attempt('F_NOTIFY', fcntl.fcntl, folder, 1026, 1)
attempt('inotify', system_call, 294 if IS_X86 else 26, 0)
attempt('fanotify', system_call, 300 if IS_X86 else 262, 0, 0)
""",
)
add(
    "waking_through_shared_pages",
    """
import mmap
file = open(os.__file__, 'rb')
page = libc.mmap
page.restype = ctypes.c_void_p
for kind in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
    address = page(None, ctypes.c_size_t(4096), 1, kind, file.fileno(), ctypes.c_size_t(0))
    for operation in (1, 3, 4, 5, 10):  # FUTEX_WAKE, _REQUEUE, _CMP_REQUEUE, _WAKE_OP, _WAKE_BITSET
        attempt(f'futex {operation}', system_call, 202 if IS_X86 else 98, address, operation, 1, 0, address, 1)
""",
)
add(
    "extended_attributes",
    """
for path in (G['world_file'], G['victim_file'], os.__file__, '/', '.'):
    attempt('listxattr', os.listxattr, path)
    for name in ('user.secret', 'security.selinux', 'system.posix_acl_access'):
        attempt(name, os.getxattr, path, name)
""",
)
add(
    "link_targets",
    """
attempt('os', os.readlink, G['link'])
attempt('dir_fd', lambda: os.readlink('link', dir_fd=os.open(G['folder'], os.O_PATH)))
buffer = ctypes.create_string_buffer(500)
if libc.readlink(G['link'].encode(), buffer, 500) > 0:
    breach(buffer.value)
if libc.readlinkat(-100, G['link'].encode(), buffer, 500) > 0:
    breach(buffer.value)
for path in ('/proc/self/exe', '/proc/self/cwd', f"/proc/{G['host_pid']}/exe", '/etc/localtime'):
    if libc.readlink(path.encode(), buffer, 500) > 0:
        breach(f'{path}: {buffer.value}')
try:
    print(os.path.realpath(G['link']))
except OSError:
    pass
""",
)
add(
    "name_of_the_host",
    """
import platform, socket
buffer = ctypes.create_string_buffer(500)
names = [os.uname().nodename, platform.node(), socket.gethostname()]
if not libc.uname(buffer):
    names.append(buffer.raw[65:130].rstrip(b'\\0').decode())
if not libc.gethostname(buffer, 400):
    names.append(buffer.value.decode())
for name in names:
    if name == G['host_name'] and name != 'sandbox':
        breach(name)
""",
)
add(
    "limits_of_others",
    """
import resource
for pid in (G['host_pid'], G['victim_pid'], 1, *range(2, 3000)):
    if pid != os.getpid():
        attempt(f'limits of {pid}', resource.prlimit, pid, resource.RLIMIT_NOFILE)
""",
)
add(
    "schedule_of_others",
    """
for pid in (G['host_pid'], G['victim_pid'], 1, *range(2, 3000)):
    if pid != os.getpid():
        attempt('affinity', os.sched_getaffinity, pid)
        attempt('scheduler', os.sched_getscheduler, pid)
        attempt('parameters', os.sched_getparam, pid)
        attempt('priority', os.getpriority, os.PRIO_PROCESS, pid)
        attempt('session', os.getsid, pid)
        attempt('group', os.getpgid, pid)
attempt('priorities of the user', os.getpriority, os.PRIO_USER, 0)
attempt('priorities of the group', os.getpriority, os.PRIO_PGRP, 0)
""",
)
add(
    "load_of_the_machine",
    """
attempt('sysinfo', lambda: libc.sysinfo(ctypes.create_string_buffer(200)) == 0 or os.open('', 0))
attempt('load', os.getloadavg)
for path in ('/', '.', os.__file__, G['folder'], '/dev/null'):
    attempt('statvfs', os.statvfs, path)
for name in ('loadavg', 'meminfo', 'stat', 'uptime', 'locks', 'diskstats', 'mounts', 'net/unix', 'sys/fs/file-nr'):
    attempt(name, read, '/proc/' + name)
""",
)
add(
    "peer_of_the_channel",
    """
import socket, struct
channel = socket.socket(fileno=os.dup(3))
harmless = (3, 4, 7, 8, 30, 38, 39)  # type, error, buffers, listening, protocol, family
for level in (1, 0, 6, 17, 41):
    for name in range(0, 120):
        if level == 1 and name in harmless:
            continue
        for size in (0, 4, 12, 64):
            attempt(f'option {name} of {level}', channel.getsockopt, level, name, size)
""",
)
add(
    "credentials_through_the_channel",
    """
import socket
ours, theirs = socket.socketpair()
for end in (socket.socket(fileno=os.dup(3)), ours):
    for name in (16, 34, 76, 77, 35, 25):  # SO_PASSCRED, _PASSSEC, _PASSPIDFD, _PEERPIDFD, _TIMESTAMPNS, _BINDTODEVICE
        attempt(f'option {name}', end.setsockopt, 1, name, 1)
    attempt('recvmsg', end.recvmsg, 10, 1000, socket.MSG_DONTWAIT)
    attempt('sendmsg', end.sendmsg, [b'x'], [(1, 2, b'0' * 12)])
    for request in (0x89E0, 0x894C, 0x8903, 0x8904, 0x5411):  # SIOCUNIXFILE, SIOCGSKNS, FIOGETOWN, SIOCGPGRP, SIOCOUTQ
        import fcntl
        attempt(f'ioctl {request:#x}', fcntl.ioctl, end, request, 0)
    for command in (9, 11, 16, 1034, 1024, 1027):  # F_GETOWN, _GETSIG, _GETOWN_EX, _GET_SEALS, _SETLEASE, _DUPFD_QUERY
        attempt(f'fcntl {command}', fcntl.fcntl, end, command)
""",
)
add(
    "handles_of_processes",
    """
for pid in (G['host_pid'], G['victim_pid'], os.getpid(), 1):
    attempt('pidfd_open', system_call, 434, pid, 0)
    attempt('kcmp', system_call, 312 if IS_X86 else 272, pid, os.getpid(), 0, 0, 0)
attempt('clone with a pidfd', system_call, 56 if IS_X86 else 220, 0x3D1F00, 0, ctypes.create_string_buffer(8), 0, 0)
""",
)
add(
    "folders_of_a_sibling",
    """
here = os.path.dirname(os.path.dirname(os.getcwd()))
if here != '/':
    attempt('listing', os.listdir, here)
for base in (here, os.path.dirname(here), G['temporary']):
    for number in range(300):
        for path in (f'{base}/{number}/work', f'{base}/{number}/tmp', f'{base}/session-{number}'):
            attempt(path, os.stat, path)
""",
)
