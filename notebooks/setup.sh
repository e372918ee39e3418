#!/usr/bin/env bash
# Makes notebooks ready in seconds: installs the Rust kernel if need be, builds vmfmix for it, and fetches what it needs to know the
# types of variables. Run it again after an update of vmfmix or of Rust. Takes some fifteen minutes the first time, seconds later.
set -euo pipefail
cd "$(dirname "$0")"
target=${VMFMIX_TARGET_DIR:-$PWD/../target}

command -v evcxr_jupyter >/dev/null || cargo install --locked evcxr_jupyter

# What `kernel/build.rs` does, where it can be watched.
(cd .. && CARGO_TARGET_DIR=$target cargo rustc --release --locked --package vmfmix-notebook --lib -- -C prefer-dynamic)

# The crates of `kernel/types`, so that notebooks run offline.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/src" && touch "$scratch/src/lib.rs"
printf '[package]\nname = "scratch"\nedition = "2024"\n[dependencies]\nvmfmix = { path = "%s/kernel" }\n' \
    "$PWD" >"$scratch/Cargo.toml"
cargo fetch --quiet --manifest-path "$scratch/Cargo.toml"

# The kernel, told where to look for types.
description=$(evcxr_jupyter --install | sed -n 's/^Writing \(.*kernel\.json\)$/\1/p')
python3 - "$description" "$target" <<'PYTHON'
import json
import sys

path, target = sys.argv[1:]
with open(path) as file:
    kernel = json.load(file)
kernel["env"] = {"RUSTFLAGS": "--cfg vmfmix_types", "VMFMIX_TARGET_DIR": target}
with open(path, "w") as file:
    json.dump(kernel, file, indent=2)
PYTHON
echo "Notebooks are ready: open one in JupyterLab or VS Code with the kernel Rust."
