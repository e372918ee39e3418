//! The command line: arguments in, an exit code out (0 done, 1 failed, 2 called wrongly, 130 interrupted).

use clap::Parser;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use vmfmix::cli::{Cli, INTERRUPTED, Interrupted};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody to tell where that fails.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            match error.is::<Interrupted>() {
                true => INTERRUPTED.into(),
                false => ExitCode::FAILURE,
            }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
