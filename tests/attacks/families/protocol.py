"""Protocol: whatever is written to the channel harms this session only."""

from tests.attacks.attack import Family, must_be

FAMILY = Family("protocol")
add = FAMILY.add

_REPLY = """
import struct
REPLY = struct.Struct('<4s16sBIH')
def reply(nonce=bytes(16), status=1, text=b'', images=0):
    return REPLY.pack(b'mgs1', nonce, status, len(text), images) + text
def nonce():
    frame = sys._getframe()
    while frame:
        if isinstance(frame.f_locals.get('nonce'), bytes):
            return frame.f_locals['nonce']
        frame = frame.f_back
    return bytes(16)
"""

add("noise", "os.write(3, os.urandom(5000))", judge=must_be("killed"))
add("text", "os.write(3, b'GET / HTTP/1.1\\r\\n\\r\\n' * 100)", judge=must_be("killed"))
add("wrong_nonce", _REPLY + "os.write(3, reply(text=b'forged'))", judge=must_be("killed"))
add(
    "huge_text",
    _REPLY + "os.write(3, REPLY.pack(b'mgs1', nonce(), 1, 0xFFFFFFFF, 0))",
    judge=must_be("killed"),
)
add("many_images", _REPLY + "os.write(3, REPLY.pack(b'mgs1', nonce(), 1, 0, 65535))", judge=must_be("killed"))
add(
    "huge_image",
    _REPLY + "os.write(3, reply(nonce(), images=1)[:27] + struct.pack('<II', 0xFFFFFFFF, 0xFFFFFFFF))",
    judge=must_be("killed"),
)
add(
    "large_images_together",
    _REPLY + "os.write(3, reply(nonce(), images=2)[:27] + 2 * struct.pack('<II', 900, 900))",
    judge=must_be("killed"),
)
add(
    "empty_image",
    _REPLY + "os.write(3, reply(nonce(), images=1)[:27] + struct.pack('<II', 0, 5))",
    judge=must_be("killed"),
)
add("unknown_status", _REPLY + "os.write(3, reply(nonce(), status=200))", judge=must_be("killed"))
add("pretending_to_begin_again", _REPLY + "os.write(3, reply(bytes(16), status=0))", judge=must_be("killed"))
add(
    "stale_reply_for_the_next_run",
    _REPLY + "os.write(3, reply(nonce(), text=b'first') + reply(nonce(), text=b'forged for the second'))",
    "1 + 1",
    judge=lambda result: "the forged reply was believed" if "forged" in result.result_text else "",
)
add(
    "half_a_reply",
    _REPLY + "os.write(3, reply(nonce())[:10])\nwhile True:\n    time.sleep(1)",
    timeout=0.5,
    judge=must_be("timeout", "killed"),
)
add("closed_channel", "os.close(3)\nwhile True:\n    time.sleep(1)", timeout=2, judge=must_be("killed"))
add(
    "flooded_channel",
    "while True:\n    os.write(3, bytes(65536))",
    timeout=2,
    judge=must_be("killed"),
)
add(
    "descriptors_through_the_channel",
    """
import socket
channel = socket.socket(fileno=os.dup(3))
attempt('SCM_RIGHTS', socket.send_fds, channel, [b'x'], [0, 1, 2])
attempt('receive', socket.recv_fds, channel, 10, 4, socket.MSG_DONTWAIT)
""",
)
add(
    "reading_ahead",
    """
import socket
channel = socket.socket(fileno=os.dup(3))
channel.setblocking(False)
attempt('read', channel.recv, 100)
""",
)
