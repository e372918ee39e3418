//! How long work tells of itself, without knowing who listens.

/// Receives what long work reports; a progress bar, a line in a notebook, or nothing.
pub trait Progress: Send + Sync {
    /// `done` of at most `total` units of `stage` are ready.
    fn update(&self, stage: &str, done: usize, total: usize);

    /// Whether to stop early. Embedding asks before each batch, and then ends with
    /// [`EncoderError::Cancelled`](crate::encoder::EncoderError::Cancelled).
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _stage: &str, _done: usize, _total: usize) {}
}
