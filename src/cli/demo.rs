//! `vmfmix demo`: drawn shapes and their captions through a toy CLIP, so that the whole way can be seen offline.

use std::collections::HashMap;

use anyhow::{Context, Result};
use clap::Parser;
use ndarray::{ArrayView1, ArrayView2};
use polars::prelude::*;

use super::analysis::Analysis;
use super::args::{Cli, DemoArgs};
use super::fit::print_summary;
use super::inputs::{ITEM, LABEL, images_frame, strings, texts_frame};
use super::output::OutputFolder;
use super::progress::listener;
use super::say::say;
use crate::encoder::{ClipEncoder, Device};
use crate::frame::{EMBEDDING, EmbedOptions, FrameExt, io};
use crate::mixture::VonMisesFisherMixture;
use crate::mixture::metrics::normalized_mutual_information;

/// Six shapes in four colours.
const N_COMPONENTS: &str = "24";

pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let tell = |line: &str| -> Result<()> {
        if !args.quiet {
            say!("{line}");
        }
        Ok(())
    };
    let output = OutputFolder::new(&args.output_dir)?;
    let shapes = args.datasets.join("shapes");
    let table = io::table(shapes.join("shapes.csv"))
        .context("the demo needs the project's datasets folder; give it with --datasets")?;
    tell(&format!(
        "{} drawn pictures and their captions go through tiny-clip, a toy CLIP that knows nothing but such shapes; \
         then a mixture of {N_COMPONENTS} von Mises-Fisher distributions is fitted to the pictures and one to the captions.",
        table.height()
    ))?;
    let encoder = ClipEncoder::from_folder(&args.datasets.join("tiny-clip"), Device::Auto)?;
    let progress = listener(args.quiet);
    let options = EmbedOptions::default().progress(progress.clone());
    let mut images = table.select(["path", LABEL, "shape", "colour"])?;
    let paths: StringChunked = images
        .strings("path")?
        .iter()
        .map(|path| Some(shapes.join(path).to_string_lossy().into_owned()))
        .collect();
    images.with_column(paths.with_name("path".into()).into_column())?;
    let images = images_frame(images, &encoder, &options)?;
    let mut texts = table.select(["caption", LABEL, "shape", "colour"])?;
    texts.rename("caption", "text".into())?;
    let texts = texts_frame(texts, &encoder, &options)?;
    let captions = (
        strings(&texts, ITEM)?
            .into_iter()
            .flatten()
            .collect::<Vec<_>>(),
        texts.embeddings(EMBEDDING)?,
    );
    let pictures = images.embeddings(EMBEDDING)?;
    tell(&retrieval(
        captions.1.view(),
        pictures.view(),
        &strings(&images, LABEL)?,
    ))?;
    // The defaults are written once, at the arguments.
    let defaults = Cli::parse_from(["vmfmix", "--n-components", N_COMPONENTS]).fit;
    for (name, what, frame) in [
        ("images", "drawn pictures", images),
        ("texts", "captions of drawn pictures", texts),
    ] {
        let analysis = Analysis {
            title: format!("{} {what}", frame.height()),
            frame: frame.clone(),
            captions: Some(captions.clone()),
            names: None,
            settings: vec![(
                "encoder",
                "tiny-clip, a toy trained on drawn shapes".to_owned(),
            )],
            image_root: None,
            device: Device::Auto,
            progress: progress.clone(),
        };
        let folder = output.join(name);
        let (report, _) = analysis.fit(&defaults.size, &defaults.mixture, &folder)?;
        if !args.quiet {
            say!();
            print_summary(&report, &folder)?;
            say!("{}", agreement(report.model(), &frame)?);
        }
    }
    Ok(())
}

/// How often the nearest picture to a caption shows what the caption says.
fn retrieval(
    captions: ArrayView2<'_, f32>,
    pictures: ArrayView2<'_, f32>,
    labels: &[Option<String>],
) -> String {
    let cosines = captions.dot(&pictures.t());
    let nearest = |row: ArrayView1<'_, f32>| {
        row.iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|best| best.0)
    };
    let right = cosines
        .rows()
        .into_iter()
        .enumerate()
        .filter(|(caption, row)| {
            nearest(*row).is_some_and(|picture| labels[picture] == labels[*caption])
        });
    let share = right.count() as f64 / captions.nrows() as f64;
    format!(
        "Text to image: for {:.1} % of the captions the nearest picture shows that shape in that colour.",
        100.0 * share
    )
}

/// Normalised mutual information of the components with each kind of label.
fn agreement(model: &VonMisesFisherMixture, frame: &DataFrame) -> Result<String> {
    let components = model.assign(frame.embeddings(EMBEDDING)?.view())?.to_vec();
    let mut parts = Vec::new();
    for (column, what) in [
        (LABEL, "colour and shape"),
        ("shape", "shape"),
        ("colour", "colour"),
    ] {
        let mut codes = HashMap::new();
        let labels: Vec<usize> = strings(frame, column)?
            .into_iter()
            .map(|label| {
                let next = codes.len();
                *codes.entry(label).or_insert(next)
            })
            .collect();
        let nmi = normalized_mutual_information(&components, &labels);
        parts.push(format!("{nmi:.3} with {what} ({} labels)", codes.len()));
    }
    Ok(format!("NMI of the components: {}", parts.join(", ")))
}
