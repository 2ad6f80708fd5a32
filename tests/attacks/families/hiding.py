"""Hiding: space on the disk that neither a name nor a counted descriptor holds."""

from tests.attacks.attack import Family, must_be

FAMILY = Family("hiding")
add = FAMILY.add

_HIDE = """
import mmap
limit, total = 400 << 20, 0
libc.mmap.restype = ctypes.c_void_p
def keep_mapped(fd, length=4096, protection=1, flags=1):
    if libc.mmap(None, ctypes.c_size_t(length), protection, flags, fd, ctypes.c_size_t(0)) == 2 ** 64 - 1:
        raise OSError('not mapped')
def hide(keep, rounds=150, size=8 << 20):
    global total
    for number in range(rounds):
        name = f'hidden-{number}'
        fd = os.open(name, os.O_RDWR | os.O_CREAT)
        try:
            total += os.write(fd, bytes(size))
            keep(fd)
            os.unlink(name)
        finally:
            os.close(fd)
def judge():
    if total > limit:
        breach(f'{total >> 20} MB that no name and no descriptor holds')
"""
"""Writes files, holds them in a way that `keep` knows, and lets go of name and descriptor."""
for _name, _keep in {
    "shared": "keep_mapped",
    "private": "lambda fd: keep_mapped(fd, flags=2)",
    "python": "lambda fd, held=[]: held.append(mmap.mmap(fd, 4096))",
    "sparse": "lambda fd: (os.ftruncate(fd, 15 << 20), keep_mapped(fd, 15 << 20, 3))",
}.items():
    add(
        f"disk_in_{_name}_mappings",
        _HIDE + f"try:\n    hide({_keep})\nexcept OSError:\n    pass\njudge()",
        "judge()",
        judge=must_be("ok", "killed"),
    )
add(
    "disk_in_a_mapping_written_later",
    _HIDE
    + """
held = []
try:
    for number in range(60):
        fd = os.open('sparse', os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 15 << 20)
        held.append(mmap.mmap(fd, 15 << 20))
        os.unlink('sparse')
        os.close(fd)
    for page in held:
        for start in range(0, 15 << 20, 4096):
            page[start] = 1
        total += 15 << 20
except (OSError, ValueError):
    pass
judge()
""",
    judge=must_be("ok", "killed"),
)
add(
    "disk_in_files_without_names",
    """
import mmap
total = 0
try:
    for number in range(150):
        fd = os.open('.', os.O_RDWR | os.O_TMPFILE)
        total += os.write(fd, bytes(8 << 20))
        libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_size_t(0))
        os.close(fd)
except OSError:
    pass
if total > 400 << 20:
    breach(f'{total >> 20} MB')
""",
    judge=must_be("ok", "killed"),
)
add(
    "disk_by_reserving_fast",
    """
total = 0
try:
    for number in range(500):
        fd = os.open(f'reserved-{number}', os.O_RDWR | os.O_CREAT)
        system_call(285 if IS_X86 else 47, fd, 0, 0, 15 << 20)
        total += 15 << 20
except OSError:
    pass
if total > 400 << 20:
    breach(f'{total >> 20} MB')
""",
    judge=must_be("ok", "killed"),
)
add(
    "descriptors_of_ones_own",
    """
import struct
attempt('close_range', system_call, 436, 100, 200, 2)
def without(flag):
    return system_call(56 if IS_X86 else 220, 0x3D0F00 & ~flag, 0, 0, 0, 0)
for flag in (0x100, 0x200, 0x400, 0x800, 0x10000, 0x40000):  # VM, FS, FILES, SIGHAND, THREAD, SYSVSEM
    attempt(f'clone without {flag:#x}', without, flag)
attempt('unshare', system_call, 272 if IS_X86 else 97, 0x400)
""",
)
add(
    "disk_after_the_main_thread_ended",
    _HIDE
    + """
import threading
def fill():
    time.sleep(0.1)
    try:
        hide(keep_mapped)
    except OSError:
        pass
threading.Thread(target=fill, daemon=True).start()
libc.syscall(ctypes.c_long(60 if IS_X86 else 93), ctypes.c_long(0))
""",
    timeout=2.0,
    judge=must_be("ok", "killed", "timeout"),
)
