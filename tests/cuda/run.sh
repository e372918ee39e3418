#!/usr/bin/env bash
# CUDA from end to end: the kernels by a compiler for the processor, against plain loops; lints and all tests with the feature `cuda`;
# and, where there is a GPU, the benchmarks, beside PyTorch's where that can be had.
#
#     tests/cuda/run.sh [FOLDER]
#
# keeps the benchmarks' files in the folder, if one is given. Without a GPU the tests that need one are left out, and
# counted. The status is 75 if there is no toolkit and none can be put together.
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for kernels in share_out encoder_kernels; do
    g++ -std=c++20 -O1 -pthread "tests/cuda/$kernels.cpp" -o "$scratch/$kernels"
    "$scratch/$kernels" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
    echo "$kernels: $(tail -1 "$scratch/log")"
done

if ! command -v nvcc >/dev/null; then
    environment=$(tests/cuda/toolkit.sh) || exit 75
    eval "$environment"
fi
cargo clippy --release --all-targets --features cuda -- -D warnings
cargo test --release --features cuda --lib --test it -- --nocapture >"$scratch/tests" 2>&1 || { cat "$scratch/tests"; exit 1; }
grep '^test result' "$scratch/tests"
echo "left out for want of a GPU: $(grep -c 'LEFT OUT' "$scratch/tests" || true) tests"
if ! nvidia-smi --list-gpus 2>/dev/null; then
    echo "no GPU: the benchmarks are left out"
    exit
fi

folder=${1:-$scratch}
python=${PYTHON:-$folder/python/bin/python}
[ -x "$python" ] || python3 -m venv "$folder/python"
"$python" -m pip install --quiet -r benches/device.txt || echo "PyTorch cannot be had: ours alone is timed" >&2
"$python" benches/device.py "$folder" || echo "PyTorch's figures are missing" >&2
VMFMIX_BENCH_FILES=$folder cargo bench --features cuda --bench device
