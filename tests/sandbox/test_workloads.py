"""Libraries work as they do outside. Those that are not installed are left out with that reason."""

import importlib.util

import pytest

from metis_gym.sandbox import RunStatus

# Package, code, what its last expression has to be.
WORKLOADS = {
    "numpy": ("numpy", "import numpy as np\nnp.linalg.solve([[2, 0], [0, 4]], [2, 4]).tolist()", "[1.0, 1.0]"),
    "numpy fft": ("numpy", "import numpy as np\nnp.fft.fft([1, 0, 0, 0]).real.tolist()", "[1.0, 1.0, 1.0, 1.0]"),
    "numpy files": ("numpy", "import numpy as np\nnp.save('a', np.arange(3))\nnp.load('a.npy').tolist()", "[0, 1, 2]"),
    "fonts": (
        "PIL",
        "from PIL import ImageFont\n[ImageFont.truetype('DejaVuSans.ttf', 20).getname()[0], "
        "ImageFont.load_default(12).getlength('ab') > 5]",
        "['DejaVu Sans', True]",
    ),
    "image files": (
        "PIL",
        "from PIL import Image\nsizes = []\n"
        "for kind in ('png', 'jpg', 'bmp', 'gif', 'tiff', 'webp'):\n"
        "    Image.new('RGB', (7, 5), 'red').save('a.' + kind)\n"
        "    sizes.append(Image.open('a.' + kind).size)\nset(sizes)",
        "{(7, 5)}",
    ),
    "filters": (
        "PIL",
        "from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps\n"
        "i = Image.new('RGB', (50, 50), 'blue')\n"
        "ImageDraw.Draw(i).text((2, 2), 'Hey', fill='white')\n"
        "ImageOps.autocontrast(ImageEnhance.Contrast(i.filter(ImageFilter.SHARPEN)).enhance(2)).size",
        "(50, 50)",
    ),
    "plot files": (
        "matplotlib",
        "import matplotlib.pyplot as plt, os\nplt.plot([1, 2], label='a'); plt.legend()\n"
        "plt.savefig('p.png'); plt.close()\nos.path.getsize('p.png') > 1000",
        "True",
    ),
    "3d plots": (
        "matplotlib",
        "import matplotlib.pyplot as plt\nax = plt.figure().add_subplot(projection='3d')\nax.scatter([1], [2], [3])\n"
        "plt.close()\n3",
        "3",
    ),
    "scipy": (
        "scipy",
        "from scipy import ndimage, optimize\nfloat(round(optimize.brentq(lambda x: x * x - 2, 0, 2), 6))",
        "1.414214",
    ),
    "sympy": ("sympy", "import sympy\nx = sympy.symbols('x')\nsympy.factor(x**2 - 1)", "(x - 1)*(x + 1)"),
    "pandas": ("pandas", "import pandas as pd\nint(pd.DataFrame({'a': [1, 2]}).a.sum())", "3"),
    "scikit-image": (
        "skimage",
        "import numpy as np\nfrom skimage import color, filters, measure, transform\n"
        "int(measure.label(np.array([[1, 0, 1]])).max())",
        "2",
    ),
    "scikit-learn": (
        "sklearn",
        "from sklearn.cluster import KMeans\nimport numpy as np\n"
        "KMeans(2, n_init=1, random_state=0).fit(np.array([[0.], [0.], [9.]])).n_iter_ > 0",
        "True",
    ),
    "opencv": ("cv2", "import cv2, numpy as np\ncv2.resize(np.zeros((4, 4), np.uint8), (2, 2)).shape", "(2, 2)"),
    "threads": (
        "numpy",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n"
        "    total = sum(pool.map(lambda x: x * x, range(10)))\ntotal",
        "285",
    ),
    "asyncio": (
        "numpy",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 5\nasyncio.run(f())",
        "5",
    ),
    "sqlite": ("sqlite3", "import sqlite3\nsqlite3.connect('a.db').execute('select 6 * 7').fetchone()", "(42,)"),
    "pickle": (
        "numpy",
        "import pickle\nclass Thing:\n    value = 5\npickle.loads(pickle.dumps(Thing())).value",
        "5",
    ),
    "dataclasses": (
        "numpy",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nP(3)",
        "P(x=3)",
    ),
    "statistics": ("numpy", "import statistics, random, decimal, fractions\nstatistics.median([1, 5, 3])", "3"),
    "temporary files": (
        "numpy",
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f, tempfile.TemporaryDirectory() as d:\n"
        "    f.write('x'); f.seek(0); said = f.read()\nsaid",
        "'x'",
    ),
    "copying files": (
        "numpy",
        "import shutil, os\nopen('a', 'w').write('x'); shutil.copy('a', 'b'); shutil.copy2('a', 'c'); os.mkdir('d')\n"
        "shutil.move('b', 'd/b'); shutil.make_archive('z', 'zip', 'd'); shutil.rmtree('d')\nsorted(os.listdir())",
        "['a', 'c', 'z.zip']",
    ),
    "paths": (
        "numpy",
        "from pathlib import Path\nPath('p').mkdir(); Path('p/x.txt').write_text('hey')\n"
        "[p.name for p in Path.cwd().rglob('*.txt')]",
        "['x.txt']",
    ),
    "time": (
        "numpy",
        "import time, datetime, zoneinfo\ntime.sleep(.01)\nzoneinfo.ZoneInfo('Europe/Paris').key",
        "'Europe/Paris'",
    ),
    "regular expressions": ("numpy", "import re, json, csv, io, textwrap\nre.findall(r'\\d+', 'a1b22')", "['1', '22']"),
    "subclassing": ("numpy", "import abc, enum, typing, functools\nenum.Enum('E', 'a b')['a'].value", "1"),
    "help": ("numpy", "help(len)", ""),
}


@pytest.mark.parametrize(("package", "code", "expected"), WORKLOADS.values(), ids=WORKLOADS)
def test_workload(backend, session, package, code, expected):
    if backend.name == "docker":
        is_there = session.run(f"import importlib.util\nimportlib.util.find_spec({package!r}) is not None").result_text
        is_installed = is_there == "True"
    else:
        is_installed = importlib.util.find_spec(package) is not None
    if not is_installed:
        pytest.skip(f"{package} is not installed")
    result = session.run(code)
    assert (result.status, result.stderr, result.result_text) == (RunStatus.OK, "", expected)
