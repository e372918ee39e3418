//! `vmfmix sample`: points of a known mixture, in a file of any size.

use anyhow::{Context, Result};
use ndarray::Array1;
use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::args::SampleArgs;
use super::inputs::LABEL;
use super::predict::read_model;
use super::progress::listener;
use super::say::say;
use crate::frame::{EMBEDDING, Embeddings, FrameError, io};
use crate::mixture::VonMisesFisherMixture;
use crate::vmf::VonMisesFisher;

/// Numbers of a batch: 16 MB in the file.
const BATCH: usize = 1 << 22;

pub(super) fn run(args: &SampleArgs) -> Result<()> {
    let mut rng = Xoshiro256Plus::seed_from_u64(args.random_state);
    let model = match &args.model {
        Some(path) => read_model(path)?,
        None => mixture(args, &mut rng)?,
    };
    let progress = listener(args.quiet);
    let (n, dimension) = (args.n_samples, model.dimension());
    let rows = (BATCH / dimension).max(1);
    let batches = (0..n).step_by(rows).map(|first| {
        let size = rows.min(n - first);
        let batch = batch(&model, size, &mut rng);
        progress.update("samples", first + size, n);
        batch
    });
    io::write_embeddings(&args.output, (n, dimension), batches)
        .with_context(|| "cannot write the samples")?;
    if !args.quiet {
        say!(
            "{n} samples of {} components in {dimension} dimensions: {}",
            model.n_components(),
            args.output.display()
        );
    }
    Ok(())
}

/// Components of equal weight around directions drawn evenly.
fn mixture(args: &SampleArgs, rng: &mut impl Rng) -> Result<VonMisesFisherMixture> {
    let k = args.n_components;
    let uniform = VonMisesFisher::new(Array1::ones(args.dim), 0.0)?;
    let concentrations = args.concentrations.iter().copied().cycle().take(k);
    Ok(VonMisesFisherMixture::from_parameters(
        Array1::from_elem(k, 1.0 / k as f64),
        uniform.sample(k, rng),
        concentrations.collect(),
    )?)
}

/// Points with the components they come from as labels.
fn batch(
    model: &VonMisesFisherMixture,
    size: usize,
    rng: &mut impl Rng,
) -> Result<DataFrame, FrameError> {
    let (points, components) = model.sample(size, rng);
    let labels: StringChunked = components
        .iter()
        .map(|component| Some(component.to_string()))
        .collect();
    Ok(DataFrame::new_infer_height(vec![
        labels.with_name(LABEL.into()).into_column(),
        Embeddings::into_column(EMBEDDING, points.mapv(|x| x as f32))?,
    ])?)
}
