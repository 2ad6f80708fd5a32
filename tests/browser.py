"""A headless Chromium, driven by its DevTools protocol over a pair of pipes: no driver, no socket, no library."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 90


def find_browser():
    """The path of a Chromium; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """A running browser. Use as a context manager."""

    def __init__(self, program):
        self._folder = tempfile.mkdtemp(prefix="metis-gym-browser-")
        down_read, self._down = os.pipe()
        self._up, up_write = os.pipe()
        flags = "--headless=new --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --disable-dev-shm-usage"
        script = f'exec "$0" {flags} --remote-debugging-pipe --user-data-dir="$1" 3<&{down_read} 4>&{up_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, self._folder],
            pass_fds=(down_read, up_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down_read)
        os.close(up_write)
        self._number, self._rest, self.events = 0, b"", []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, TimeoutError):
            self.send("Browser.close")
        self._process.kill()
        self._process.wait()
        os.close(self._down)
        os.close(self._up)
        shutil.rmtree(self._folder, ignore_errors=True)

    def send(self, method, session=None, **parameters):
        """Send a command and wait for its result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._down, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            said = self._read()
            if said.get("id") == self._number:
                assert "error" not in said, f"{method}: {said['error']}"
                return said["result"]
            self.events.append(said)

    def _read(self):
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            if not select.select([self._up], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser says nothing")
            more = os.read(self._up, 1 << 20)
            if not more:
                raise OSError("the browser has ended")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, address, *, width=1400, height=900):
        """A new tab at an address, loaded."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.send(f"{domain}.enable")
        tab.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        tab.go(address)
        return tab


class Tab:
    """One tab of a browser."""

    def __init__(self, browser, session):
        self._browser, self._session = browser, session

    def send(self, method, **parameters):
        return self._browser.send(method, self._session, **parameters)

    def go(self, address):
        """Load an address and wait until it is loaded."""
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, expression):
        """The value of an expression in the page."""
        said = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def until(self, expression):
        """Wait until an expression is true in the page; while one page gives way to another, it is not."""
        end = time.monotonic() + _SECONDS
        while not self._is_true(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def _is_true(self, expression):
        try:
            return self.run(expression)
        except AssertionError:
            return False

    def key(self, key):
        """Press a key."""
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        text |= {"windowsVirtualKeyCode": code} if code else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, selector):
        """Click the middle of an element."""
        x, y = self.middle(selector)
        self._mouse("mousePressed", x, y)
        self._mouse("mouseReleased", x, y)

    def drag(self, start, end):
        """Drag from a point of the window to another."""
        self._mouse("mousePressed", *start)
        for part in (0.3, 0.7, 1.0):
            x, y = (first + part * (last - first) for first, last in zip(start, end, strict=True))
            self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self._mouse("mouseReleased", *end)

    def _mouse(self, kind, x, y):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def box(self, selector):
        """Left, top, width and height of an element in the window, after scrolling to it."""
        return self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
        )

    def middle(self, selector):
        left, top, width, height = self.box(selector)
        return left + width / 2, top + height / 2

    def requests(self):
        """The addresses of all requests so far that the page's policy let out, besides data in the page itself."""
        self.run("1")
        failed = [event["params"] for event in self._of("Network.loadingFailed")]
        blocked = {one["requestId"] for one in failed if one.get("blockedReason") == "csp"}
        sent = [event["params"] for event in self._of("Network.requestWillBeSent")]
        addresses = [one["request"]["url"] for one in sent if one["requestId"] not in blocked]
        return [address for address in addresses if not address.startswith("data:")]

    def errors(self):
        """What was thrown in the page and what its policy blocked."""
        self.run("1")
        logged = [event["params"]["entry"]["text"] for event in self._of("Log.entryAdded")]
        return logged + [str(event["params"]["exceptionDetails"]) for event in self._of("Runtime.exceptionThrown")]

    def _of(self, method):
        return [e for e in self._browser.events if e.get("method") == method and e.get("sessionId") == self._session]
