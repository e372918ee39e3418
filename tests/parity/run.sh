#!/usr/bin/env bash
# Models of real size against Python: ViT-B/32 and RN50 with random weights (pixels, token ids and features of
# transformers and open_clip), and the trained all-MiniLM-L6-v2 (sentence-transformers).
#
#     tests/parity/run.sh [FOLDER]
#
# takes a gigabyte and, the first time, the download of PyTorch. PYTHON names an interpreter that has
# tests/parity/requirements.txt installed; without it, one is made in the folder, or the status is 75 if it cannot be.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-$(mktemp -d)}
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$folder/python/bin/python
    [ -x "$PYTHON" ] || python3 -m venv "$folder/python" || exit 75
    "$PYTHON" -m pip install --quiet -r tests/parity/requirements.txt || exit 75
fi
"$PYTHON" tests/parity/real_size.py "$folder"
"$PYTHON" tests/parity/sentences.py "$folder"
VMFMIX_PARITY_FILES=$folder cargo test --release --test it -- --ignored --nocapture parity::
