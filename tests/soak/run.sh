#!/usr/bin/env bash
# Hours of work: ten jobs of the command line again and again, and beside them one process that lives as long.
#
#     tests/soak/run.sh [SECONDS]
#
# (3600) compares the results of every round with those of the first, and watches memory, descriptors, temporary files and the disk.
# VMFMIX names a built program; without it, one is built. SOAK_PROGRAM names a program that is given a number of seconds and works for so
# long in one process: its memory and descriptors have to stay flat. The status is 75 if python3 cannot be had, 1 if a result differs
# or something grows.
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
exec python3 tests/soak/soak.py "$@"
