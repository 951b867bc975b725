#!/bin/bash
# A bed in about a second: a whole Debian with systemd as its first process, logind, the system bus, polkit and sshd.
#
#   booted.sh ROOTFS       prints "ready PID" (systemd, as the host sees it) and lives until stdin ends
#
# ROOTFS is what rootfs.sh makes; it is never changed. The host needs no systemd of its own.
. "$(dirname "$0")/bed.sh"
[ -n "${BED_FOLDER:-}" ] || { [ -d "${1:?ROOTFS}/etc" ] || fail "no root folder at $1"; enter --mount --pid --ipc --cgroup -- "$@"; }

pid_on_host
overlay "$1"
mkdir "$BED_FOLDER/host-proc"; mount --rbind /proc "$BED_FOLDER/host-proc"
mount -t proc proc /proc
# systemd-nspawn takes over the hierarchy it finds there, at its first process' cgroup: hence the fresh mount and the namespaces.
umount -R -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Its notes about machines stay out of the host's /run.
mkdir -p /run/systemd; mount -t tmpfs tmpfs /run/systemd

# No registration: there is no machined here. Own network with only lo.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit -D "$ROOT" --boot --private-network \
  --machine=bed --hostname=bed --console=pipe --link-journal=no --resolv-conf=off --timezone=off \
  </dev/null >"$BED_FOLDER/console" 2>&1 & NSPAWN=$!

inside() { nsenter -t "$LEADER" -m -u -i -n -p -C --root --wd -- "$@"; }
has_leader() { LEADER=$(awk '{print $1}' "/proc/$NSPAWN/task/$NSPAWN/children") && [ "$(cat "/proc/$LEADER/comm")" = systemd ]; }
is_up() { case "$(inside systemctl is-system-running)" in running|degraded) ;; *) return 1;; esac; }
wait_until 20 has_leader || fail "systemd did not start: $(cat "$BED_FOLDER/console")"
wait_until 60 is_up || fail "did not boot: $(inside systemctl list-jobs)"

# The host's number of the same process: a child of nspawn, which is one of ours. (So are the shells that look, for a moment.)
for child in $(cat "$BED_FOLDER/host-proc/$PID/task/$PID/children"); do
  for leader in $(cat "$BED_FOLDER/host-proc/$child/task/$child/children" 2>/dev/null); do
    [ "$(cat "$BED_FOLDER/host-proc/$leader/comm")" != systemd ] || echo "ready $leader"
  done
done
hold
