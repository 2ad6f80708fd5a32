"""Escape: ways out of the walls."""

from tests.attacks.attack import Family

FAMILY = Family("escape")
add = FAMILY.add

add(
    "proc_root_links",
    """
for pid in ('self', '1', G['host_pid'], G['victim_pid'], os.getppid()):
    for link in ('root', 'cwd'):
        attempt('through', os.listdir, f'/proc/{pid}/{link}/etc')
""",
)
add(
    "chroot_and_back",
    """
os.mkdir('jail')
root = os.open('/', os.O_RDONLY | os.O_DIRECTORY) if os.access('/', os.R_OK) else None
attempt('chroot', os.chroot, 'jail')
os.chdir('/')
for _ in range(20):
    os.chdir('..')
attempt('chroot', os.chroot, '.')
attempt('read', read, G['world_file'])
""",
)
add(
    "mounting",
    """
os.mkdir('there')
target = os.path.abspath('there').encode()
attempt('tmpfs', system_call, 165 if IS_X86 else 40, b'x', target, b'tmpfs', 0, None)
attempt('proc', system_call, 165 if IS_X86 else 40, b'proc', target, b'proc', 0, None)
attempt('bind', system_call, 165 if IS_X86 else 40, G['folder'].encode(), target, None, 4096, None)
attempt('umount', system_call, 166 if IS_X86 else 39, b'/tmp', 2)
attempt('fsopen', system_call, 430, b'tmpfs', 0)
attempt('move_mount', system_call, 429, -100, b'/', -100, target, 0)
attempt('mount_setattr', system_call, 442, -100, b'/', 0x8000, ctypes.create_string_buffer(32), 32)
attempt('pivot_root', system_call, 155 if IS_X86 else 41, b'.', b'.')
""",
)
add(
    "new_namespaces",
    """
for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000):
    attempt(f'unshare {flag:x}', system_call, 272 if IS_X86 else 97, flag)
    attempt(f'clone {flag:x}', system_call, 56 if IS_X86 else 220, flag | 17, 0, 0, 0, 0)
arguments = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17)
attempt('clone3', system_call, 435, arguments, 64)
""",
)
add(
    "joining_namespaces",
    """
attempt('pidfd', system_call, 434, G['host_pid'], 0)
for kind in ('mnt', 'pid', 'user', 'net'):
    attempt(kind, os.open, f"/proc/{G['host_pid']}/ns/{kind}", os.O_RDONLY)
for fd in range(8):
    attempt('setns', system_call, 308 if IS_X86 else 268, fd, 0)
""",
)
add(
    "tracing",
    """
number = 101 if IS_X86 else 117
for pid in (G['victim_pid'], G['host_pid'], os.getppid(), 1):
    if pid != os.getpid():
        attempt('attach', system_call, number, 16, pid, 0, 0)
        attempt('seize', system_call, number, 0x4206, pid, 0, 0)
attempt('traceme', system_call, number, 0, 0, 0, 0)
""",
)
add(
    "stealing_descriptors",
    """
fd = attempt('pidfd', system_call, 434, G['victim_pid'], 0)
for number in range(3):
    attempt('getfd', system_call, 438, fd or 5, number, 0)
attempt('kcmp', system_call, 312 if IS_X86 else 272, os.getpid(), G['host_pid'], 0, 0, 0)
""",
)
add(
    "typing_into_the_terminal",
    """
import fcntl, termios
for fd in (0, 1, 2):
    attempt('TIOCSTI', fcntl.ioctl, fd, 0x5412, b'x')
    attempt('TIOCLINUX', fcntl.ioctl, fd, 0x541C, b'\\x02')
    attempt('TIOCSCTTY', fcntl.ioctl, fd, 0x540E, 0)
attempt('tty', open, '/dev/tty', 'w')
""",
)
add(
    "device_nodes",
    """
import stat
attempt('disk', os.mknod, 'disk', stat.S_IFBLK | 0o600, os.makedev(8, 0))
attempt('memory', os.mknod, 'memory', stat.S_IFCHR | 0o600, os.makedev(1, 1))
""",
)
add(
    "becoming_root",
    """
def really(function, *arguments):
    function(*arguments)
    if os.geteuid() != 0 and os.getuid() != 0:
        raise OSError('still nobody')
    return 'root'
start = os.getuid()
if start != 0:
    for function in (os.setuid, os.seteuid, os.setgid, os.setegid):
        attempt(function.__name__, really, function, 0)
    attempt('setresuid', really, os.setresuid, 0, 0, 0)
attempt('groups', os.setgroups, [0])
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
attempt('capset', system_call, 126 if IS_X86 else 91, header, data)
libc.syscall(125 if IS_X86 else 90, header, data)
if any(data):
    breach(f'capabilities {list(data)}')
""",
)
add(
    "dangerous_kernel_interfaces",
    """
zero = ctypes.create_string_buffer(256)
calls = {'bpf': 321, 'perf_event_open': 298, 'keyctl': 250, 'add_key': 248, 'userfaultfd': 323, 'io_uring': 425,
         'kexec': 246, 'init_module': 175, 'iopl': 172, 'ioperm': 173, 'modify_ldt': 154, 'swapon': 167, 'reboot': 169,
         'sethostname': 170, 'settimeofday': 164, 'acct': 163, 'personality': 135, 'quotactl': 179,
         'fanotify': 300, 'lookup_dcookie': 212, 'move_pages': 279, 'migrate_pages': 256, 'vmsplice': 278, 'tee': 276,
         'inotify': 294, 'signalfd': 289, 'mbind': 237, 'syslog': 103, 'pkey_alloc': 330, 'landlock': 444,
         'seccomp': 317, 'process_madvise': 440, 'memfd_secret': 447, 'cachestat': 451, 'listmount': 458}
generic = {'bpf': 280, 'perf_event_open': 241, 'keyctl': 219, 'add_key': 217, 'userfaultfd': 282, 'io_uring': 425}
for name, number in (calls if IS_X86 else generic).items():
    attempt(name, system_call, number, zero, 0, 0, 0, 0, 0)
""",
)
add(
    "system_calls_of_another_architecture",
    """
if IS_X86:
    import mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))  # mov eax, 20 (getpid); int 0x80; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    breach(f'int 0x80 answered {ctypes.CFUNCTYPE(ctypes.c_int)(address)()}')
""",
)
add(
    "system_calls_of_x32",
    "if IS_X86:\n    attempt('x32', system_call, 0x40000000 + 39)",
)
add(
    "undoing_the_filter",
    """
import mmap
number = 157 if IS_X86 else 167
for option, value in ((22, 0), (38, 0), (4, 1), (8, 1), (24, 0), (28, 0), (36, 1), (1, 0), (21, 0), (47, 2)):
    attempt(f'prctl {option}', system_call, number, option, value, 0, 0, 0)
attempt('arch_prctl', system_call, 158 if IS_X86 else 167, 0x1011, 0)
""",
)
add(
    "words_that_filters_look_for",
    """
import base64, builtins, importlib
blocked = getattr(__import__('o' + 's'), 'sys' + 'tem')
print(blocked('cat ' + G['world_file'] + ' > out 2>&1'))
print(open('out').read() if os.path.exists('out') else '')
exec(base64.b64decode(b'cHJpbnQob3Blbihfc2VjcmV0KS5yZWFkKCkp'), {'_secret': '/etc/passwd'})
""",
)
