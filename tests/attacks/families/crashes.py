"""Crashes: the session's own affair."""

from tests.attacks.attack import Family, must_be

FAMILY = Family("crashes")
add = FAMILY.add

add("segmentation_fault", "ctypes.string_at(0)", judge=must_be("killed"))
add("exit", "os._exit(0)", judge=must_be("killed"))
add("abort", "os.abort()", judge=must_be("killed"))
add(
    "stack_overflow",
    "sys.setrecursionlimit(10**8)\ndef f(): return f() + 1\nf()",
    timeout=1,
    judge=must_be("killed", "error", "memory", "timeout"),
)
add("deep_recursion_in_c", "x = []\nfor _ in range(10**6):\n    x = [x]\nrepr(x)", judge=must_be("killed", "error"))
add("deep_source", "compile('(' * 10**5 + ')' * 10**5, 'x', 'eval')", judge=must_be("error", "memory", "killed"))
add(
    "broken_builtins",
    """
import builtins
for name in list(vars(builtins)):
    if name not in ('__import__', 'print') and not name.startswith('_'):
        delattr(builtins, name)
""",
    "print('hello')",
)
add("broken_modules", "sys.modules.clear()\nsys.path.clear()", "import json\nprint(json.dumps(1))")
add(
    "closed_descriptors",
    "os.closerange(0, 256)",
)
add(
    "closed_streams",
    "sys.stdout.close()\nsys.stderr.close()\nsys.stdin.close()",
    "print('again')",
    judge=must_be("ok"),
)
add(
    "corrupted_interpreter",
    """
ctypes.memset(id(None), 0, 16)
print(None)
""",
    judge=must_be("killed", "error", "timeout", "ok"),
)
add(
    "error_that_cannot_be_shown",
    """
class Nasty(BaseException):
    def __str__(self): raise SystemExit
    __repr__ = __str__
    __class__ = property(lambda self: 1 / 0)
raise Nasty
""",
    judge=must_be("error"),
)
add(
    "hooks_of_the_worker",
    """
sys.excepthook = sys.unraisablehook = lambda *_: os._exit(1)
sys.settrace(lambda *_: 1 / 0)
sys.setprofile(lambda *_: None)
import threading, traceback, linecache
traceback.TracebackException = traceback.StackSummary = None
linecache.getline = linecache.getlines = None
raise ValueError('x')
""",
    judge=must_be("error", "killed"),
)
