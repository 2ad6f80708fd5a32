"""Programs and persistence: nothing else is run, and nothing stays."""

from tests.attacks.attack import Family

FAMILY = Family("programs")
add = FAMILY.add

add(
    "shell",
    """
import subprocess
attempt('run', subprocess.check_output, ['/bin/sh', '-c', 'echo hello'])
attempt('popen', lambda: os.popen('echo hello').read())
if os.system('true') == 0:
    breach('system')
attempt('spawn', os.posix_spawn, '/bin/true', ['true'], {})
""",
)
add(
    "replacing_the_process",
    """
for path in ('/bin/sh', '/usr/bin/env', sys.executable, '/lib64/ld-linux-x86-64.so.2'):
    for function in (os.execv, lambda p, a: os.execve(p, a, {})):
        try:
            function(path, [path, '-c', 'echo BREACH executed'])
        except OSError:
            pass
""",
)
add(
    "setuid_programs",
    """
for path in ('/bin/su', '/usr/bin/sudo', '/usr/bin/passwd', '/usr/bin/mount', '/usr/bin/newuidmap'):
    try:
        os.execv(path, [path, '--help'])
    except OSError:
        pass
""",
)
add(
    "own_program",
    """
with open('program', 'wb') as file:
    file.write(b'#!/bin/sh\\necho BREACH executed\\n')
os.chmod('program', 0o755)
for way in ('./program', os.path.abspath('program')):
    try:
        os.execv(way, [way])
    except OSError:
        pass
fd = os.open('program', os.O_RDONLY)
try:
    os.execve(fd, ['program'], {})
except OSError:
    pass
attempt('execveat', system_call, 322 if IS_X86 else 281, fd, b'', None, None, 0x1000)
""",
)
add(
    "program_in_memory",
    "attempt('memfd', os.memfd_create, 'program')\nattempt('secret', system_call, 447, 0)",
)
add("forking", "if (pid := attempt('fork', os.fork)) == 0:\n    os._exit(0)\nattempt('forkpty', os.forkpty)")
add("vforking", "attempt('vfork', system_call, 58 if IS_X86 else 220, 0x4111 if not IS_X86 else 0, 0, 0, 0, 0)")
add(
    "worker_processes",
    """
import multiprocessing
for method in ('fork', 'spawn'):
    def start():
        process = multiprocessing.get_context(method).Process(target=print, args=('BREACH process',))
        process.start()
        process.join(2)
        if process.exitcode != 0:
            raise OSError('not started')
    attempt(method, start)
""",
)
add(
    "daemon_that_outlives_the_session",
    """
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(30)
        os._exit(0)
attempt('daemon', daemon)
""",
)
add(
    "thread_that_outlives_the_session",
    """
import threading
def go_on():
    while True:
        try:
            open(G['victim_file'], 'a').write('alive')
        except OSError:
            time.sleep(0.01)
threading.Thread(target=go_on).start()
""",
)
add(
    "handlers_for_the_end",
    """
import atexit, signal
atexit.register(print, 'BREACH at exit')
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
sys.exit(3)
""",
    "print('still here')",
)
