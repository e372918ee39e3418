//! The command line: arguments in, an exit code out (0 done, 1 failed, 2 called wrongly).

use clap::Parser;
use std::process::ExitCode;
use vmfmix::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
