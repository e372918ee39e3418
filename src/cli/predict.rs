//! `vmfmix predict`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::args::PredictArgs;
use super::inputs;
use super::progress::listener;
use crate::frame::{EMBEDDING, FrameExt, io};
use crate::mixture::VonMisesFisherMixture;

pub(super) fn run(args: &PredictArgs) -> Result<()> {
    let model = read_model(&args.model)?;
    let inputs = inputs::load(&args.data, None, &listener(args.data.items.quiet))?
        .expect("clap requires data");
    let assigned = inputs
        .frame
        .predict_with(EMBEDDING, &model)
        .with_context(|| inputs.description.clone())?;
    let assigned = assigned.drop(EMBEDDING)?;
    io::write_parquet(&assigned, &args.output)?;
    if !args.data.items.quiet {
        let missing = assigned.column("component")?.null_count();
        println!(
            "{} items assigned, {missing} skipped: {}",
            assigned.height() - missing,
            args.output.display()
        );
    }
    Ok(())
}

pub(super) fn read_model(path: &Path) -> Result<VonMisesFisherMixture> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "{}: cannot be read; give the model_parameters.json of a fit",
            path.display()
        )
    })?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{}: not a saved mixture; give the model_parameters.json of a fit",
            path.display()
        )
    })
}
