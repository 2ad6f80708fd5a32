"""Speed of the decoder, beside Pillow's own opening and converting in the same run.

python tests/benchmarks/bench_images.py
"""

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from metis_envs.scenes.photographs import photograph
from metis_gym.images import decode

SIZES = ((640, 480), (2048, 1536), (4000, 3000))
FORMATS = ("JPEG", "PNG", "WEBP")


def by_pillow(data: bytes) -> np.ndarray:
    """The usual way, without any check."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def milliseconds(runs: tuple[Callable[[], object], ...], repeats: int) -> list[float]:
    """Least CPU time of each, taken in turn so that a busy machine treats them alike."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, times in zip(runs, taken, strict=True):
            start = time.process_time()
            run()
            times.append(1e3 * (time.process_time() - start))
    return [min(times) for times in taken]


def main() -> None:
    """Print the table."""
    print(f"| {'image':<18} | {'Pillow':>10} | {'metis_gym.images':>16} | {'ratio':>5} | target |")
    print("|---|---|---|---|---|")
    photo = Image.fromarray(photograph("palace"))
    for size in SIZES:
        for file_format in FORMATS:
            stream = io.BytesIO()
            photo.resize(size).save(stream, file_format)
            data = stream.getvalue()
            repeats = 100 if size == SIZES[0] else 15
            pillow, ours = milliseconds((lambda data=data: by_pillow(data), lambda data=data: decode(data)), repeats)
            what = f"{size[0]} x {size[1]} {file_format}"
            print(f"| {what:<18} | {pillow:>7.2f} ms | {ours:>13.2f} ms | {ours / pillow:>5.2f} | ≤ 1.05 |")


if __name__ == "__main__":
    main()
