//! From a frame of embeddings to a fitted mixture and a folder of results.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::Axis;
use polars::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;

use super::args::MixtureArgs;
use super::inputs::{IMAGE, ITEM, LABEL, MODALITY, TEXT, embedded, strings};
use super::values::Sizes;
use crate::encoder::ZeroShotLabels;
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, Embeddings, FrameExt, io};
use crate::mixture::{Selection, VonMisesFisherMixture};
use crate::progress::Progress;
use crate::report::{Item, Report};
use crate::whole_file::write_whole;

/// What is analysed, and what the report says of it.
pub(super) struct Analysis {
    /// What the components are in.
    pub title: String,
    /// As [`Inputs::frame`](super::inputs::Inputs::frame).
    pub frame: DataFrame,
    /// Texts in the space of the embeddings that describe the components.
    pub captions: Option<(Vec<String>, Embeddings)>,
    /// Labels to name components by, instead of captions.
    pub names: Option<ZeroShotLabels>,
    /// What else to know to repeat it: the encoder, the source.
    pub settings: Vec<(&'static str, String)>,
}

impl Analysis {
    /// Fits, evaluates and writes everything into the folder.
    pub(super) fn run(
        self,
        args: &MixtureArgs,
        output: &OutputFolder,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Report, Option<Selection>)> {
        let kept = embedded(&self.frame)?;
        let (items, skipped) = (self.items(&kept)?, self.skipped()?);
        ensure!(
            kept.height() > 0,
            "no item could be embedded; the first: {}",
            skipped[0].1
        );
        let embeddings = kept.embeddings(EMBEDDING)?;
        let (train, test) = split(kept.height(), args.test_split, args.random_state);
        let start = Instant::now();
        let params = args.params(&train, kept.height(), progress)?;
        let rows = embeddings.view().select(Axis(0), &train);
        let (model, selection) = match &args.select {
            Some(Sizes(sizes)) => {
                let held_out = embeddings.view().select(Axis(0), &test);
                let held_out = (!test.is_empty()).then(|| held_out.view());
                let sizes = sizes.iter().copied();
                params
                    .select(sizes, rows.view(), held_out, args.criterion)
                    .map(|selection| (selection.model.clone(), Some(selection)))
            }
            None => params
                .fit(&DatasetBase::from(rows))
                .map(|model| (model, None)),
        }
        .with_context(|| match test.len() {
            0 => format!("cannot fit {} points", train.len()),
            held_out => format!(
                "cannot fit {} points ({held_out} more are held out by --test-split)",
                train.len()
            ),
        })?;
        let mut report = Report::builder(&model, embeddings.view())
            .title(format!(
                "{} components in {}",
                model.n_components(),
                self.title
            ))
            .items(items)
            .split(train.clone(), test)
            .skipped(skipped)
            .seed(args.random_state)
            .setting("seed", args.random_state)
            .setting(
                "seconds to fit",
                format!("{:.1}", start.elapsed().as_secs_f64()),
            )
            .setting("vmfmix", env!("CARGO_PKG_VERSION"));
        for (name, value) in args.described() {
            report = report.setting(name, value);
        }
        for (name, value) in self.settings {
            report = report.setting(name, value);
        }
        if let Some((texts, embeddings)) = &self.captions {
            report = report.captions(texts.clone(), embeddings.view());
        }
        if let Some(names) = &self.names {
            report = report.zero_shot(names);
        }
        let report = report.build()?;
        report.write(output.create()?)?;
        if let Some(selection) = &selection {
            let path = output.path.join("selection.json");
            let json = serde_json::to_vec_pretty(&selection.candidates)?;
            write_whole(&path, |file| file.write_all(&json))
                .with_context(|| path.display().to_string())?;
        }
        let assignments = assignments(&self.frame, &model, &train)?;
        io::write_parquet(&assignments, output.path.join("assignments.parquet"))?;
        Ok((report, selection))
    }

    fn items(&self, kept: &DataFrame) -> Result<Vec<Item>> {
        let (names, kinds, labels) = (
            strings(kept, ITEM)?,
            strings(kept, MODALITY)?,
            strings(kept, LABEL)?,
        );
        let item = |((name, kind), label): ((Option<String>, Option<String>), Option<String>)| {
            let name = name.unwrap_or_default();
            let item = match kind.as_deref() {
                Some(TEXT) => Item::text(name),
                Some(IMAGE) => Item::image(name),
                _ => Item::vector(name),
            };
            match label {
                Some(label) => item.labelled(label),
                None => item,
            }
        };
        Ok(names.into_iter().zip(kinds).zip(labels).map(item).collect())
    }

    /// Names and reasons of the rows without an embedding.
    fn skipped(&self) -> Result<Vec<(String, String)>> {
        let without = self
            .frame
            .filter(&self.frame.column(EMBEDDING)?.is_null())?;
        let rows = self.frame.column(EMBEDDING)?.is_null();
        let numbers = rows
            .iter()
            .enumerate()
            .filter(|(_, null)| *null == Some(true))
            .map(|(row, _)| row);
        let names = strings(&without, ITEM)?.into_iter().zip(numbers);
        let names = names.map(|(name, row)| name.unwrap_or_else(|| format!("row {}", row + 1)));
        Ok(names
            .zip(
                strings(&without, EMBEDDING_ERROR)?
                    .into_iter()
                    .map(Option::unwrap_or_default),
            )
            .collect())
    }
}

/// Every input row with its component, probability, log-likelihood, and whether it was fitted or held out.
fn assignments(
    frame: &DataFrame,
    model: &VonMisesFisherMixture,
    train: &[usize],
) -> Result<DataFrame> {
    let mut assigned = frame.predict_with(EMBEDDING, model)?.drop(EMBEDDING)?;
    let fitted: std::collections::HashSet<&usize> = train.iter().collect();
    let mut next = 0..;
    let present = frame.column(EMBEDDING)?.is_not_null();
    let row = |present: Option<bool>| present.unwrap_or(false).then(|| next.next()).flatten();
    let split: StringChunked = present
        .iter()
        .map(row)
        .map(|row| {
            row.map(|row| {
                if fitted.contains(&row) {
                    "train"
                } else {
                    "test"
                }
            })
        })
        .collect();
    assigned.with_column(split.into_column().with_name("split".into()))?;
    Ok(assigned)
}

/// Rows to fit and rows to hold out, each in rising order; at least one is fitted.
fn split(n: usize, test_share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let n_test = ((n as f64 * test_share).round() as usize).min(n.saturating_sub(1));
    let mut rows: Vec<usize> = (0..n).collect();
    rows.shuffle(&mut Xoshiro256Plus::seed_from_u64(seed));
    let mut train = rows.split_off(n_test);
    rows.sort_unstable();
    train.sort_unstable();
    (train, rows)
}

/// The folder for the results: found writable before the work, made after it.
pub(super) struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    /// Refuses a folder that could not be written in the end, and changes nothing.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let existing = path
            .ancestors()
            .find(|ancestor| ancestor.exists())
            .unwrap_or(Path::new("."));
        tempfile::tempfile_in(existing).with_context(|| {
            format!(
                "{}: cannot write there; choose another folder with --output-dir",
                path.display()
            )
        })?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// A folder inside this one.
    pub(super) fn join(&self, name: &str) -> Self {
        Self {
            path: self.path.join(name),
        }
    }

    /// Where the folder is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn create(&self) -> Result<&Path> {
        std::fs::create_dir_all(&self.path).with_context(|| self.path.display().to_string())?;
        Ok(&self.path)
    }
}
