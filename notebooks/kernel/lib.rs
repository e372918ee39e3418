//! vmfmix for the cells of a notebook.

// The compiler takes the shared library that `build.rs` has built. What looks for the types of variables runs no `build.rs`, and
// takes the sources.
#[cfg(vmfmix_library)]
extern crate vmfmix_notebook as vmfmix;

pub use vmfmix::*;
