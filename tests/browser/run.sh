#!/usr/bin/env bash
# The HTML reports in Chromium: what they draw against report.json, the table, the map, the keyboard, axe-core, the
# time they take, and what they make of texts that would run a script.
#
#     tests/browser/run.sh [FOLDER]
#
# leaves the reports in the folder, if one is given. VMFMIX names a built program and CHROMIUM a browser; without them, one is built,
# and Debian's is taken. The status is 75 if node, npm, Chromium or the packages of npm cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
if [ -n "${1:-}" ]; then
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

left_out() {
    echo "$1" >&2
    exit 75
}
program_of() { command -v chromium || command -v chromium-browser || true; }

CHROMIUM=${CHROMIUM:-$(program_of)}
missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -n "$CHROMIUM" ] || missing+=(chromium)
if ((${#missing[@]})); then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || left_out "missing: ${missing[*]}"
    { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$folder/apt.log" 2>&1 ||
        left_out "cannot be installed: ${missing[*]}"
    CHROMIUM=${CHROMIUM:-$(program_of)}
fi
export CHROMIUM

cp tests/browser/package.json tests/browser/package-lock.json tests/browser/*.mjs tests/browser/payloads.txt "$folder"
npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error >"$folder/npm.log" 2>&1 ||
    left_out "the packages of tests/browser/package.json cannot be fetched"

if [ -z "${VMFMIX:-}" ]; then
    cargo build --release
    VMFMIX=${CARGO_TARGET_DIR:-target}/release/vmfmix
fi
vmfmix=$(realpath "$VMFMIX")
node "$folder/inputs.mjs" datasets/shapes "$folder/hostile"

shapes=(--text-file "$root/datasets/shapes/captions.txt" --image-dir "$root/datasets/shapes/images")
clip=(--clip-model "$root/datasets/tiny-clip")
cd "$folder"
"$vmfmix" demo -q --datasets "$root/datasets" --output-dir demo
"$vmfmix" fit -q "${shapes[@]}" "${clip[@]}" -k 12 --output-dir both
"$vmfmix" fit -q "${shapes[@]}" "${clip[@]}" -k 5 --output-dir '"><img src=x onerror="window.hacked=1">'
"$vmfmix" sample -q --dim 64 -n 400 --output vectors.npy
"$vmfmix" fit -q --embeddings vectors.npy --output-dir embeddings
"$vmfmix" sweep -q --select 2..6 --embeddings vectors.npy --output-dir sweep
"$vmfmix" fit -q --n-samples 6000 --output-dir large
"$vmfmix" fit -q --text-file hostile/'<img src=x onerror="window.hacked=1">.txt' --image-dir hostile/images "${clip[@]}" \
    --labels hostile/labels.txt --zero-shot-labels hostile/names.txt -k 4 --output-dir hostile/report
"$vmfmix" report -q --compare both '"><img src=x onerror="window.hacked=1">' --output-dir comparison
node payloads.mjs "$root/datasets" "$vmfmix" "$folder/xss"

status=0
for tests in report hostile; do
    node --test-reporter=spec "$tests.mjs" "$folder" || status=1
done
exit "$status"
