#!/bin/bash
# Builds the packages of the spec from what `make build` has made, and the SELinux module once more by Fedora's names. For Debian's rpm and
# selinux-policy-dev, so the macros of Fedora stand here. Prints the packages.
#
#   check.sh PRODUCTS FOLDER VERSION     from the root of the source
set -euo pipefail
PRODUCTS=$1 FOLDER=$2 VERSION=$3
HEADERS=/usr/share/selinux/devel/include
rm -rf "$FOLDER"
mkdir -p "$FOLDER"/{SOURCES,source/"authflow-$VERSION"}
cp -a Makefile Cargo.toml ./*.md LICENSE* conf docs packaging "$FOLDER/source/authflow-$VERSION/"
tar -C "$FOLDER/source" -czf "$FOLDER/SOURCES/authflow-$VERSION.tar.gz" "authflow-$VERSION"

# --nodeps: what the spec requires has Fedora's names. A file that is installed and in no package, or the reverse, is an error of rpmbuild's.
rpmbuild -bb --quiet --nodeps --with prebuilt \
  --define "products $PRODUCTS" --define "_topdir $FOLDER" --define '_binary_payload w1.gzdio' --define '_sharedstatedir /var/lib' \
  --define '_unitdir /usr/lib/systemd/system' --define '_tmpfilesdir /usr/lib/tmpfiles.d' --define 'systemd_requires Requires: systemd' \
  --define 'systemd_post() :' --define 'systemd_preun() :' --define 'systemd_postun_with_restart() :' \
  --define 'selinux_modules_install(s:) :' --define 'selinux_modules_uninstall(s:) :' \
  packaging/rpm/authflow.spec >"$FOLDER/log" 2>&1 || { cat "$FOLDER/log" >&2; exit 1; }

# Of what we use Fedora has these under other names, or not at all.
cp -a "$HEADERS" "$FOLDER/fedora"
sed -i 's/files_runtime_file/files_pid_file/g; s/`cron_read_system_spool/`absent_there/' "$FOLDER"/fedora/*/*.if
cp -a packaging/selinux "$FOLDER/selinux"
make -C "$FOLDER/selinux" -f "$FOLDER/fedora/Makefile" HEADERDIR="$FOLDER/fedora" NAME=targeted TYPE=mcs authflow.pp >"$FOLDER/log" 2>&1 \
  || { cat "$FOLDER/log" >&2; exit 1; }

rm -rf "$FOLDER"/{BUILD,BUILDROOT,source,fedora}
ls "$FOLDER"/RPMS/*/*.rpm
