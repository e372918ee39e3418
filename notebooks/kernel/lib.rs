//! vmfmix for notebooks: see `build.rs`.

extern crate vmfmix_notebook;

pub use vmfmix_notebook::*;
