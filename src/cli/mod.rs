//! The command line: clap arguments become settings, and each subcommand is one function.

mod analysis;
mod args;
#[cfg(feature = "ballista")]
mod cluster;
mod completions;
mod demo;
mod embed;
mod examples;
mod fit;
mod inputs;
mod interrupt;
mod large;
mod models;
mod output;
mod predict;
mod progress;
mod report;
mod sample;
mod say;
mod schema;
mod settings;
mod sources;
mod values;
mod vectors;
mod vmf;

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Result, bail};
pub use args::Cli;
use args::Command;

use crate::contained::print_no_contained_panic;

/// Exit code of a program that Ctrl-C ended: 128 and the number of the signal.
pub const INTERRUPTED: u8 = 130;

/// Ctrl-C ended an `embed` before all items were embedded.
#[derive(Debug, thiserror::Error)]
#[error(
    "interrupted: {done} of {total} items are embedded; go on with --resume, or use what is there: vmfmix fit --embeddings '{}'",
    shards.display()
)]
pub struct Interrupted {
    /// Items in finished shards.
    pub done: usize,
    /// Items in all.
    pub total: usize,
    /// The finished shards, as a pattern.
    pub shards: PathBuf,
}

/// Starts the threads that share the work, which otherwise start where a failure could not be told.
fn start_threads() -> Result<()> {
    static STARTED: OnceLock<Option<String>> = OnceLock::new();
    let failure = STARTED.get_or_init(|| {
        let started = rayon::ThreadPoolBuilder::new().build_global();
        // Without a cause, there were threads already.
        let failure = started.err().filter(|failure| failure.source().is_some());
        failure.map(|failure| failure.to_string())
    });
    match failure {
        None => Ok(()),
        Some(cause) => bail!(
            "threads cannot be started ({cause}); allow more memory and processes, or fewer threads by RAYON_NUM_THREADS"
        ),
    }
}

impl Cli {
    /// Does what the arguments say.
    ///
    /// # Errors
    /// One chain of causes that reads as a line: what failed, where, and what to do.
    pub fn run(self) -> Result<()> {
        interrupt::listen();
        start_threads()?;
        // As many files at once as the system allows, not as the shell does; where that fails, fewer will do.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        print_no_contained_panic();
        match self.command.unwrap_or(Command::Fit(Box::new(self.fit))) {
            Command::Fit(args) => fit::run(&args),
            Command::Sweep(args) => fit::run(&(*args).into()),
            Command::Embed(args) => embed::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Sample(args) => sample::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Models => models::run(),
            #[cfg(feature = "ballista")]
            Command::Scheduler(args) => cluster::scheduler(&args),
            #[cfg(feature = "ballista")]
            Command::Executor(args) => cluster::executor(&args),
            Command::Vmf(args) => vmf::run(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Completions(args) => completions::run(&args),
        }
    }
}
