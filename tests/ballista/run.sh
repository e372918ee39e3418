#!/usr/bin/env bash
# The cluster: lints and tests with the feature `ballista`, among them one of three processes of which one is killed.
#
#     tests/ballista/run.sh [FOLDER]
#
# With a folder, which takes 6 GB, also a scheduler and two executors on 2,000,000 x 256 in 16 Parquet files: the time of a
# pass beside that from disk in one process, one executor killed after the first iteration, and how far apart the models are, also of
# the same rows in double precision.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
cargo clippy --release --all-targets --features ballista -- -D warnings
cargo test --release --features ballista --lib distributed
cargo test --release --features ballista --test it -- cluster:: observations::
[ -n "${1:-}" ] || exit 0

folder=$1
mkdir -p "$folder/shards"
cargo build --release --features ballista
target=${CARGO_TARGET_DIR:-target}
vmfmix=$(realpath "$target/release/vmfmix")
cd "$folder"
for part in $(seq -w 0 15); do
    [ -e "shards/part-$part.parquet" ] && continue
    "$vmfmix" sample --dim 256 -k 64 --n-samples 125000 --random-state "1$part" --output "shards/part-$part.parquet"
done
settings=(-k 64 --n-runs 1 --max-iterations 10 --tolerance 0 --test-split 0 --init-method random-rows)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
"$vmfmix" scheduler --bind 127.0.0.1:50150 & pids+=($!)
sleep 2
"$vmfmix" executor --scheduler 127.0.0.1:50150 --bind 127.0.0.1:50160 --tasks 1 & pids+=($!)
"$vmfmix" executor --scheduler 127.0.0.1:50150 --bind 127.0.0.1:50170 --tasks 1 & pids+=($!)
victim=$!
sleep 3
shards=$PWD/shards
echo "== in one process, from disk"
time "$vmfmix" fit --embeddings "$shards" "${settings[@]}" --memory-share 0 --output-dir here
echo "== on the cluster"
time "$vmfmix" fit --cluster df://127.0.0.1:50150 --embeddings "$shards" "${settings[@]}" --output-dir there
echo "== on the cluster, which loses an executor after the first iteration"
rm -rf killed
(
    # Each iteration writes the checkpoint anew.
    until [ -e killed/checkpoint.json ]; do sleep 0.05; done
    sleep 0.5
    kill -KILL "$victim"
) &
time "$vmfmix" fit --cluster df://127.0.0.1:50150 --embeddings "$shards" "${settings[@]}" --output-dir killed
echo "== doubles"
mkdir -p doubles
(cd "$root" && VMFMIX_SHARDS=$shards VMFMIX_DOUBLES=$shards/../doubles VMFMIX_CLUSTER=df://127.0.0.1:50150 \
    cargo test --release --features ballista --test it -- --ignored --nocapture cluster::many_doubles)
python3 - <<'END'
import json

def numbers(value):
    return [x for item in value for x in numbers(item)] if isinstance(value, list) else [value]

here, there, killed = (json.load(open(f"{name}/model_parameters.json")) for name in ("here", "there", "killed"))
for name, other in (("cluster", there), ("cluster with a loss", killed)):
    for key in ("weights", "mean_directions", "concentrations"):
        pairs = zip(numbers(here[key]), numbers(other[key]), strict=True)
        print(f"{name}: {key} off by at most {max(abs(a - b) / max(1, abs(a)) for a, b in pairs):.1e}")
END
