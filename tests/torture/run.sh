#!/usr/bin/env bash
# Adversarial data through fit, predict, report, sample and vmf, held against mpmath: no NaN, no panic, no hang, and
# log-likelihoods to 1e-8.
#
#     tests/torture/run.sh [SEED] [--quick] [--only WORD] [--weights FILE]
#
# --quick leaves out what is large, --only all data sets without this word in their names, and --weights writes the fixture of
# weighted points and nothing else. VMFMIX names a built program; without it, one is built. FOLDER keeps the data and the
# results. The status is 75 if python3 or the packages of requirements.txt cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -n "${FOLDER:-}" ]; then
    mkdir -p "$FOLDER"
    folder=$(cd "$FOLDER" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

left_out() {
    echo "$1" >&2
    exit 75
}

command -v python3 >/dev/null || left_out "missing: python3"
if [ ! -x "$folder/venv/bin/python" ]; then
    python3 -m venv "$folder/venv" || left_out "python3 cannot make a virtual environment: python3-venv is missing"
fi
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/torture/requirements.txt ||
    left_out "the packages of tests/torture/requirements.txt cannot be fetched"

if [ -z "${VMFMIX:-}" ]; then
    cargo build --release
    VMFMIX=${CARGO_TARGET_DIR:-target}/release/vmfmix
fi
VMFMIX=$(realpath "$VMFMIX")
export VMFMIX OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" -B tests/torture/torture.py --folder "$folder" "$@"
