//! Builds vmfmix as a shared library, in release mode and in the project's own target folder, and tells the compiler where it is.
//!
//! A notebook's cells would otherwise compile all crates anew, in a folder and a profile of their own, and each cell would link all
//! of them. So a notebook finds what `cargo build --release` has built, and a cell links in no time.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    for source in ["src", "Cargo.toml", "Cargo.lock", "notebooks/kernel/library"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo::rerun-if-env-changed=VMFMIX_TARGET_DIR");
    let target = env::var("VMFMIX_TARGET_DIR").map_or_else(|_| root.join("target"), Into::into);

    let mut cargo = Command::new(env::var("CARGO")?);
    // A build of its own: what the notebook's build has set would have all crates compiled anew.
    cargo.env_clear();
    cargo.envs(env::vars_os().filter(|(name, _)| is_of_the_user(&name.to_string_lossy())));
    cargo.current_dir(&root).env("CARGO_TARGET_DIR", &target);
    cargo.args([
        "rustc",
        "--release",
        "--locked",
        "--package",
        "vmfmix-notebook",
        "--lib",
    ]);
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        cargo.args(["--features", "cuda"]);
    }
    cargo.args(["--", "-C", "prefer-dynamic"]);
    if !cargo.status()?.success() {
        return Err("vmfmix could not be built; `notebooks/setup.sh` shows why".into());
    }
    println!("cargo::rustc-check-cfg=cfg(vmfmix_library)");
    println!("cargo::rustc-cfg=vmfmix_library");
    println!(
        "cargo::rustc-link-search=all={}",
        target.join("release/deps").display()
    );
    Ok(())
}

/// Whether cargo or the kernel have left an environment variable alone.
fn is_of_the_user(name: &str) -> bool {
    const SET: [&str; 12] = [
        "DEBUG",
        "HOST",
        "LD_LIBRARY_PATH",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "TARGET",
    ];
    !SET.contains(&name)
        && (name == "CARGO_HOME" || !name.starts_with("CARGO") && !name.starts_with("EVCXR_"))
}
