"""Secrets: what may not be read."""

from tests.attacks.attack import Family

FAMILY = Family("reading")
add = FAMILY.add

add("own_environment", "print(dict(os.environ))\nattempt('environ', read, '/proc/self/environ')")
add(
    "environment_block_in_memory",
    """
pointer = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
count = 0
while pointer and pointer[count]:
    print(pointer[count])
    count += 1
if IS_X86:
    print(ctypes.string_at(ctypes.c_void_p.in_dll(libc, "__libc_stack_end").value, 2048))
""",
)
add(
    "environment_of_the_host",
    "attempt('environ', read, f\"/proc/{G['host_pid']}/environ\")\nprint(read('/proc/1/environ'))",
)
add(
    "environment_of_others",
    """
attempt('environ', read, f"/proc/{G['victim_pid']}/environ")
for pid in range(1, 3000):
    try:
        print(read(f"/proc/{pid}/environ"))
    except OSError:
        pass
""",
)
add(
    "command_lines_of_others",
    """
attempt('cmdline', read, f"/proc/{G['victim_pid']}/cmdline")
attempt('listing', os.listdir, '/proc')
""",
)
add("world_readable_file", "attempt('read', read, G['world_file'])")
add("own_private_file", "attempt('read', read, G['own_file'])")
add("file_through_a_symlink", "os.symlink(G['world_file'], 'link')\nattempt('read', read, 'link')")
add("file_through_a_hard_link", "attempt('link', os.link, G['world_file'], 'link')\nprint(read('link'))")
add(
    "file_through_dots",
    "for depth in range(12):\n    attempt('read', read, '../' * depth + G['world_file'].lstrip('/'))",
)
add(
    "file_through_a_folder_descriptor",
    """
def look(flags):
    root = os.open('/', flags)
    return os.read(os.open(G['world_file'].lstrip('/'), os.O_RDONLY, dir_fd=root), 100)
attempt('openat', look, os.O_RDONLY)
attempt('openat', look, os.O_PATH)
""",
)
add(
    "file_through_a_path_descriptor",
    """
fd = os.open(G['world_file'], os.O_PATH)
for way in (f'/proc/self/fd/{fd}', f'/dev/fd/{fd}'):
    attempt('reopen', read, way)
attempt('read', os.read, fd, 100)
""",
)
add(
    "file_by_handle",
    """
numbers = (303, 304) if IS_X86 else (264, 265)
handle = ctypes.create_string_buffer(b"\\x80\\0\\0\\0", 256)
mount = ctypes.c_int()
attempt('handle', system_call, numbers[0], -100, G['world_file'].encode(), handle, ctypes.byref(mount), 0)
attempt('open', system_call, numbers[1], -100, handle, 0)
""",
)
add(
    "file_through_other_calls",
    """
path = G['world_file'].encode()
how = ctypes.create_string_buffer(24)
attempt('openat2', system_call, 437, -100, path, how, 24)
attempt('io_uring', system_call, 425, 8, ctypes.create_string_buffer(256))
attempt('quotactl', system_call, 443, -1, 0, 0, None)
attempt('open_tree', system_call, 428, -100, path, 0)
""",
)
add(
    "account_files",
    "for name in ('passwd', 'shadow', 'sudoers', 'hostname', 'hosts'):\n    attempt(name, read, f'/etc/{name}')",
)
add(
    "home_folders",
    """
def is_shown(path):  # it leads to the Python installation
    shown = [sys.prefix, sys.base_prefix, sys.executable, *sys.path]
    return any((place + '/').startswith(path + '/') for place in shown)
for place in ('/root', '/home', os.path.expanduser('~root'), '/var/log', '/etc', '/run', '/srv', '/mnt'):
    try:
        names = [name for name in os.listdir(place) if name != 'sandbox' and not is_shown(os.path.join(place, name))]
    except OSError:
        continue
    if names:
        breach(f'{place}: {names[:5]}')
""",
)
add(
    "kernel_logs",
    """
for path in ('/dev/kmsg', '/proc/kmsg', '/var/log/kern.log', '/sys/kernel/notes'):
    attempt('read', lambda: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 100))
attempt('syslog', system_call, 103 if IS_X86 else 116, 3, ctypes.create_string_buffer(4096), 4096)
""",
)
add(
    "project_code",
    """
attempt('read', read, os.path.join(G['project'], 'errors.py'))
attempt('listing', os.listdir, G['project'])
sys.path.insert(0, os.path.dirname(G['project']))
for name in ('metis_gym', 'metis_envs', 'metis_agents'):
    attempt('import', __import__, name)
    print(sys.modules.pop(name, ''))
""",
)
add(
    "photographs_of_the_tasks",
    """
for name in ('astronaut.png', 'coffee.png', 'rocket.jpg', 'retina.jpg', 'camera.png'):
    attempt('read', read, os.path.join(G['photographs'], name))
try:
    from skimage import data
    attempt('skimage', data.astronaut)
    from sklearn.datasets import load_sample_image
    attempt('sklearn', load_sample_image, 'china.jpg')
except ImportError:
    pass
""",
)
add(
    "images_anywhere",
    """
from PIL import Image
found = []
for place, folders, names in os.walk('/'):
    for name in names:
        if name.lower().endswith(('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.gif', '.bmp', '.parquet')):
            path = os.path.join(place, name)
            if 'matplotlib' in path or '/tests/' in path:
                continue
            try:
                read(path)
            except OSError:
                continue
            found.append(path)
if found:
    breach(found[:5])
""",
)
add(
    "code_of_tasks_by_walking",
    """
for place, folders, names in os.walk('/'):
    if 'metis' in os.path.basename(place) and 'metis-sandbox-' not in place:
        for name in names:
            attempt('read', read, os.path.join(place, name))
    for name in names:
        if 'metis' in name and 'metis-sandbox-' not in place:
            attempt('read', read, os.path.join(place, name))
""",
)
add(
    "inherited_descriptors",
    """
import stat
for fd in range(4, 2048):
    try:
        state = os.fstat(fd)
    except OSError:
        continue
    breach(f'descriptor {fd}: {stat.filemode(state.st_mode)}')
if stat.S_ISREG(os.fstat(0).st_mode) or stat.S_ISDIR(os.fstat(0).st_mode):
    breach('standard input is a file')
""",
)
add(
    "strings_left_in_memory",
    """
import gc
for thing in list(sys.modules.values()):
    for name, value in list(vars(thing).items()) if hasattr(thing, '__dict__') else ():
        if isinstance(value, (str, bytes, dict, list)) and len(str(value)) < 100000:
            text = str(value)
            if 'METIS_TEST' in text or 'SECRET' in text and 'tok' in text:
                print(name, text)
print(sys.argv, sys.orig_argv)
""",
)
add(
    "memory_of_others",
    """
attempt('mem', open, f"/proc/{G['host_pid']}/mem", 'rb')
attempt('mem', open, f"/proc/{G['victim_pid']}/mem", 'rb')
local = ctypes.create_string_buffer(64)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(local), 64)
remote = (ctypes.c_size_t * 2)(0x400000, 64)
for pid in (G['host_pid'], G['victim_pid'], 1, os.getppid()):
    attempt('vm_readv', system_call, 310 if IS_X86 else 270, pid, vector, 1, remote, 1, 0)
""",
)
add(
    "devices",
    """
for name in 'mem kmem port sda vda nvme0n1 kvm fuse net/tun dri/card0 nvidia0 tty ptmx'.split():
    attempt(name, os.open, '/dev/' + name, os.O_RDONLY)
""",
)
