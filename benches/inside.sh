#!/bin/bash
# Inside the bed: install, configure, start bus and daemon, measure.
set -euo pipefail
cd "$(dirname "$0")/.."
release=${CARGO_TARGET_DIR:-target}/release
make --silent install
bench=$release/authflow-bench

gcc -O2 -Wall -Werror -shared -fPIC -o /usr/lib/hash_clock.so benches/hash_clock.c

useradd --create-home alice
# Which sources of passwords count: with "shadow" among them, every login also costs one crypt(3), whoever it is.
configure() {
  cat > /etc/authflow/authflow.toml <<CONFIG
[password]
source = $1
[[rule]]
name = "bench-login"
service = ["bench-login"]
methods = [["password"]]
[[rule]]
name = "bench-session"
service = ["bench-session"]
methods = [["stack"]]
session = { idle = "1h", without_tty = "idle" }
CONFIG
}
configure '["authflow"]'
for service in bench-login bench-session; do
  for phase in auth account session; do echo "$phase required pam_authflow.so"; done > /etc/pam.d/$service
done
for phase in auth account; do echo "$phase required pam_permit.so"; done > /etc/pam.d/bench-permit
echo 'a long enough password' | authflow passwd --user alice --stdin >/dev/null

# A machine has these on its disk as well, and not on layers of a bed or in memory, where files are found and mapped at another cost.
module=/usr/lib/$(gcc -print-multiarch)/security/pam_authflow.so
on_disk=/var/lib/authflow/on-disk
mkdir $on_disk
cp -a /etc "$module" $on_disk/
mount --bind $on_disk/etc /etc
mount --bind $on_disk/pam_authflow.so "$module"

dbus-daemon --system --nofork --nopidfile &
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.05; done
# With the heartbeat of its unit.
watchdog=$(sed -n 's/^WatchdogSec=//p' packaging/systemd/authflow-sessiond.service)
WATCHDOG_USEC=${watchdog}000000 /usr/libexec/authflow-sessiond & daemon=$!
# Not by a call: the bus would start another daemon for it.
until busctl --system status org.authflow.sessiond1 >/dev/null 2>&1; do sleep 0.05; done

login() { LD_PRELOAD=/usr/lib/hash_clock.so $bench login; }
echo "login, with passwords of authflow alone"; login
configure '["authflow", "shadow"]'
echo "login, with the system's passwords as well (the default)"; login
configure '["authflow"]'
echo "session";   $bench session
echo "footprint"; $bench footprint
echo "daemon";    $bench crowd $daemon
echo "size";      $bench size "$module"
