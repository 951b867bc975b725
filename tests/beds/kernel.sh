#!/bin/bash
# kernel.sh: makes what emulated.sh boots with and prints where it is: Debian's kernel for clouds, an initramfs that finds the disk,
# qemu, and auditd's packages for the machine itself. All else is unpacked and nothing installed, since qemu's package would push aside others. About 20 s when new; kept as rootfs.sh
# keeps its own. As root.
set -euo pipefail
recipe=$(sha256sum "$0" | cut -c1-12)
place=${AUTHFLOW_ROOTFS_CACHE:-/var/tmp}/authflow-kernel-$recipe
exec 9>"$place.lock"; flock 9
[ -e "$place" ] && { echo "$place"; exit 0; }
new=$place.new; rm -rf "$new"; mkdir -p "$new"/{archives/partial,tools,kernel,initrd,machine}
export DEBIAN_FRONTEND=noninteractive

newest_kernel() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }'; }
kernel=$(newest_kernel)
[ -n "$kernel" ] || { apt-get update -qq >&2; kernel=$(newest_kernel); }
[ -n "$kernel" ] || { echo "kernel.sh: apt knows no kernel" >&2; exit 1; }

# The tools, with those libraries that this machine lacks.
apt-get install -qq -y --download-only --no-install-recommends -o Dir::Cache::archives="$new/archives" \
  qemu-system-x86 busybox-static kmod cpio >&2
(cd "$new/archives" && apt-get -qq -o APT::Sandbox::User=root download "$kernel" >&2)
(cd "$new/machine" && apt-get -qq -o APT::Sandbox::User=root download auditd libauparse0 >&2)
for archive in "$new"/archives/*.deb; do
  case $archive in */linux-image-*) dpkg-deb -x "$archive" "$new/kernel" ;; *) dpkg-deb -x "$archive" "$new/tools" ;; esac
done

# The machine's own where it has it.
tool() { local path; path=$(find "$new/tools" -path "*bin/$1" -type f | head -1); echo "${path:-$(command -v "$1")}"; }
kmod() { bash -c 'exec -a "$0" "$@"' "$1" "$(tool kmod)" "${@:2}"; }
version=$(ls "$new/kernel/lib/modules")
kmod depmod -b "$new/kernel" "$version"
mkdir -p "$new"/initrd/{bin,mod,proc,sys,dev,root}
for module in virtio_pci virtio_blk virtio_net virtio_rng; do kmod modprobe -d "$new/kernel" -S "$version" --show-depends "$module"; done |
  awk '/^insmod/ && !seen[$2]++ { print $2 }' |
  while read -r file; do cp "$file" "$new/initrd/mod/"; basename "$file"; done > "$new/initrd/order"
cp "$(tool busybox)" "$new/initrd/bin/busybox"
cat > "$new/initrd/init" <<'INIT'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev
while read -r module; do $B insmod /mod/$module; done < /order
for turn in $($B seq 100); do [ -b /dev/vda ] && break; $B sleep 0.1; done
$B mount -t ext4 -o rw,noatime /dev/vda /root
# What qemu's network without a host gives its first guest.
$B ifconfig lo 127.0.0.1 up
for card in /sys/class/net/e*; do $B ifconfig ${card##*/} 10.0.2.15 netmask 255.255.255.0 up; done
$B mount --move /dev /root/dev; $B umount /proc /sys
exec $B switch_root /root /sbin/init
INIT
chmod 755 "$new/initrd/init"
(cd "$new/initrd" && find . | "$(tool cpio)" -o -H newc --quiet) > "$new/initrd.img"
cp "$new"/kernel/boot/vmlinuz-* "$new/vmlinuz"
rm -rf "$new"/{archives,kernel,initrd}
mv "$new" "$place"
echo "$place"
