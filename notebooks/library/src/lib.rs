//! vmfmix and all that it stands on as one shared library.

pub use vmfmix::*;
