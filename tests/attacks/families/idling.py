"""Idling: between two calls a session does nothing, holds no more than its limits, and loses nothing."""

from tests.attacks.attack import Family

FAMILY = Family("idling")
PAUSE = 0.6
"""Seconds between two calls. The attacks look for a gap of nearly this length in what their threads do."""


def add(name: str, *cells: str) -> None:
    FAMILY.add(name, *cells, pause=PAUSE)


_WATCH = """
import threading
longest, last = 0.0, time.monotonic()
def step():
    global longest, last
    now = time.monotonic()
    longest, last = max(longest, now - last), now
def work(*functions):
    def loop():
        while True:
            step()
            for function in functions:
                try:
                    function()
                except (OSError, ValueError):
                    pass
    threading.Thread(target=loop, daemon=True).start()
"""
_JUDGE = f"""
seen, end = last, time.monotonic() + 3
while last == seen and time.monotonic() < end:
    time.sleep(0.01)
if longest < {PAUSE - 0.1}:
    breach(f'the longest rest was {{longest:.3f}} s')
"""

add("threads", _WATCH + "work()", _JUDGE)
add(
    "many_threads",
    _WATCH + "for _ in range(6): threading.Thread(target=lambda: sum(iter(int, 1)), daemon=True).start()\nwork()",
    _JUDGE,
)
add("sleeping_threads", _WATCH + "work(lambda: time.sleep(0.001))", _JUDGE)
add("waking_oneself", _WATCH + "import signal\nwork(lambda: os.kill(os.getpid(), signal.SIGCONT))", _JUDGE)
add(
    "waking_a_thread",
    _WATCH
    + """
import signal
signal.signal(signal.SIGCONT, lambda *_: None)
own = threading.get_native_id()
work(lambda: system_call(234 if IS_X86 else 131, os.getpid(), own, 18), lambda: signal.raise_signal(18))
""",
    _JUDGE,
)
add(
    "alarms",
    _WATCH
    + """
import signal
signal.signal(signal.SIGALRM, lambda *_: step())
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
work(lambda: time.sleep(0.001))
""",
    _JUDGE + "\nsignal.setitimer(signal.ITIMER_REAL, 0)",
)
add(
    "threads_below_python",
    _WATCH
    + """
import numpy as np
big = np.random.rand(200000)
work(lambda: np.sort(big))
""",
    _JUDGE,
)
add(
    "answering_and_going_on",
    _WATCH
    + """
import struct
frame = sys._getframe()
while frame and not isinstance(frame.f_locals.get('nonce'), bytes):
    frame = frame.f_back
nonce = frame.f_locals['nonce'] if frame else bytes(16)
longest, last = 0.0, time.monotonic()
os.write(3, struct.pack('<4s16sBIH', b'mgs1', nonce, 1, 0, 0))
end = time.monotonic() + 0.5
while time.monotonic() < end:
    step()
sys.stdout.write(f'rest {longest:.3f}')
"""
    + f"\nif longest < {PAUSE - 0.1}: breach(f'went on after its reply: {{longest:.3f}} s')",
)
add(
    "filling_the_disk",
    """
import threading
total = 0
def fill():
    global total
    number = 0
    while True:
        try:
            fd = os.open(f'f{number}', os.O_RDWR | os.O_CREAT)
            total += os.write(fd, bytes(4 << 20))
            libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_size_t(0))
            os.unlink(f'f{number}')
            os.close(fd)
        except OSError:
            time.sleep(0.001)
        number += 1
threading.Thread(target=fill, daemon=True).start()
""",
    "if total > 400 << 20: breach(f'{total >> 20} MB')",
)
