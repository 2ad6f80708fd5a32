"""Hangs: the clock is kept outside."""

from tests.attacks.attack import Family, must_be, must_say

FAMILY = Family("hangs")
SECONDS = 0.3


def add(name: str, code: str) -> None:
    FAMILY.add(name, code, timeout=SECONDS, judge=must_say("Time limit of 0.3 s reached"))


add("busy_loop", "while True:\n    pass")
add("sleep", "time.sleep(60)")
add("catastrophic_expression", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')")
add("arithmetic_that_holds_the_lock", "7 ** (10 ** 8)")
add("ignored_interrupts", "import signal\nsignal.signal(2, signal.SIG_IGN)\nwhile True:\n    pass")
add(
    "swallowed_interrupts",
    "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
)
add(
    "blocked_signals",
    "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True:\n    time.sleep(1)",
)
add("stopping_itself", "import signal\nos.kill(os.getpid(), signal.SIGSTOP)\nwhile True:\n    time.sleep(1)")
add("deadlock", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()")
add("hanging_result", "class Slow:\n    def __repr__(self):\n        time.sleep(60)\nSlow()")
add("hanging_error", "class Slow(Exception):\n    def __str__(self):\n        while True: pass\nraise Slow")
add("waiting_for_a_pipe", "ours, theirs = os.pipe()\nos.read(ours, 1)")
add("waiting_in_c", "libc.pause()\nwhile True:\n    libc.pause()")
FAMILY.add(
    "threads_that_never_end",
    """
import threading
def spin():
    while True:
        pass
for _ in range(4):
    threading.Thread(target=spin).start()
""",
    "print('the next call')",
    timeout=4,
    judge=must_be("ok", "timeout"),
)
