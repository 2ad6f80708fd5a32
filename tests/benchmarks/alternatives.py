"""What others run model-written code in, behind the same interface, to be measured and attacked beside ours.

Each is what one finds in use: a bare subprocess; a Jupyter kernel behind a list of forbidden words; bubblewrap with the
flags of its manual; a container with the engine's default flags.
"""

import base64
import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import sysconfig
import time

import numpy as np

from metis_gym.errors import SandboxError, SandboxUnavailableError
from metis_gym.sandbox import RunResult, RunStatus

WORKER = r"""
import ast, base64, contextlib, io, json, os, sys, traceback
import numpy as np, matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
from PIL import Image
answers = os.fdopen(os.dup(1), "w", buffering=1)
names = {"__name__": "__main__"}
for line in sys.stdin:
    told = json.loads(line)
    for name, content in told.get("files", {}).items():
        open(name, "wb").write(base64.b64decode(content))
    for number, (height, width, pixels) in enumerate(told.get("images", []), start=1):
        array = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 3)
        names[f"image_{number}"] = Image.fromarray(array)
    text, image, error = "", None, ""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            tree = ast.parse(told["code"])
            last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<cell>", "exec"), names)
            value = eval(compile(last, "<cell>", "eval"), names) if last else None
        if plt.get_fignums():
            plt.gcf().canvas.draw()
            value = Image.fromarray(np.asarray(plt.gcf().canvas.buffer_rgba())).convert("RGB")
            plt.close("all")
        if isinstance(value, Image.Image):
            image = [value.height, value.width, base64.b64encode(value.convert("RGB").tobytes()).decode()]
        elif value is not None:
            text = repr(value)
    except BaseException:
        error = traceback.format_exc()
    answers.write(json.dumps([out.getvalue()[:100000], error[:100000], text[:100000], image]) + "\n")
"""


class InterpreterSession:
    """An interpreter process that is sent cells as JSON lines."""

    def __init__(self, command, folder, images, files):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
        )
        self._folder = folder
        self._first = {
            "images": [(*i.shape[:2], base64.b64encode(i.tobytes()).decode()) for i in images],
            "files": {name: base64.b64encode(content).decode() for name, content in (files or {}).items()},
        }
        self.alive = True
        self.run("None", timeout=60)

    def run(self, code, timeout=None):
        start = time.monotonic()
        told = {"code": code, **self._first}
        self._first = {}
        answer = self._ask(json.dumps(told).encode() + b"\n", timeout or 20)
        seconds = time.monotonic() - start
        if answer is None:
            self._end()
            late = seconds >= (timeout or 20)
            message = f"Time limit of {timeout:g} s reached" if late else "its process ended"
            return RunResult(status=RunStatus.TIMEOUT if late else RunStatus.KILLED, stderr=message, seconds=seconds)
        out, error, text, image = answer
        images = ()
        if image:
            images = (np.frombuffer(base64.b64decode(image[2]), np.uint8).reshape(image[0], image[1], 3),)
        status = RunStatus.ERROR if error else RunStatus.OK
        return RunResult(status=status, stdout=out, stderr=error, result_text=text, images=images, seconds=seconds)

    def close(self):
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, data, timeout):
        deadline, got = time.monotonic() + timeout, bytearray()
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        while not got.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return None
            part = os.read(self._process.stdout.fileno(), 1 << 20)
            if not part:
                return None
            got += part
        try:
            return json.loads(got.splitlines()[-1])
        except ValueError:
            return None

    def _end(self):
        self.alive = False
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class InterpreterBackend:
    """Starts one interpreter for each session."""

    def __init__(self, name, command):
        self.name = name
        self._command = command

    def open(self, *, images=(), files=None, limits=None, seed=0):
        import tempfile

        folder = tempfile.mkdtemp(prefix="alternative-")
        return InterpreterSession([part.replace("FOLDER", folder) for part in self._command], folder, images, files)

    def close(self):
        pass


def plain_subprocess():
    return InterpreterBackend("subprocess", [sys.executable, "-c", WORKER])


