#!/usr/bin/env bash
# The dependencies' licences, sources and known weaknesses, and the unsafe code of the processor under Miri.
#
#     tests/security/run.sh
#
# needs cargo-deny and cargo-audit, which it installs where they are missing (some ten minutes), the advisory database of RustSec, and
# a nightly toolchain with Miri. What cannot be had is left out with a line; the status is 75 if that is everything.
set -euo pipefail
cd "$(dirname "$0")/../.."
run=0
left_out() { echo "left out: $1" >&2; }

# A program of cargo's, installed if need be.
has() { command -v "$1" >/dev/null || cargo install "$1" --locked --quiet; }

if has cargo-deny; then
    run=1
    cargo deny --workspace check bans licenses sources
    # The database comes from the network, and is no fault of ours where that is not there.
    if timeout 60 cargo deny fetch db 2>/dev/null; then
        cargo deny --workspace check advisories
        if has cargo-audit; then cargo audit; else left_out "cargo audit: it cannot be installed"; fi
    else
        left_out "advisories: the database of RustSec cannot be fetched"
    fi
else
    left_out "cargo deny: it cannot be installed"
fi

if rustup component add miri rust-src --toolchain nightly >/dev/null 2>&1; then
    run=1
    MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test --package vmfmix-miri
else
    left_out "Miri: there is no nightly toolchain with it"
fi
((run)) || exit 75
