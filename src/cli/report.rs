//! `vmfmix report`.

use anyhow::Result;

use super::analysis::{Analysis, OutputFolder};
use super::args::ReportArgs;
use super::fit::{print_notes, print_summary};
use super::inputs;
use super::predict::read_model;
use super::progress::listener;
use super::vectors::Vectors;

pub(super) fn run(args: &ReportArgs) -> Result<()> {
    let model = read_model(&args.model)?;
    let output = OutputFolder::new(&args.output_dir)?;
    let inputs = inputs::load(
        &args.data,
        Vectors::open(&args.data.embeddings)?,
        Some(&args.names),
        &listener(args.data.items.quiet),
    )?
    .expect("clap requires data");
    let notes = inputs.notes;
    let analysis = Analysis::new(inputs, &args.data)?;
    let report = analysis.report(&model, &args.model, &output)?;
    if !args.data.items.quiet {
        print_summary(&report, &output);
        print_notes(&report, notes);
    }
    Ok(())
}
