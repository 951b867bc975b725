#!/bin/bash
# Installs what building and testing need beyond Debian 12's base and a Rust toolchain. As root; does nothing where all is there.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
PACKAGES=(gcc libc6-dev pkg-config libpam0g-dev libcrypt-dev libsqlite3-dev
  openssh-server openssh-client sudo login util-linux iproute2 dbus dbus-daemon oathtool openssl pamtester procps
  libfaketime libglib2.0-bin libnss-extrausers python3 mmdebstrap strace systemd systemd-container vlock
  libpam-google-authenticator zsh fish
  debhelper dpkg-dev e2fsprogs fakeroot lintian mandoc sqlite3 jq rpm selinux-policy-dev)
missing=()
for package in "${PACKAGES[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "missing: ${missing[*]} (install them as root)" >&2; exit 1; }
  # No service may start on the machine that only builds and tests. A policy that is there already stays.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Our filter for fail2ban is tried with the real one, which is unpacked and not installed: its service would start with the machine. It reads the
# journal with python3-systemd.
FAIL2BAN=/var/lib/authflow-tests/fail2ban
if [ ! -x "$FAIL2BAN/usr/bin/fail2ban-regex" ] || [ ! -d "$FAIL2BAN/usr/lib/python3/dist-packages/systemd" ]; then
  folder=$(mktemp -d)
  download=(apt-get -qq -o APT::Sandbox::User=root download fail2ban python3-systemd)
  (
    cd "$folder"
    "${download[@]}" || { apt-get update -qq && "${download[@]}"; }
    mkdir -p "$FAIL2BAN"
    for package in ./*.deb; do dpkg-deb -x "$package" "$FAIL2BAN"; done
  )
  rm -rf "$folder"
fi

# Runs what waits side by side (see .config/nextest.toml).
command -v cargo-nextest >/dev/null || cargo install --quiet --locked --root /usr/local cargo-nextest
