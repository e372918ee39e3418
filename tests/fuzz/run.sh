#!/usr/bin/env bash
# Fuzzes whatever reads foreign bytes, by cargo-fuzz.
#
#     tests/fuzz/run.sh [SECONDS [TARGET...]]
#
# gives each target so many seconds, 20 where not given; targets are the functions in readers.rs. Inputs that reach new code
# are kept in the target folder's `corpus` for the next time; what breaks something is left in tests/fuzz/artifacts.
# The build is made anew with counters in all crates, which takes about a quarter of an hour the first time. The status
# is 75 if cargo-fuzz cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-20}
shift || true

command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --quiet || {
    echo "cargo-fuzz cannot be installed" >&2
    exit 75
}

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
# Most of what is built is not what is looked at, and the less it is optimised the sooner it is there.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1
options=(--fuzz-dir tests/fuzz --sanitizer none --codegen-units 16)
cargo fuzz build "${options[@]}"

targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo fuzz list --fuzz-dir tests/fuzz)
TMPDIR=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
failed=()
printf '%-12s %12s %9s %9s\n' target executions seconds coverage
for target in "${targets[@]}"; do
    corpus=$CARGO_TARGET_DIR/corpus/$target
    found=tests/fuzz/found/$target
    mkdir -p "$corpus"
    log=$TMPDIR/$target.log
    cargo fuzz run "${options[@]}" "$target" "$corpus" "tests/fuzz/seeds/$target" $([ -d "$found" ] && echo "$found") -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1 >"$log" 2>&1 || {
        failed+=("$target")
        tail -n 60 "$log"
    }
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    took=$(sed -n 's/.*Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-12s %12s %9s %9s\n' "$target" "${executions:--}" "${took:--}" "${coverage:--}"
    rm -rf "$TMPDIR"/vmfmix-fuzz-*
done
((${#failed[@]} == 0)) || {
    echo "failed: ${failed[*]}; the inputs are in tests/fuzz/artifacts" >&2
    exit 1
}
