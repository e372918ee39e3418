//! What the fuzz targets call.

mod readers;

pub use readers::*;

/// Undoes what libFuzzer does at first: end at a panic even where it is caught, and becomes an error. Panics that are not
/// caught still end it.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}
