#!/bin/bash
# rootfs.sh: makes the Debian that booted.sh boots and prints where it is. About 30 s when new; kept in /var/tmp (or
# AUTHFLOW_ROOTFS_CACHE) under a name that tells its recipe, so that a changed list makes a new one. AUTHFLOW_SUITE=trixie makes the
# Debian after that. As root.
set -euo pipefail
SUITE=${AUTHFLOW_SUITE:-bookworm}
PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,polkitd,openssh-server,sudo,login,cron,tmux,pamtester,oathtool,procps,iproute2,libsqlite3-0

recipe=$(sha256sum "$0" | cut -c1-12)
root=${AUTHFLOW_ROOTFS_CACHE:-/var/tmp}/authflow-rootfs-$SUITE-$recipe
exec 9>"$root.lock"; flock 9    # two tests may ask at once
[ -e "$root" ] && { echo "$root"; exit 0; }

# The mirror is the one that this machine's own apt uses.
mirror() { apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v suite=bookworm '$2 == suite { print $1; exit }'; }
MIRROR=$(mirror)
[ -n "$MIRROR" ] || { apt-get update -qq >&2; MIRROR=$(mirror); }
[ -n "$MIRROR" ] || { echo "rootfs.sh: apt knows no mirror of Debian" >&2; exit 1; }

new=$root.new; rm -rf "$new"
mmdebstrap --quiet --mode=root --variant=minbase --include="$PACKAGES" \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --aptopt='Acquire::Languages "none"' "$SUITE" "$new" "$MIRROR" >&2
echo bed > "$new/etc/hostname"
printf '127.0.0.1 localhost bed\n' > "$new/etc/hosts"
: > "$new/etc/machine-id"
# Nothing that runs by the clock, and no look-up of archives.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
  ln -sf /dev/null "$new/etc/systemd/system/$unit"
done
mv "$new" "$root"
echo "$root"
