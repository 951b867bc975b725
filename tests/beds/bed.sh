# What both beds share; sourced, never run. A bed is a throw-away machine: it lives as long as its stdin is open, so that it
# ends with the test that holds the other end, however that test ends.
set -euo pipefail
SELF=$(realpath "$0")

fail() { printf '%s: %s\n' "$(basename "$SELF")" "$*" >&2; exit 1; }

# wait_until SECONDS COMMAND...: looks every 20 ms.
wait_until() {
  local end=$((SECONDS + $1 + 1)); shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 0.02; done
}

# Sets PID to this shell as the host sees it: /proc is still the host's, whatever namespace the shell is in. (No $(..): that
# would be another shell.)
pid_on_host() { read -r PID _ < /proc/self/stat; }

# enter UNSHARE-OPTIONS -- ARGUMENTS: runs this script once more, inside. What is outside only waits and tidies up.
enter() {
  local options=(); while [ "$1" != -- ]; do options+=("$1"); shift; done; shift
  [ "$(id -u)" = 0 ] || fail "needs root"
  FOLDER=$(mktemp -d /tmp/authflow-bed.XXXXXX)
  # On a hybrid host the unified hierarchy is a folder further down.
  local top=/sys/fs/cgroup; [ -d $top/unified ] && top=$top/unified
  CGROUP=$top/authflow-bed-$$
  [ -e $top/cgroup.procs ] || fail "needs a unified cgroup hierarchy"
  mkdir "$CGROUP"
  tidy_up() {
    set +e
    echo 1 > "$CGROUP/cgroup.kill"
    # A killed process leaves its cgroup a moment later.
    for _ in $(seq 100); do find "$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null; [ -d "$CGROUP" ] || break; sleep 0.02; done
    rmdir "$FOLDER"
  }
  trap tidy_up EXIT; trap 'exit 143' TERM; trap 'exit 130' INT
  # In the background, since bash runs a trap only between foreground commands. The sub-shell joins the bed's cgroup before the
  # cgroup namespace is made, and so is that namespace's root.
  ( echo $BASHPID > "$CGROUP/cgroup.procs"
    BED_FOLDER=$FOLDER exec setpriv --pdeathsig KILL unshare "${options[@]}" --fork --kill-child --propagation private -- bash "$SELF" "$@" ) <&0 &
  local code=0; wait $! || code=$?
  exit $code
}

# overlay LOWER: a tmpfs takes all writes; the merged root is at $ROOT. (An upper layer inside the lower one is refused.)
overlay() {
  mount -t tmpfs -o mode=755,size=4g bed "$BED_FOLDER"
  mkdir "$BED_FOLDER"/{upper,work,root}
  mount -t overlay -o "lowerdir=$1,upperdir=$BED_FOLDER/upper,workdir=$BED_FOLDER/work" overlay "$BED_FOLDER/root"
  ROOT=$BED_FOLDER/root
}

# Blocks until whoever made the bed closes our stdin. `read` and not `cat`: bash has to reap orphans meanwhile.
hold() { while read -r _; do :; done; }
