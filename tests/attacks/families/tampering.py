"""Tampering: what may not be changed."""

from tests.attacks.attack import Family

FAMILY = Family("tampering")
add = FAMILY.add

add(
    "writing_a_file_of_the_host",
    """
for mode in ('w', 'a', 'r+'):
    attempt(mode, open, G['victim_file'], mode)
attempt('truncating open', os.open, G['victim_file'], os.O_RDONLY | os.O_TRUNC)
""",
)
add(
    "creating_a_file_of_the_host",
    """
attempt('create', open, G['folder'] + '/new.txt', 'w')
attempt('mkdir', os.mkdir, G['folder'] + '/new')
attempt('symlink', os.symlink, 'x', G['folder'] + '/new-link')
attempt('O_TMPFILE', os.open, G['folder'], os.O_RDWR | os.O_TMPFILE)
""",
)
add(
    "modes_and_times_of_a_file_of_the_host",
    """
for function, arguments in ((os.chmod, (0o600,)), (os.utime, ((1, 1),)), (os.truncate, (0,)), (os.chown, (0, 0))):
    try:
        function(G['victim_file'], *arguments)
    except OSError:
        pass
try:
    os.setxattr(G['victim_file'], 'user.x', b'y')
    breach('setxattr')
except OSError:
    pass
libc.syscall(ctypes.c_long(452), ctypes.c_long(-100), G['victim_file'].encode(), ctypes.c_long(0o600), ctypes.c_long(0))
""",
)
add(
    "modes_through_a_path_descriptor",
    """
try:
    fd = os.open(G['victim_file'], os.O_PATH)
    os.fchmod(fd, 0)
except OSError:
    pass
try:
    os.utime(fd, (5, 5))
except (OSError, NameError):
    pass
""",
)
add(
    "removing_a_file_of_the_host",
    """
attempt('unlink', os.unlink, G['victim_file'])
attempt('rename', os.rename, G['victim_file'], 'stolen')
attempt('replace', os.rename, os.path.abspath(__file__) if '__file__' in globals() else 'x', G['victim_file'])
attempt('rmtree', os.rmdir, G['folder'])
attempt('link', os.link, G['victim_file'], G['folder'] + '/again')
""",
)
add(
    "patching_site_packages",
    """
import numpy
place = os.path.dirname(numpy.__file__)
attempt('append', open, numpy.__file__, 'a')
attempt('create', open, place + '/evil.py', 'w')
attempt('cache', open, place + '/__pycache__/evil.pyc', 'w')
try:
    os.chmod(numpy.__file__, 0o666)
    os.chmod(place, 0o777)
except OSError:
    pass
attempt('append', open, numpy.__file__, 'a')
attempt('standard library', open, os.__file__, 'a')
""",
)
add(
    "patching_modules_in_memory",
    """
import numpy, PIL.Image, builtins, json
numpy.arange = lambda *_: numpy.ones(3)
PIL.Image.Image.size = property(lambda self: (1, 1))
builtins.len = lambda _: 99
sys.stdout.write = None
""",
)
add(
    "files_of_a_sibling",
    """
here = os.path.dirname(os.path.dirname(os.getcwd()))
for base in (here, G['temporary'], '/tmp', '/var/tmp', '/dev/shm'):
    for pattern in ('{}/{}/work/sibling.txt', '{}/work/sibling.txt', '{}/sibling.txt'):
        for number in range(1, 50):
            try:
                print(read(pattern.format(base, number)))
            except (OSError, IndexError):
                pass
for place, folders, names in os.walk('/'):
    if 'sibling.txt' in names:
        breach(place)
        print(read(place + '/sibling.txt'))
""",
)
add(
    "images_of_a_sibling",
    """
rows = ctypes.c_void_p.from_address(dict(image_1.im.unsafe_ptrs)['image'])
address = ctypes.c_void_p.from_address(rows.value).value
page = address & -4096
for advice in (4, 8, 9, 20, 21, 24, 25, 100, 101):  # DONTNEED, FREE, REMOVE, COLD, PAGEOUT, POPULATE_WRITE, COLLAPSE, …
    libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(4096), advice)
ctypes.memset(address, 66, 9 * 8 * 4)
image_1.paste('red', (0, 0, 9, 8))
libc.msync(ctypes.c_void_p(page), ctypes.c_size_t(4096), 4)
libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(4096), 7)
libc.mremap.restype = ctypes.c_void_p
copied = libc.mremap(ctypes.c_void_p(page), ctypes.c_size_t(0), ctypes.c_size_t(4096), 1)
if copied not in (None, 2**64 - 1):
    ctypes.memset(copied, 67, 9 * 8 * 4)
if image_1.tobytes()[:3] == bytes([200] * 3):
    print('the session cannot write to its own image')
""",
    """
def change(fd):
    for what, function, *arguments in (
        ('write', os.pwrite, fd, b'B' * 288, 0), ('shrink', os.ftruncate, fd, 0), ('grow', os.ftruncate, fd, 1 << 20),
        ('allocate', os.posix_fallocate, fd, 0, 1 << 20),
    ):
        attempt(f'{what} descriptor {fd}', function, *arguments)
for fd in range(4, 1024):  # after the standard streams and the channel
    try:
        if os.fstat(fd).st_size >= 288 and 'memfd' in os.readlink(f'/proc/self/fd/{fd}'):
            change(fd)
    except OSError:
        pass
import glob
for path in glob.glob('/proc/self/map_files/*') + glob.glob('/proc/self/fd/*'):
    try:
        if 'memfd' in os.readlink(path):
            with open(path, 'r+b') as file:
                change(file.fileno())
    except OSError:
        pass
""",
)
add(
    "shared_folders",
    """
for place in ('/dev/shm', '/var/tmp', '/run', '/run/lock', '/run/shm', '/dev/mqueue'):
    attempt('write', open, place + '/left-by-attack', 'w')
""",
)
add(
    "links_for_the_clean_up_to_follow",
    """
os.symlink(G['folder'], 'a-link')
os.mkdir('inner')
os.symlink(G['folder'], 'inner/another')
os.symlink('/', 'root')
""",
)
add(
    "devices_that_are_visible",
    """
for name in ('null', 'zero', 'random', 'urandom'):
    path = '/dev/' + name
    attempt('unlink', os.unlink, path)
    try:
        before = os.stat(path).st_mode
        os.chmod(path, 0o600)
    except OSError:
        continue
    if os.stat(path).st_mode != before:
        breach('mode of ' + path)
""",
)
