"""Output and parsers: bounded before it is kept, and never decoded outside."""

from tests.attacks.attack import Family, must_be, must_say

FAMILY = Family("output")
add = FAMILY.add

add("printing_for_ever", "while True:\n    print('x' * 1000)", timeout=3, judge=must_be("output_limit", "timeout"))
add(
    "errors_for_ever",
    "while True:\n    sys.stderr.write('x' * 100000)",
    timeout=3,
    judge=must_be("output_limit", "timeout"),
)
add(
    "writing_below_python",
    "while True:\n    os.write(1, b'x' * 65536)",
    timeout=3,
    judge=must_be("output_limit", "timeout"),
)
add("much_text", "print('x' * 10**7)", judge=must_say("Output limit of 16 kB reached"))
add("long_result", "'x' * 10**7", judge=must_say("Output limit of 16 kB reached"))
add("long_error", "raise ValueError('x' * 10**7)", judge=must_be("error"))
add(
    "long_chain_of_errors",
    "e = None\nfor i in range(20000):\n    n = ValueError(i)\n    n.__cause__ = e\n    e = n\nraise e",
)
add("strange_text", "print('\\udcff\\ud800 \\x1b[2J\\x00 \\u202e' * 10)\n'\\udcff\\ud800'", judge=must_be("ok"))
add(
    "too_many_images",
    "from PIL import Image\nfor _ in range(50):\n    image_1.show()",
    judge=must_say("Limit of 3 images per run reached"),
)
add(
    "huge_image",
    "from PIL import Image\nImage.new('RGB', (2000, 2000))",
    judge=must_say("over the limit of 1000000 pixels"),
)
add(
    "large_images_together",
    "from PIL import Image\nfor _ in range(3):\n    Image.new('RGB', (900, 900)).show()",
    judge=must_say("Limit of 1000000 pixels for all images of one run together reached"),
)
add("long_image", "import numpy as np\nnp.zeros((1, 500000), np.uint8)", judge=must_be("output_limit"))
add(
    "huge_figure",
    "import matplotlib.pyplot as plt\nplt.figure(figsize=(500, 500))",
    judge=must_say("over the limit of 1000000"),
)
add(
    "image_that_lies",
    """
from PIL import Image
class Liar(Image.Image):
    size = width = height = property(lambda self: (5, 5))
    mode = 'RGB'
    def tobytes(self, *_): return b'x' * 10
Liar()
""",
)
add(
    "array_that_lies",
    """
import numpy as np
class Liar(np.ndarray):
    @property
    def shape(self): return (5, 5, 3)
    def tobytes(self, *_): return b'x' * 10
np.zeros((2, 2), np.uint8).view(Liar)
""",
)
add(
    "output_between_runs",
    """
import threading
def flood():
    while True:
        os.write(1, b'y' * 65536)
threading.Thread(target=flood, daemon=True).start()
""",
    "time.sleep(0.5)",
    "print('hello')",
    judge=must_be("output_limit", "ok", "timeout"),
)
add(
    "image_bomb",
    """
import io, struct, zlib
from PIL import Image
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
size = 60000
rows = zlib.compressobj(9)
body = b''.join(rows.compress(bytes(1 + size // 8)) for _ in range(size)) + rows.flush()
head = chunk(b'IHDR', struct.pack('>IIBBBBB', size, size, 1, 0, 0, 0, 0))
bomb = b'\\x89PNG\\r\\n\\x1a\\n' + head + chunk(b'IDAT', body)
Image.MAX_IMAGE_PIXELS = None
Image.open(io.BytesIO(bomb + chunk(b'IEND', b''))).convert('RGB')
""",
    judge=must_be("memory", "timeout", "killed", "error"),
)
add(
    "archive_bomb",
    """
import io, zipfile
held = io.BytesIO()
with zipfile.ZipFile(held, 'w', zipfile.ZIP_DEFLATED) as archive:
    for number in range(300):
        archive.writestr(f'file-{number}', bytes(1 << 20))
zipfile.ZipFile(held).extractall('.')
if sum(os.path.getsize(name) for name in os.listdir('.')) > 200 << 20:
    breach('extracted everything')
""",
)
