#!/usr/bin/env bash
# Faults put into the command line: kills, full disks, little memory, files that change, clocks that go back, odd paths, few
# descriptors, two processes at once.
#
#     tests/faults/run.sh [FAMILY...]
#
# runs the families that are named (kill, disk, memory, change, clock, paths, files, two), or all of them, and prints a table. VMFMIX
# names a built program; without it, one is built. ROUNDS=n makes n times as many random rounds, and SEED=n others. FAULTS_FOLDER is
# where the work is done, some 500 MB, instead of a temporary folder; it is left behind. What needs root is left out with a line
# elsewhere. The status is 75 if python3 cannot be had, 1 if a fault was not survived.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v python3 >/dev/null || {
    echo "missing: python3" >&2
    exit 75
}
if [ -z "${VMFMIX:-}" ]; then
    cargo build --release
    VMFMIX=${CARGO_TARGET_DIR:-target}/release/vmfmix
fi
VMFMIX=$(realpath "$VMFMIX")
[ -x "$VMFMIX" ] || {
    echo "missing: $VMFMIX" >&2
    exit 75
}
export VMFMIX PYTHONDONTWRITEBYTECODE=1
# With mounts of its own, nothing stays mounted, however this ends.
if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
    export FAULTS_CAN_MOUNT=1
    exec unshare --mount python3 tests/faults/faults.py "$@"
fi
exec python3 tests/faults/faults.py "$@"
