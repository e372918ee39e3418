#!/usr/bin/env bash
# ViT-B/32 and RN50 of real size, random weights: pixels, token ids and features against transformers and open_clip.
# Takes a gigabyte and, the first time, the download of PyTorch. PYTHON names an interpreter that has
# tests/fixtures/requirements.txt installed; without it, one is made in the folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-$(mktemp -d)}
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$folder/python/bin/python
    [ -x "$PYTHON" ] || python3 -m venv "$folder/python"
    "$PYTHON" -m pip install --quiet -r tests/fixtures/requirements.txt
fi
"$PYTHON" tests/parity/real_size.py "$folder"
VMFMIX_PARITY_FILES=$folder cargo test --release --test it -- --ignored --nocapture of_real_size
