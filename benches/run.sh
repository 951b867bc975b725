#!/bin/bash
# make bench: lays out a bed with module, daemon and bus, and measures in it. Reports; asserts nothing.
# The records lie on the machine's real disk, since syncing them is part of a login's cost.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --release --locked -p authflow-benches
# What the build wrote must not be on its way to the disk while that is measured.
sync

disk=$(mktemp -d /var/tmp/authflow-bench.XXXXXX)
trap 'rm -rf "$disk"' EXIT
BED_BIND="$disk:/var/lib/authflow" bash tests/beds/overlay.sh bash "$PWD/benches/inside.sh"
