"""Many programs, each with as many groups as the kernel allows. many_groups.py UID HOW_MANY"""

import os
import signal
import sys

uid, many = int(sys.argv[1]), int(sys.argv[2])
# As whoever may hand out a range of groups can have them, in a namespace of theirs.
os.setgroups(range(100000, 165536))
os.setgid(uid)
os.setuid(uid)
for _ in range(many):
    if not os.fork():
        signal.pause()
print("there", flush=True)
signal.pause()
