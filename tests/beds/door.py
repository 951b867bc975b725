"""Goes to the daemon's door over many connections at once, as a login program does, and stays. door.py CONNECTIONS; tells how many were let in."""

import signal
import socket
import sys


def go_in():
    door = socket.socket(socket.AF_UNIX)
    door.settimeout(10)
    try:
        door.connect("/run/authflow/door")
        door.sendall(b"\0AUTH EXTERNAL 30\r\n")
        if not door.recv(99).startswith(b"OK "):
            return None
        door.sendall(b"BEGIN\r\n")
        return door
    except OSError:
        return None


inside = [door for door in (go_in() for _ in range(int(sys.argv[1]))) if door]
print(len(inside), flush=True)
if len(sys.argv) > 2:
    signal.pause()
