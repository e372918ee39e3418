//! The command line: clap arguments become settings, and each subcommand is one function.

mod analysis;
mod args;
mod completions;
mod demo;
mod embed;
mod examples;
mod fit;
mod inputs;
mod large;
mod models;
mod predict;
mod progress;
mod report;
mod sample;
mod settings;
mod values;
mod vectors;
mod vmf;

use anyhow::Result;
pub use args::Cli;
use args::Command;

impl Cli {
    /// Does what the arguments say.
    ///
    /// # Errors
    /// One chain of causes that reads as a line: what failed, where, and what to do.
    pub fn run(self) -> Result<()> {
        match self.command.unwrap_or(Command::Fit(Box::new(self.fit))) {
            Command::Fit(args) => fit::run(&args),
            Command::Sweep(args) => fit::run(&(*args).into()),
            Command::Embed(args) => embed::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Sample(args) => sample::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Models => models::run(),
            Command::Vmf(args) => vmf::run(&args),
            Command::Completions(args) => completions::run(&args),
        }
    }
}
