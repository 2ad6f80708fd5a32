"""Exhaustion: memory, disk, files, threads, descriptors, time of the processor. Every attack stops by itself."""

from dataclasses import replace

from tests.attacks.attack import LIMITS, Family, must_be, must_say

FAMILY = Family("exhaustion")
add = FAMILY.add

add(
    "fork_bomb",
    """
started = 0
for _ in range(100):
    try:
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
    except OSError:
        break
    started += 1
if started:
    breach(f'{started} processes')
""",
)
add(
    "threads",
    """
import threading
stop = threading.Event()
started = 0
for _ in range(300):
    try:
        threading.Thread(target=stop.wait, daemon=True).start()
    except (RuntimeError, MemoryError):
        break
    started += 1
stop.set()
print(started)
if started > 14:
    breach(f'{started} threads')
""",
)
add(
    "threads_below_python",
    """
import mmap
flags = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000
entry = libc.pause
stacks, started = [], 0
pthread = ctypes.create_string_buffer(64)
libc.pthread_attr_init(pthread)
libc.pthread_attr_setstacksize(pthread, ctypes.c_size_t(65536))
for _ in range(2000):
    thread = ctypes.c_ulong()
    if libc.pthread_create(ctypes.byref(thread), pthread, ctypes.cast(libc.pause, ctypes.c_void_p), None):
        break
    started += 1
print(started)
if started > 14:
    breach(f'{started} threads')
""",
)
add(
    "memory",
    """
held, size = [], 32 << 20
for _ in range(40):
    held.append(bytearray(size))
breach(f'{len(held) * size >> 20} MB')
""",
    judge=must_say("Memory limit of 256 MB reached"),
)
add(
    "memory_in_one_piece",
    "import numpy as np\nx = np.ones(200_000_000)\nbreach('1600 MB')",
    judge=must_be("memory"),
)
add(
    "mapped_memory",
    """
import mmap
held = []
for shared in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
    def grow():
        for _ in range(40):
            page = mmap.mmap(-1, 32 << 20, flags=shared | mmap.MAP_ANONYMOUS)
            for start in range(0, 32 << 20, 4096):
                page[start] = 1
            held.append(page)
        return len(held)
    attempt('mapped', grow)
    held.clear()
""",
)
add(
    "memory_files",
    """
def grow():
    fd = os.memfd_create('x')
    for _ in range(40):
        os.write(fd, bytes(32 << 20))
    return 'a gigabyte'
attempt('memfd', grow)
attempt('shm', open, '/dev/shm/x', 'wb')
""",
)
add(
    "shared_memory_segments",
    """
attempt('shmget', system_call, 29 if IS_X86 else 194, 0, 1 << 30, 0o1600)
attempt('msgget', system_call, 68 if IS_X86 else 186, 0, 0o1600)
attempt('semget', system_call, 64 if IS_X86 else 190, 0, 100, 0o1600)
attempt('mq_open', system_call, 240 if IS_X86 else 180, b'queue', 0o102, 0o600, None)
""",
)
add(
    "locked_memory",
    """
import mmap
page = mmap.mmap(-1, 1 << 20)
attempt('mlock', system_call, 149 if IS_X86 else 228, ctypes.addressof(ctypes.c_char.from_buffer(page)), 1 << 20)
attempt('mlockall', system_call, 151 if IS_X86 else 230, 3)
""",
)
_DISK = """
written = 0
def fill(name, size=4 << 20):
    global written
    with open(name, 'wb') as file:
        for _ in range(size >> 20):
            written += file.write(bytes(1 << 20))
"""
add(
    "disk_in_one_file",
    _DISK + "attempt('fill', fill, 'big', 200 << 20)\nif written > 40 << 20:\n    breach(f'{written >> 20} MB')",
)
add(
    "disk_in_many_files",
    _DISK
    + """
try:
    for number in range(150):
        fill(f'file-{number}')
        time.sleep(0.002)
except OSError as error:
    pass
if written > 400 << 20:
    breach(f'{written >> 20} MB')
""",
    judge=must_be("ok", "killed"),
)
add(
    "disk_in_the_temporary_folder",
    _DISK
    + """
import tempfile
try:
    for number in range(150):
        fill(os.path.join(tempfile.gettempdir(), f'file-{number}'))
        time.sleep(0.002)
except OSError:
    pass
if written > 400 << 20:
    breach(f'{written >> 20} MB')
""",
    judge=must_be("ok", "killed"),
)
add(
    "disk_in_unlinked_files",
    """
held, written = [], 0
try:
    for number in range(150):
        file = open('gone', 'wb')
        os.unlink('gone')
        held.append(file)
        written += os.write(file.fileno(), bytes(4 << 20))
        time.sleep(0.002)
except OSError:
    pass
if written > 400 << 20:
    breach(f'{written >> 20} MB')
""",
    judge=must_be("ok", "killed"),
)
add(
    "disk_by_allocation",
    """
def grow():
    fd = os.open('sparse', os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 200 << 20)
    return '200 MB'
attempt('fallocate', grow)
""",
)
add(
    "disk_between_runs",
    """
import threading
def fill():
    number = 0
    while True:
        try:
            with open(f'between-{number}', 'wb') as file:
                file.write(bytes(4 << 20))
        except OSError:
            pass
        number += 1
threading.Thread(target=fill, daemon=True).start()
""",
    "time.sleep(1)\nused = sum(os.stat(name).st_blocks * 512 for name in os.listdir('.'))\n"
    "if used > 400 << 20: breach(f'{used >> 20} MB')",
    judge=must_be("ok", "killed"),
)
add(
    "inodes",
    """
made = 0
try:
    for number in range(60000):
        os.close(os.open(f'f{number}', os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError:
    pass
if made > 50000:
    breach(f'{made} files')
""",
    judge=must_be("ok", "killed"),
)
add(
    "nested_folders",
    """
depth = 0
try:
    for depth in range(5000):
        os.mkdir('d', 0o300)
        os.chdir('d')
except OSError:
    pass
time.sleep(0.2)
""",
    judge=must_be("ok", "killed"),
)
add(
    "descriptors",
    """
held = []
try:
    while len(held) < 5000:
        held.append(os.open('/dev/null', os.O_RDONLY))
except OSError:
    pass
if len(held) > 1024:
    breach(f'{len(held)} descriptors')
""",
)
add(
    "pipe_buffers",
    """
import fcntl
held, total = [], 0
try:
    for _ in range(100):
        ours, theirs = os.pipe()
        held.append(theirs)
        total += fcntl.fcntl(theirs, 1031, 1 << 20)
except OSError:
    pass
if total > 8 << 20:
    breach(f'{total >> 20} MB of pipes')
""",
)
add(
    "raising_the_limits",
    """
import resource
for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
    attempt('raise', resource.setrlimit, kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    attempt('host', resource.prlimit, G['host_pid'], kind, (1, 1))
""",
)
add(
    "processor",
    "while True:\n    pass",
    timeout=8.0,
    limits=replace(LIMITS, cpu_seconds=1),
    judge=must_say("CPU limit of 1 s"),
)
add(
    "signals_queued",
    """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
try:
    for _ in range(5000):
        os.kill(os.getpid(), 40)
except BlockingIOError:
    pass
""",
)
add(
    "core_dump",
    """
import resource
if resource.getrlimit(resource.RLIMIT_CORE)[1]:
    breach('core files')
os.abort()
""",
)
