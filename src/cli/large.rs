//! `vmfmix fit` of embeddings larger than memory: they stay in their files, and every pass reads them.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use linfa::ParamGuard;
use polars::prelude::*;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::analysis::{Analysis, split, split_column};
use super::args::FitArgs;
use super::inputs::{Inputs, Notes, stack};
use super::output::{OutputFolder, together};
use super::vectors::Vectors;
use crate::frame::{EMBEDDING, FrameError, Shards, io};
use crate::mixture::VonMisesFisherMixture;
use crate::progress::Progress;
use crate::report::{PARAMETERS_FILE, Population, Report};

/// Rows that the report looks at.
const SAMPLED: usize = 20_000;

/// Rows without an embedding that the report names.
const SKIPPED: usize = 1000;

/// Fits, evaluates and writes everything into the folder.
pub(super) fn run(
    args: &FitArgs,
    vectors: Vectors,
    output: &OutputFolder,
    progress: &Arc<dyn Progress>,
) -> Result<Report> {
    if args.needs_memory() {
        bail!(
            "these embeddings are too large for the memory, and what stays on disk is fitted for one number of components, neither centred nor labelled: leave --select, --center-by-modality and --zero-shot-labels out, or raise --memory-share"
        );
    }
    let vectors = vectors.labelled(args.data.labels.as_deref())?;
    let shards = Shards::open(&vectors.paths(), output.path())?;
    let present = shards.present();
    ensure!(
        !present.is_empty(),
        "{}: no item has an embedding",
        vectors.description()
    );
    let (train, test) = split(
        present.len(),
        args.mixture.test_split,
        args.mixture.random_state,
    );
    let places = |chosen: &[usize]| chosen.iter().map(|&at| present[at]).collect::<Vec<_>>();
    let start = Instant::now();
    let params = args
        .mixture
        .params(
            args.size.n_components,
            &train,
            present.len(),
            args.data.items.device,
            progress,
        )?
        .check()?;
    let points = |chosen: &[usize]| -> Result<_, FrameError> { shards.points(places(chosen)) };
    let train_points = params.place(points(&train)?)?;
    let model = params
        .fit_observations(&*train_points)
        .with_context(|| format!("cannot fit {} points", train.len()))?;
    let seconds = start.elapsed().as_secs_f64();
    // At once: what comes after a long fit may fail.
    output.write_json(PARAMETERS_FILE, &model)?;
    let held_out = (!test.is_empty()).then(|| -> Result<_> { Ok(params.place(points(&test)?)?) });
    let held_out = held_out.transpose()?;
    let population = Population {
        n_train: train.len(),
        n_test: test.len(),
        train_log_likelihood: Some(model.score_observations(&*train_points)?),
        test_log_likelihood: held_out
            .as_deref()
            .map(|points| model.score_observations(points))
            .transpose()?,
        single_log_likelihood: model
            .collapse()
            .score_observations(held_out.as_deref().unwrap_or(&*train_points))?,
    };
    together(|| {
        let (seen, n_skipped) = assign(
            &vectors,
            &model,
            [&present, &places(&train)],
            args,
            output,
            progress,
        )?;
        let inputs = Inputs {
            frame: seen,
            description: vectors.description(),
            names: None,
            notes: Notes::default(),
        };
        Analysis::new(inputs, &args.data, progress.clone())?.report_on_sample(
            &model,
            output,
            |report| {
                args.mixture
                    .describe(report.sample_of(population), seconds)
                    .n_skipped(n_skipped)
                    .setting("embeddings", "read from disk in every pass")
            },
        )
    })
}

/// Writes what becomes of every row, batch after batch; returns some rows for the report, the first ones without an embedding and
/// a random sample of the others, and the number of those without.
fn assign(
    vectors: &Vectors,
    model: &VonMisesFisherMixture,
    [present, train]: [&[usize]; 2],
    args: &FitArgs,
    output: &OutputFolder,
    progress: &Arc<dyn Progress>,
) -> Result<(DataFrame, usize)> {
    let n = vectors.height();
    let mut fitted = vec![false; n];
    train.iter().for_each(|&row| fitted[row] = true);
    let mut rng = Xoshiro256Plus::seed_from_u64(args.mixture.random_state);
    let mut sampled = vec![false; n];
    let sample = rand::seq::index::sample(&mut rng, present.len(), SAMPLED.min(present.len()));
    sample.iter().for_each(|at| sampled[present[at]] = true);
    let (mut seen, mut skipped) = (Vec::new(), 0);
    thread::scope(|scope| {
        let assigned = vectors.batches(scope).map(|batch| {
            let (first, batch) = batch?;
            let present = batch.column(EMBEDDING)?.is_not_null();
            let chosen = present
                .iter()
                .zip(&sampled[first..])
                .map(|(present, &sampled)| {
                    let is_present = present == Some(true);
                    skipped += usize::from(!is_present);
                    Some(if is_present {
                        sampled
                    } else {
                        skipped <= SKIPPED
                    })
                });
            seen.push(batch.filter(&chosen.collect())?);
            let mut assigned = vectors.assign(first, &batch, model)?.drop(EMBEDDING)?;
            assigned.with_column(split_column(&present, &fitted[first..]))?;
            progress.update("assigning", first + batch.height(), n);
            Ok(assigned)
        });
        io::write_batches(output.assignments(), assigned)
    })?;
    Ok((stack(seen)?, skipped))
}