def bubblewrap():
    """The flags of its manual: everything read-only, a private /tmp, no network, no other processes."""
    if shutil.which("bwrap") is None:
        raise SandboxUnavailableError("bubblewrap is not installed")
    flags = "--ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all --die-with-parent --clearenv"
    shown = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib")}
    binds = [part for path in sorted(shown) for part in ("--ro-bind", path, path)]
    return InterpreterBackend(
        "bubblewrap",
        [
            "bwrap",
            *flags.split(),
            *binds,
            "--bind",
            "FOLDER",
            "FOLDER",
            "--chdir",
            "FOLDER",
            sys.executable,
            "-c",
            WORKER,
        ],
    )


def default_container():
    """`docker run` with no flag but those needed to talk to it."""
    from metis_gym.sandbox.containers.engine import IMAGE, connect

    connect().close()
    return InterpreterBackend(
        "docker, default flags",
        ["docker", "run", "--rm", "-i", "--user", "0", "--workdir", "/root", IMAGE, "python3", "-c", WORKER],
    )


FORBIDDEN = re.compile(
    r"\b(import\s+(os|sys|subprocess|socket|shutil|ctypes|multiprocessing)|from\s+(os|subprocess|socket)\s+import|"
    r"os\.system|subprocess|eval\(|exec\(|__import__|input\(|exit\(|quit\()"
)
"""Words that a server of the field refuses before it runs code."""


class JupyterSession:
    """A kernel of its own for each session."""

    def __init__(self, images, files, *, words):
        from jupyter_client.manager import start_new_kernel

        self._manager, self._client = start_new_kernel(startup_timeout=60)
        self._words = words
        self.alive = True
        # Ready for use, as the others are: with the libraries imported.
        setup = "import base64, numpy as np, matplotlib.pyplot as plt\nfrom PIL import Image\n"
        for number, image in enumerate(images, start=1):
            pixels = base64.b64encode(image.tobytes()).decode()
            setup += f"image_{number} = Image.fromarray(np.frombuffer(base64.b64decode({pixels!r}), np.uint8)"
            setup += f".reshape({image.shape}))\n"
        for name, content in (files or {}).items():
            setup += f"open({name!r}, 'wb').write({content!r})\n"
        self._run(setup, 60)

    def run(self, code, timeout=None):
        if self._words and FORBIDDEN.search(code):
            return RunResult(status=RunStatus.ERROR, stderr="forbidden word")
        return self._run(code, timeout or 20)

    def _run(self, code, timeout):
        start = time.monotonic()
        texts = {"stdout": "", "stderr": "", "result": ""}
        images, status = [], RunStatus.OK

        def collect(message):
            nonlocal status
            content = message["content"]
            if message["msg_type"] == "stream":
                texts[content["name"]] += content["text"][:100000]
            elif message["msg_type"] == "error":
                texts["stderr"] += "\n".join(content["traceback"])[:100000]
                status = RunStatus.ERROR
            elif "data" in content:
                data = content["data"]
                if "image/png" in data:
                    import io

                    from PIL import Image

                    images.append(
                        np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))
                    )
                else:
                    texts["result"] += data.get("text/plain", "")[:100000]

        try:
            self._client.execute_interactive(code, timeout=timeout, output_hook=collect, allow_stdin=False)
        except TimeoutError:
            self._manager.interrupt_kernel()
            status = RunStatus.TIMEOUT
            texts["stderr"] += f"Time limit of {timeout:g} s reached"
        return RunResult(
            status=status,
            stdout=texts["stdout"],
            stderr=texts["stderr"],
            result_text=texts["result"],
            images=tuple(images),
            seconds=time.monotonic() - start,
        )

    def close(self):
        if self.alive:
            self.alive = False
            self._client.stop_channels()
            self._manager.shutdown_kernel(now=True)


class JupyterBackend:
    """A Jupyter kernel for each session, behind a list of forbidden words or not."""

    def __init__(self, *, words=True):
        try:
            import ipykernel  # noqa: F401
            import jupyter_client  # noqa: F401
        except ImportError as error:
            raise SandboxUnavailableError("ipykernel and jupyter_client are not installed") from error
        self.name = "Jupyter kernel with forbidden words" if words else "Jupyter kernel"
        self._words = words

    def open(self, *, images=(), files=None, limits=None, seed=0):
        try:
            return JupyterSession(images, files, words=self._words)
        except RuntimeError as error:
            raise SandboxError(str(error)) from error

    def close(self):
        pass


ALTERNATIVES = {
    "subprocess": plain_subprocess,
    "jupyter": JupyterBackend,
    "bubblewrap": bubblewrap,
    "docker-default": default_container,
}
