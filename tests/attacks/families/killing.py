"""Killing: nobody but oneself may be signalled."""

from tests.attacks.attack import Family

FAMILY = Family("killing")
add = FAMILY.add

add(
    "parent", "attempt('parent', os.kill, os.getppid() or G['host_pid'], 9)\nattempt('host', os.kill, G['host_pid'], 9)"
)
add(
    "another_process", "attempt('victim', os.kill, G['victim_pid'], 9)\nattempt('group', os.killpg, G['victim_pid'], 9)"
)
add("everything", "attempt('all', os.kill, -1, 9)\nattempt('own group', os.kill, 0, 9)")
add(
    "by_scan",
    """
for pid in range(1, 40000):
    if pid != os.getpid():
        try:
            os.kill(pid, 9)
        except OSError:
            continue
        breach(f'signalled {pid}')
        break
""",
)
add(
    "through_other_calls",
    """
info = ctypes.create_string_buffer(128)
for pid in (G['victim_pid'], G['host_pid']):
    attempt('tkill', system_call, 200 if IS_X86 else 130, pid, 9)
    attempt('tgkill', system_call, 234 if IS_X86 else 131, pid, pid, 9)
    attempt('sigqueue', system_call, 129 if IS_X86 else 138, pid, 9, info)
    attempt('tgsigqueue', system_call, 297 if IS_X86 else 240, pid, pid, 9, info)
    attempt('pidfd', system_call, 434, pid, 0)
""",
)
add(
    "through_the_owner_of_a_descriptor",
    """
import fcntl, signal
ours, theirs = os.pipe()
for pid in (G['victim_pid'], G['host_pid']):
    attempt('F_SETOWN', fcntl.fcntl, ours, fcntl.F_SETOWN, pid)
    attempt('F_SETSIG', fcntl.fcntl, ours, fcntl.F_SETSIG, 9)
    attempt('F_SETOWN_EX', fcntl.fcntl, ours, 15, ctypes.string_at((ctypes.c_int * 2)(1, pid), 8))
    attempt('FIOSETOWN', fcntl.ioctl, ours, 0x8901, ctypes.string_at((ctypes.c_int * 1)(pid), 4))
attempt('lease', fcntl.fcntl, ours, fcntl.F_SETLEASE, fcntl.F_RDLCK)
attempt('notify', fcntl.fcntl, ours, fcntl.F_NOTIFY, 1)
""",
)
add(
    "by_priority",
    """
attempt('nice', os.nice, -5)
attempt('priority', os.setpriority, os.PRIO_PROCESS, G['victim_pid'], 19)
attempt('scheduler', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
attempt('affinity', os.sched_setaffinity, G['victim_pid'], {0})
""",
)
add("itself", "os.kill(os.getpid(), 9)\ntime.sleep(0.2)")
add(
    "itself_by_terminating",
    "import signal\nsignal.signal(15, signal.SIG_DFL)\nos.kill(os.getpid(), 15)\ntime.sleep(0.2)",
)
