//! Libraries that read foreign bytes: where one of them panics on damaged ones, the file is at fault, and the program goes on.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

/// How many [`contained`] calls are under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// The library's last words.
#[derive(Debug, Error)]
#[error("its reader gave up: {0}")]
pub(crate) struct GaveUp(String);

/// Calls a reader of another library, of which nothing is used after a panic.
///
/// # Errors
/// It panics.
pub(crate) fn contained<T>(read: impl FnOnce() -> T) -> Result<T, GaveUp> {
    UNDER_WAY.fetch_add(1, Ordering::Relaxed);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    outcome.map_err(|words| {
        let plain = words.downcast_ref::<&str>().map(|&words| words.to_owned());
        let words = plain.or_else(|| words.downcast_ref::<String>().cloned());
        GaveUp(words.unwrap_or_default())
    })
}

/// From here on nothing is printed of panics that become errors.
pub(crate) fn print_no_contained_panic() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if UNDER_WAY.load(Ordering::Relaxed) == 0 {
            usual(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_words() {
        assert_eq!(contained(|| 3).unwrap(), 3);
        let short: [u8; 0] = [];
        let error = contained(|| short[std::hint::black_box(1)]).unwrap_err();
        assert!(error.to_string().contains("index out of bounds"), "{error}");
    }
}
