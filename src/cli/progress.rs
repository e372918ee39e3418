//! Progress as bars on a terminal and as lines elsewhere, always on standard error.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::say::note;
use crate::progress::{Progress, Silent};

/// Time between two lines of one stage.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Who listens: nobody, a terminal, or a file.
pub(super) fn listener(quiet: bool) -> Arc<dyn Progress> {
    match (quiet, stderr().is_terminal()) {
        (true, _) => Arc::new(Silent),
        (false, true) => Arc::new(Bars::default()),
        (false, false) => Arc::new(Lines::default()),
    }
}

/// One bar at a time, cleared when its stage is over.
#[derive(Default)]
struct Bars(Mutex<Option<(String, ProgressBar)>>);

impl Progress for Bars {
    fn update(&self, stage: &str, done: usize, total: usize) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*current, Some((name, _)) if name == stage) {
            if let Some((_, bar)) = current.take() {
                bar.finish_and_clear();
            }
            let style =
                ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {per_sec} {eta} left");
            let bar = ProgressBar::new(total as u64)
                .with_style(style.expect("the template is valid"))
                .with_message(stage.to_owned());
            *current = Some((stage.to_owned(), bar));
        }
        if let Some((_, bar)) = &*current {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some((_, bar)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.finish_and_clear();
        }
    }
}

/// A line now and then: at the end of a stage, and every few seconds of a long one.
#[derive(Default)]
struct Lines(Mutex<Option<(String, Instant)>>);

impl Progress for Lines {
    fn update(&self, stage: &str, done: usize, total: usize) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match &*last {
            Some((name, at)) if name == stage => at.elapsed() >= LINE_INTERVAL,
            _ => {
                *last = Some((stage.to_owned(), Instant::now()));
                false
            }
        };
        if due || done == total {
            note!("{stage}: {done} of {total}");
            *last = Some((stage.to_owned(), Instant::now()));
        }
    }
}
