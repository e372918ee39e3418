#!/usr/bin/env bash
# All notebooks, from top to bottom, in the Rust kernel: see run.py.
#
#     tests/notebooks/run.sh [--save]
#
# The status is 75 if Python's packages or the kernel cannot be fetched.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export JUPYTER_PATH=$folder/jupyter PATH=$folder/python/bin:$PATH
export VMFMIX_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
unset CARGO_TARGET_DIR

python3 -m venv "$folder/python" || exit 75
python -m pip install --quiet -r tests/notebooks/requirements.txt || exit 75
command -v evcxr_jupyter >/dev/null || cargo install --quiet --locked evcxr_jupyter || exit 75
notebooks/setup.sh >"$folder/setup.log" 2>&1 || { tail -20 "$folder/setup.log"; exit 1; }
python tests/notebooks/run.py "$@" notebooks/*.ipynb
