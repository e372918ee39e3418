//! `vmfmix predict`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use polars::prelude::*;

use super::args::PredictArgs;
use super::inputs;
use super::progress::listener;
use super::say::say;
use super::vectors::Vectors;
use crate::frame::{EMBEDDING, FrameExt, io};
use crate::mixture::VonMisesFisherMixture;
use crate::progress::Progress;

pub(super) fn run(args: &PredictArgs) -> Result<()> {
    #[cfg(feature = "ballista")]
    if let Some(scheduler) = &args.cluster.cluster {
        return super::cluster::predict(args, scheduler);
    }
    let model = read_model(&args.model)?;
    let progress = listener(args.data.items.quiet);
    let (mut rows, mut skipped) = (0, 0);
    let mut count = |assigned: &DataFrame| {
        rows += assigned.height();
        skipped += assigned.column("component").map_or(0, Column::null_count);
    };
    match Vectors::open(&args.data.embeddings)? {
        // Centring looks at all rows first.
        Some(vectors) if !args.data.center_by_modality => stream(
            &vectors.labelled(args.data.labels.as_deref())?,
            args,
            &model,
            &progress,
            &mut count,
        )?,
        vectors => {
            let inputs =
                inputs::load(&args.data, vectors, None, &progress)?.expect("clap requires data");
            let assigned = inputs
                .frame
                .predict_with(EMBEDDING, &model)
                .with_context(|| inputs.description.clone())?
                .drop(EMBEDDING)?;
            count(&assigned);
            io::write_parquet(&assigned, &args.output)?;
        }
    }
    if !args.data.items.quiet {
        say!(
            "{} items assigned, {skipped} skipped: {}",
            rows - skipped,
            args.output.display()
        );
    }
    Ok(())
}

/// Assigns rows batch after batch, so that memory does not grow with their number.
fn stream(
    vectors: &Vectors,
    args: &PredictArgs,
    model: &VonMisesFisherMixture,
    progress: &Arc<dyn Progress>,
    mut count: impl FnMut(&DataFrame),
) -> Result<()> {
    let n = vectors.height();
    thread::scope(|scope| {
        let assigned = vectors.batches(scope).map(|batch| {
            let (first, batch) = batch?;
            let assigned = vectors.assign(first, &batch, model)?.drop(EMBEDDING)?;
            count(&assigned);
            progress.update("rows", first + assigned.height(), n);
            Ok(assigned)
        });
        io::write_batches(&args.output, assigned)
    })?;
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
