//! Ctrl-C, and a polite request to end from elsewhere: no file is left half written.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};

use super::INTERRUPTED;
use super::say::note;
use crate::whole_file::remove_unfinished;

/// Whether work in hand is finished first.
static PATIENT: AtomicBool = AtomicBool::new(false);

/// Set by the first interruption of patient work.
static STOP: AtomicBool = AtomicBool::new(false);

/// From here on an interruption removes files that are not yet whole, and ends the program.
pub(super) fn listen() {
    let handler = || {
        if PATIENT.load(Ordering::Relaxed) && !STOP.swap(true, Ordering::Relaxed) {
            note!("stopping after this batch; press Ctrl-C again to stop at once");
            return;
        }
        remove_unfinished();
        exit(INTERRUPTED.into());
    };
    // Without a handler an interruption ends the program too, and may leave a temporary file.
    let _ = ctrlc::set_handler(handler);
}

/// From here on the first interruption lets [`is_stopping`] say so.
pub(super) fn be_patient() {
    PATIENT.store(true, Ordering::Relaxed);
}

/// Whether the work in hand should end.
pub(super) fn is_stopping() -> bool {
    STOP.load(Ordering::Relaxed)
}
