//! Progress by lines, since a cell cannot redraw one.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::write;
use crate::progress::Progress;

/// Least time between two lines.
const PAUSE: Duration = Duration::from_secs(2);

/// Prints a line every two seconds while something long goes on; what is done sooner prints none.
///
/// ```
/// use std::sync::Arc;
/// use vmfmix::prelude::*;
///
/// let params = VonMisesFisherMixture::params(3).progress(Arc::new(Lines::default()));
/// ```
#[derive(Debug)]
pub struct Lines {
    last: Mutex<Instant>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            last: Mutex::new(Instant::now()),
        }
    }
}

impl Progress for Lines {
    fn update(&self, stage: &str, done: usize, total: usize) {
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        if last.elapsed() >= PAUSE {
            *last = Instant::now();
            write(&format!("{stage}: {done} of {total}\n"));
        }
    }
}
