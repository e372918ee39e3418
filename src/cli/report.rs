//! `vmfmix report`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::analysis::Analysis;
use super::args::ReportArgs;
use super::fit::{print_notes, print_summary};
use super::inputs;
use super::output::{OutputFolder, together};
use super::predict::read_model;
use super::progress::listener;
use super::say::say;
use super::vectors::Vectors;
use crate::report::{COMPARISON_FILE, Comparison, SUMMARY_FILE, Summary};

pub(super) fn run(args: &ReportArgs) -> Result<()> {
    let output = OutputFolder::new(&args.output_dir)?;
    match &args.model {
        Some(model) => report(args, model, &output),
        None => compare(&args.compare, &output, args.data.items.quiet),
    }
}

/// Reports on data by a saved mixture.
fn report(args: &ReportArgs, path: &Path, output: &OutputFolder) -> Result<()> {
    let model = read_model(path)?;
    let progress = listener(args.data.items.quiet);
    let inputs = inputs::load(
        &args.data,
        Vectors::open(&args.data.embeddings)?,
        Some(&args.names),
        &progress,
    )?
    .expect("clap requires data");
    let notes = inputs.notes;
    let analysis = Analysis::new(inputs, &args.data, progress)?;
    let report = analysis.report(&model, path, output)?;
    if !args.data.items.quiet {
        print_summary(&report, output)?;
        print_notes(&report, notes)?;
    }
    Ok(())
}

/// Lays reports written before side by side.
fn compare(paths: &[PathBuf], output: &OutputFolder, quiet: bool) -> Result<()> {
    let models = paths
        .iter()
        .map(|path| Ok((path.display().to_string(), read_summary(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    let comparison = Comparison::new(names.join(" against "), models)?;
    let folder = output.path();
    let page = folder.join("comparison.html");
    together(|| {
        comparison.write_json(folder.join(COMPARISON_FILE))?;
        Ok(comparison.write_html(&page)?)
    })?;
    if !quiet {
        for agreement in &comparison.agreements {
            say!(
                "{} and {}: NMI {:.3}, ARI {:.3} over {} items",
                comparison.models[agreement.models[0]].name,
                comparison.models[agreement.models[1]].name,
                agreement.nmi,
                agreement.ari,
                agreement.n_items
            );
        }
        say!("comparison: {}", page.display());
    }
    Ok(())
}

/// The summary in a folder of results, or in a file.
fn read_summary(path: &Path) -> Result<Summary> {
    let file = match path.is_dir() {
        true => path.join(SUMMARY_FILE),
        false => path.to_owned(),
    };
    let reader = File::open(&file).with_context(|| {
        format!(
            "{}: cannot be read; name folders that `vmfmix fit` or `vmfmix report` wrote",
            file.display()
        )
    })?;
    serde_json::from_reader(BufReader::new(reader))
        .with_context(|| format!("{}: is not the summary of a report", file.display()))
}
