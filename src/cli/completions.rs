//! `vmfmix completions`.

use std::io::{Write, stdout};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::generate;

use super::args::{Cli, CompletionsArgs};

pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    // Not straight to standard output: `generate` panics where that is closed.
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    Ok(stdout().write_all(&script)?)
}
