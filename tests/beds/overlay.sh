#!/bin/bash
# A bed in a fifth of a second: own mounts, processes, network, host name, IPC and cgroups over a throw-away overlay of /.
#
#   overlay.sh             prints "ready PID" (the bed's first process, as the host sees it) and lives until stdin ends
#   overlay.sh COMMAND..   runs the command inside (`overlay.sh bash` for a look round)
#
# Inside is everything the host has, and all of it may be overwritten. /run, /tmp and /dev are fresh, lo is private (port 22 is
# free), /sys/fs/cgroup is a cgroup2 of its own. There is no systemd: booted.sh is for what needs one.
. "$(dirname "$0")/bed.sh"
[ -n "${BED_FOLDER:-}" ] || enter --mount --pid --net --uts --ipc --cgroup -- "$@"

pid_on_host
overlay /
mount -t proc -o nosuid,nodev,noexec proc "$ROOT/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$ROOT/sys"
mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"

mount -t tmpfs -o mode=755 dev "$ROOT/dev"
mkdir "$ROOT"/dev/{pts,shm}
for device in null zero full random urandom tty; do touch "$ROOT/dev/$device"; mount --bind "/dev/$device" "$ROOT/dev/$device"; done
ln -s /proc/self/fd "$ROOT/dev/fd"; ln -s fd/0 "$ROOT/dev/stdin"; ln -s fd/1 "$ROOT/dev/stdout"; ln -s fd/2 "$ROOT/dev/stderr"
mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts "$ROOT/dev/pts"; ln -s pts/ptmx "$ROOT/dev/ptmx"
mount -t tmpfs -o mode=1777 shm "$ROOT/dev/shm"

mount -t tmpfs -o mode=755 run "$ROOT/run"
mkdir "$ROOT"/run/{dbus,sshd,lock}
install -m 664 -g utmp /dev/null "$ROOT/run/utmp"
[ -L "$ROOT/var/run" ] || { rm -rf "$ROOT/var/run"; ln -s /run "$ROOT/var/run"; }    # some container images lack the link
mount -t tmpfs -o mode=1777 tmp "$ROOT/tmp"
# BED_BIND="/host/folder:/inside" shows a folder of the host's inside, writable: for what must lie on a real disk.
if [ -n "${BED_BIND:-}" ]; then mkdir -p "$ROOT/${BED_BIND#*:}"; mount --bind "${BED_BIND%%:*}" "$ROOT/${BED_BIND#*:}"; fi
ip link set lo up
hostname bed

cd "$ROOT"; mkdir .host; pivot_root . .host; cd /; umount -l /.host; rmdir /.host
export HOME=/root LANG=C.UTF-8; unset BED_FOLDER
if [ $# -gt 0 ]; then
  # Not `exec`: the first process of the namespace has to stay a shell that reaps.
  "$@" <&0
else
  echo "ready $PID"
  hold
fi
