"""A long line of programs, each below the one before and with as many groups as the kernel allows, of which the last asks the daemon for its
session again and again. long_line.py UID LENGTH"""

import os
import subprocess
import sys

uid, length = int(sys.argv[1]), int(sys.argv[2])
# As whoever may hand out a range of groups can have them, in a namespace of theirs.
os.setgroups(range(100000, 165536))
os.setgid(uid)
os.setuid(uid)
for _ in range(length):
    if os.fork():
        os.wait()
        os._exit(0)
manager = ("org.authflow.sessiond1", "/org/authflow/sessiond1", "org.authflow.sessiond1.Manager")
print("asking", flush=True)
while True:
    subprocess.run(["busctl", "--system", "call", *manager, "GetSession", "s", "self"], check=False)
