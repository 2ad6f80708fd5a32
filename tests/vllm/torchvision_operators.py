"""Lets torchvision be imported beside a torch for CPUs. As a script it puts itself into its Python's environment.

The package index has torchvision built for CUDA only. Beside a torch for CPUs its library of operators does not load,
and its import fails where it describes two of them, which nothing here calls. Declared beforehand, they do no harm.
vLLM imports torchvision in processes of its own: a `.pth` file therefore imports this module in each of them.
"""

import shutil
import sys
import sysconfig
from importlib import metadata
from importlib.abc import MetaPathFinder
from pathlib import Path

_NAMES = ("nms", "qnms")


class _BeforeTorchvision(MetaPathFinder):
    """Declares the operators when torchvision is looked for; finds nothing itself."""

    library = None

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            self._declare()

    def _declare(self):
        import torch

        try:
            version = metadata.version("torchvision")
        except metadata.PackageNotFoundError:
            return
        if torch.version.cuda or "+cpu" in version:
            return
        type(self).library = torch.library.Library("torchvision", "DEF")  # it lasts as long as this object
        for name in _NAMES:
            self.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


if __name__ == "__main__":
    module, site = Path(__file__), Path(sysconfig.get_path("purelib"))
    shutil.copy(module, site)
    (site / f"{module.stem}.pth").write_text(f"import {module.stem}\n")
else:
    sys.meta_path.insert(0, _BeforeTorchvision())
