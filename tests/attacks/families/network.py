"""Network: nobody to talk to."""

from tests.attacks.attack import Family

FAMILY = Family("network")
add = FAMILY.add

add(
    "tcp",
    """
import socket
attempt('connect', socket.create_connection, ('127.0.0.1', G['tcp']), 1)
attempt('listen', socket.create_server, ('127.0.0.1', 0))
attempt('listen', socket.create_server, ('0.0.0.0', 0))
attempt('tcp6', lambda: socket.create_connection(('::1', G['tcp']), 1))
""",
)
add(
    "udp",
    """
import socket
attempt('udp', lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'hello', ('127.0.0.1', G['udp'])))
""",
)
add("names", "import socket\nattempt('resolve', socket.getaddrinfo, 'localhost', 80)")
add(
    "http", "import urllib.request\nattempt('http', urllib.request.urlopen, f\"http://127.0.0.1:{G['tcp']}/\", None, 1)"
)
add(
    "unix_sockets",
    """
import socket
attempt('path', lambda: socket.socket(socket.AF_UNIX).connect(G['socket']))
attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect(G['abstract']))
attempt('datagram', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'hello', G['datagram']))
for path in ('/run/docker.sock', '/var/run/docker.sock', '/run/dbus/system_bus_socket', '/dev/log'):
    attempt(path, lambda: socket.socket(socket.AF_UNIX).connect(path))
""",
)
add(
    "datagrams_from_a_socket_pair",
    """
import socket
def send(kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    return ours.sendto(b'hello', G['datagram'])
attempt('datagram pair', send, socket.SOCK_DGRAM)
attempt('stream pair', send, socket.SOCK_STREAM)
attempt('packet pair', send, socket.SOCK_SEQPACKET)
def connect():
    ours, theirs = socket.socketpair()
    ours.connect(G['socket'])
attempt('connect', connect)
""",
)
add(
    "other_families",
    """
import socket
for family in range(1, 46):
    for kind in (1, 2, 3, 5):
        attempt(f'family {family} kind {kind}', system_call, 41 if IS_X86 else 198, family, kind, 0)
""",
)
