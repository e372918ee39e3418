//! See `Cargo.toml`.

pub use vmfmix::*;
