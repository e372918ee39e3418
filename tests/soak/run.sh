#!/usr/bin/env bash
# Everything again and again in one process: memory and descriptors stay as they are, and results the same.
#
#     tests/soak/run.sh [SECONDS]
#
# takes an hour where not told otherwise, and prints the curve.
set -euo pipefail
cd "$(dirname "$0")/../.."
VMFMIX_SOAK_SECONDS=${1:-3600} cargo test --release --test it -- --ignored --exact --nocapture \
    soak::memory_descriptors_and_results_stay_as_they_are
