"""Images that are returned because their paths were printed: chosen and decoded inside, sent as pixels."""

from metis_gym.sandbox import RunResult
from tests.attacks.attack import Family, must_be, must_say

FAMILY = Family("printed", image_files=True)
add = FAMILY.add


def _no_image(result: RunResult) -> str:
    return f"{len(result.images)} images came back" if result.images else ""


_BOMB = """
import struct, zlib
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
def png(width, height, rows):
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    body = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows, 9)) + chunk(b'IEND', b'')
    return b'\\x89PNG\\r\\n\\x1a\\n' + body
"""

add(
    "links_to_the_host",
    """
import glob
for number, path in enumerate(glob.glob(G['photographs'] + '/*.png')[:3] + [G['world_file'], G['own_file']]):
    os.symlink(path, f'link{number}.png')
    print(f'link{number}.png')
""",
    judge=_no_image,
)
add(
    "paths_of_the_host",
    """
import glob
os.symlink('/', 'root')
for path in [G['photographs'] + '/astronaut.png', *glob.glob(G['photographs'] + '/*.png')[:3]]:
    print(path, '../' * 30 + path, './root' + path, os.getcwd() + '/..' + path, sep='\\n')
""",
    judge=_no_image,
)
add(
    "a_file_that_becomes_a_link",
    """
import threading
def swap():
    while True:
        for target in ('image_1.png', G['photographs'] + '/astronaut.png'):
            try:
                os.symlink(target, 'new'); os.rename('new', 'swapped.png')
            except OSError:
                pass
threading.Thread(target=swap, daemon=True).start()
for _ in range(60):
    print('swapped.png')
""",
    judge=lambda result: (
        "a file of the host came back" if any(image.shape[:2] == (512, 512) for image in result.images) else ""
    ),
)
add("a_pipe_that_nobody_writes", "os.mkfifo('pipe.png')\nprint('pipe.png')", judge=must_be("ok", "error"))
add("a_device", "os.symlink('/dev/zero', 'zero.png'); os.symlink('/dev/stdin', 'in.png'); print('zero.png', 'in.png')")
add(
    "bombs",
    _BOMB + "open('bomb.png', 'wb').write(png(30000, 30000, bytes(90001) * 900)); print('bomb.png')",
    judge=_no_image,
)
add(
    "an_image_over_the_limit",
    "from PIL import Image\nImage.new('RGB', (2000, 2000)).save('large.png'); print('large.png')",
    judge=_no_image,
)
add(
    "more_images_than_allowed",
    """
from PIL import Image
for number in range(40):
    Image.new('RGB', (8, 8)).save(f'{number}.png')
    print(f'{number}.png')
""",
    judge=must_say("Limit of 3 images per run reached"),
)
add("very_many_names", "print('image_1.png.png ' * 100, *(f'{n}.png' for n in range(9000)))", timeout=3)
add("one_long_name", "print('a' * 9000 + '.png'); print('/' * 9000 + '.png'); print('./' * 4000 + 'image_1.png')")
add("a_name_that_gives_orders", "open('\\x1b]0;owned\\x07.png', 'w').write('x'); print('\\x1b]0;owned\\x07.png')")
add(
    "a_decoder_that_lies",
    """
from PIL import Image
class Liar(Image.Image):
    size = width = height = property(lambda self: (5, 5))
    mode = 'RGB'
    def tobytes(self, *_): return b'x' * 10
    def __enter__(self): return self
    def __exit__(self, *_): pass
Image.open = lambda *_, **__: Liar()
print('image_1.png')
""",
)
add("a_decoder_that_hangs", "from PIL import Image\nImage.open = lambda *_, **__: time.sleep(99)\nprint('image_1.png')")
add(
    "the_siblings_copy",
    "from PIL import Image\nImage.new('RGB', (9, 8), 'red').save('image_1.png'); print('image_1.png')",
    judge=must_be("ok"),
)
