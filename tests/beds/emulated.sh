#!/bin/bash
# A bed in some ten seconds: a whole machine with a kernel, a clock and reboots of its own, emulated without any help of this one's.
#
#   emulated.sh ROOTFS KERNEL      says "ready" when it is up, and lives until it is killed
#
# ROOTFS and KERNEL are what rootfs.sh and kernel.sh make. To be run inside overlay.sh, whose end is its own: it needs the disk and the
# ports. Its sshd is at 127.0.0.1:2222; at :2200 is one without PAM, for root with /root/control. What is in /root/packages comes along,
# with auditd's beside it, and the script /root/prepare runs in the machine before it has booted, as where images are built: emulated it would take ten times as long.
# The machine can be put to sleep; /emulated/qmp wakes it, and /emulated/ahead is how far its hardware clock is ahead of ours: what is
# added to it in a sleep has been slept.
set -euo pipefail
rootfs=$1 kernel=$2
mkdir -p /emulated; cd /emulated
cp -a "$rootfs" root
cp -a /root/packages /root/prepare root/root/
cp -a "$kernel"/machine/*.deb root/root/packages/
# No service starts where the image is made.
printf '#!/bin/sh\nexit 101\n' > root/usr/sbin/policy-rc.d; chmod 755 root/usr/sbin/policy-rc.d
mount --bind /proc root/proc; mount --bind /dev root/dev
chroot root sh /root/prepare >prepared.log 2>&1 || { cat prepared.log >&2; exit 1; }
umount root/proc root/dev; rm root/usr/sbin/policy-rc.d

ssh-keygen -q -t ed25519 -N '' -f /root/control
install -d -m 700 root/root/.ssh; install -m 600 /root/control.pub root/root/.ssh/authorized_keys
cat > root/etc/ssh/control.conf <<'CONF'
Port 2200
UsePAM no
PermitRootLogin prohibit-password
PidFile none
HostKey /etc/ssh/ssh_host_ed25519_key
CONF
cat > root/etc/systemd/system/control.service <<'UNIT'
[Service]
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
ExecStart=/usr/sbin/sshd -D -f /etc/ssh/control.conf
KillMode=process
[Install]
WantedBy=multi-user.target
UNIT
ln -s ../control.service root/etc/systemd/system/multi-user.target.wants/
ln -sf /dev/null root/etc/systemd/system/serial-getty@ttyS0.service
: > root/etc/fstab
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,nodiscard -d root -F disk.img 900M
rm -rf root

qemu=$kernel/tools/usr/bin/qemu-system-x86_64
[ -x "$qemu" ] || qemu=$(command -v qemu-system-x86_64)
echo +0 > ahead
# A q35 forgets in its first sleep where its power registers were, and sleeps no second time.
start() {
  LD_LIBRARY_PATH=$kernel/tools/usr/lib/x86_64-linux-gnu:$kernel/tools/lib/x86_64-linux-gnu \
  LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketimeMT.so.1) FAKETIME_TIMESTAMP_FILE=/emulated/ahead FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 \
  "$qemu" -L "$kernel/tools/usr/share/qemu" -L "$kernel/tools/usr/share/seabios" -L /usr/share/qemu -L /usr/share/seabios \
    -M pc -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 768 -nodefaults -no-user-config -display none -serial file:console -qmp unix:qmp,server=on,wait=off \
    -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd.img" \
    -append "console=ttyS0 quiet root=/dev/vda rw mitigations=off audit=1 nowatchdog systemd.getty_auto=no" \
    -drive file=disk.img,format=raw,if=virtio,cache=unsafe -device virtio-rng-pci \
    -netdev user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:2200-:2200 \
    -device virtio-net-pci,netdev=net,romfile= </dev/null >qemu.log 2>&1 &
}
# A connection succeeds before the guest listens; what tells is the banner.
answers() { [ "$(timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && head -c 4 <&3" 2>/dev/null)" = SSH- ]; }
# An emulated processor has been seen to hang early; three such boots in a row have not.
for try in 1 2 3; do
  start; end=$((SECONDS + 60))
  while [ $SECONDS -lt $end ] && kill -0 $! 2>/dev/null; do
    if answers 2200 && answers 2222; then echo ready; wait; exit; fi
    sleep 0.25
  done
  kill -KILL $! 2>/dev/null || true
done
cat qemu.log >&2; tail -n 20 console >&2
exit 1
