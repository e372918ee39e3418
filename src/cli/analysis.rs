//! From a frame of embeddings to a fitted mixture and a folder of results.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use linfa::DatasetBase;
use ndarray::Axis;
use polars::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;

use super::args::{DataArgs, MixtureArgs, SizeArgs};
use super::inputs::{IMAGE, ITEM, Inputs, LABEL, MODALITY, Notes, TEXT, embedded, strings};
use super::output::{ASSIGNMENTS, OutputFolder, together};
use super::values::Sizes;
use crate::device::Device;
use crate::encoder::{ZeroShotLabels, lies_in};
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, Embeddings, FrameExt, io};
use crate::mixture::{Selection, VonMisesFisherMixture};
use crate::progress::Progress;
use crate::report::{Item, Modality, Report, ReportBuilder, SELECTION_FILE};

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
    /// Folder that pictures have to lie in to be shown, where a table names them.
    pub image_root: Option<PathBuf>,
    /// Where a mixture is fitted.
    pub device: Device,
    /// Who is told how far it is.
    pub progress: Arc<dyn Progress>,
}

impl Analysis {
    /// What was read, with the texts among it to describe the components by.
    pub(super) fn new(
        inputs: Inputs,
        args: &DataArgs,
        progress: Arc<dyn Progress>,
    ) -> Result<Self> {
        let items = &args.items;
        let mut settings = vec![("data", inputs.description.clone())];
        if items.text_file.is_some() || items.image_dir.is_some() {
            settings.push(("encoder", items.clip_model.clone()));
            settings.push(("precision", items.precision.to_string()));
        }
        settings.push(("device", items.device.resolve()?.to_string()));
        let Notes {
            truncated,
            gap_before,
            seconds,
        } = inputs.notes;
        if seconds > 0.0 {
            settings.push(("seconds to read and embed", format!("{seconds:.1}")));
        }
        if truncated > 0 {
            let name = "texts longer than the encoder's context";
            settings.push((name, truncated.to_string()));
        }
        if args.center_by_modality {
            let gap = gap_before.map(|gap| format!("; the gap was {gap:.3} before"));
            settings.push((
                "centred by modality",
                format!("yes{}", gap.unwrap_or_default()),
            ));
        }
        Ok(Self {
            title: inputs.description,
            names: inputs.names,
            captions: captions(&inputs.frame)?,
            frame: inputs.frame,
            settings,
            image_root: (!args.embeddings.is_empty())
                .then(|| items.image_root.clone().unwrap_or_default()),
            device: items.device,
            progress,
        })
    }

    /// Fits, evaluates and writes everything into the folder.
    pub(super) fn fit(
        self,
        size: &SizeArgs,
        args: &MixtureArgs,
        output: &OutputFolder,
    ) -> Result<(Report, Option<Selection>)> {
        let kept = self.kept()?;
        let embeddings = kept.embeddings(EMBEDDING)?;
        let (train, test) = split(kept.height(), args.test_split, args.random_state);
        let start = Instant::now();
        let params = args.params(
            size.n_components,
            &train,
            kept.height(),
            self.device,
            &self.progress,
        )?;
        let rows = embeddings.view().select(Axis(0), &train);
        let (model, selection) = match &size.select {
            Some(Sizes(sizes)) => {
                let held_out = embeddings.view().select(Axis(0), &test);
                let held_out = (!test.is_empty()).then(|| held_out.view());
                let sizes = sizes.iter().copied();
                params
                    .select(sizes, rows.view(), held_out, size.criterion)
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
        let seconds = start.elapsed().as_secs_f64();
        let report = together(|| {
            let report = self.write(&kept, &model, output, |report| {
                let report = args.describe(report.split(train.clone(), test), seconds);
                match &selection {
                    Some(selection) => report
                        .selection(selection)
                        .file(SELECTION_FILE, "every number of components that was tried"),
                    None => report,
                }
            })?;
            self.write_assignments(&model, &train, output)?;
            if let Some(selection) = &selection {
                output.write_json(SELECTION_FILE, &selection.candidates)?;
            }
            Ok(report)
        });
        let report = report.map_err(|error| output.rescue(&model, error))?;
        Ok((report, selection))
    }

    /// Evaluates a mixture that was fitted before, and writes everything into the folder. All rows count as held out: to
    /// which it was fitted is not known.
    pub(super) fn report(
        self,
        model: &VonMisesFisherMixture,
        path: &Path,
        output: &OutputFolder,
    ) -> Result<Report> {
        together(|| {
            let report = self.write(&self.kept()?, model, output, |report| {
                report
                    .held_out()
                    .setting("mixture", format!("fitted before: {}", path.display()))
            })?;
            self.write_assignments(model, &[], output)?;
            Ok(report)
        })
    }

    /// Evaluates a mixture of more items, of which these are a sample, and writes the report into the folder.
    pub(super) fn report_on_sample(
        self,
        model: &VonMisesFisherMixture,
        output: &OutputFolder,
        more: impl for<'a> FnOnce(ReportBuilder<'a>) -> ReportBuilder<'a>,
    ) -> Result<Report> {
        self.write(&self.kept()?, model, output, more)
    }

    /// Writes the report.
    fn write(
        &self,
        kept: &DataFrame,
        model: &VonMisesFisherMixture,
        output: &OutputFolder,
        more: impl for<'a> FnOnce(ReportBuilder<'a>) -> ReportBuilder<'a>,
    ) -> Result<Report> {
        let embeddings = kept.embeddings(EMBEDDING)?;
        let items = self.items(kept)?;
        let is_hidden = |item: &&Item| item.modality == Modality::Image && item.picture.is_none();
        let hidden = items.iter().filter(is_hidden).count();
        let report = Report::builder(model, embeddings.view())
            .title(format!(
                "{} components in {}",
                model.n_components(),
                self.title
            ))
            .items(items)
            .skipped(self.skipped()?)
            .file(ASSIGNMENTS, "what becomes of every item")
            .progress(self.progress.clone());
        let mut report = more(report).setting("vmfmix", env!("CARGO_PKG_VERSION"));
        for (name, value) in &self.settings {
            report = report.setting(*name, value);
        }
        if hidden > 0 {
            let name = "pictures outside of --image-root, not shown";
            report = report.setting(name, hidden);
        }
        if let Some((texts, embeddings)) = &self.captions {
            report = report.captions(texts.clone(), embeddings.view());
        }
        if let Some(names) = &self.names {
            report = report.zero_shot(names);
        }
        let report = report.build()?;
        report.write(output.path())?;
        Ok(report)
    }

    /// Writes what becomes of every row.
    fn write_assignments(
        &self,
        model: &VonMisesFisherMixture,
        train: &[usize],
        output: &OutputFolder,
    ) -> Result<()> {
        let assignments = assignments(&self.frame, model, train)?;
        io::write_parquet(&assignments, output.assignments())?;
        Ok(())
    }

    /// The rows that have an embedding, of which there is at least one.
    fn kept(&self) -> Result<DataFrame> {
        let kept = embedded(&self.frame)?;
        if kept.height() == 0 {
            let skipped = self.skipped()?;
            let (_, reason) = skipped.first().context("no data")?;
            bail!("no item could be embedded; the first: {reason}");
        }
        Ok(kept)
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
                Some(IMAGE) => self.image(name),
                _ => Item::vector(name),
            };
            match label {
                Some(label) => item.labelled(label),
                None => item,
            }
        };
        Ok(names.into_iter().zip(kinds).zip(labels).map(item).collect())
    }

    /// A picture, which is not looked at if it is one of a table and lies elsewhere than those may.
    fn image(&self, path: String) -> Item {
        let root = self.image_root.as_deref();
        let is_outside = root.is_some_and(|root| !lies_in(Path::new(&path), root));
        let item = Item::image(path);
        match is_outside {
            true => Item {
                picture: None,
                ..item
            },
            false => item,
        }
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

/// The texts among the items, once each: they describe the components.
fn captions(frame: &DataFrame) -> Result<Option<(Vec<String>, Embeddings)>> {
    let texts = embedded(frame)?;
    let kinds = strings(&texts, MODALITY)?.into_iter();
    let named = kinds.zip(strings(&texts, ITEM)?);
    let is_text: BooleanChunked = named
        .map(|(kind, name)| Some(kind.as_deref() == Some(TEXT) && name.is_some()))
        .collect();
    let texts = texts.filter(&is_text)?;
    if texts.height() == 0 {
        return Ok(None);
    }
    let names = strings(&texts, ITEM)?.into_iter().flatten().collect();
    Ok(Some((names, texts.embeddings(EMBEDDING)?)))
}

/// Every input row with its component, probability, log-likelihood, and whether it was fitted or held out.
fn assignments(
    frame: &DataFrame,
    model: &VonMisesFisherMixture,
    train: &[usize],
) -> Result<DataFrame> {
    let mut assigned = frame.predict_with(EMBEDDING, model)?.drop(EMBEDDING)?;
    let present = frame.column(EMBEDDING)?.is_not_null();
    let rows = (0..frame.height()).filter(|&row| present.get(row) == Some(true));
    let rows: Vec<usize> = rows.collect();
    let mut fitted = vec![false; frame.height()];
    train.iter().for_each(|&at| fitted[rows[at]] = true);
    assigned.with_column(split_column(&present, &fitted))?;
    Ok(assigned)
}

/// Column `split`: whether the rows that have an embedding were fitted or held out.
pub(super) fn split_column(present: &BooleanChunked, fitted: &[bool]) -> Column {
    let split = present.iter().zip(fitted).map(|(present, &fitted)| {
        let split = if fitted { "train" } else { "test" };
        (present == Some(true)).then_some(split)
    });
    let split: StringChunked = split.collect();
    split.with_name("split".into()).into_column()
}

/// Rows to fit and rows to hold out, each in rising order; at least one is fitted.
pub(super) fn split(n: usize, test_share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let n_test = ((n as f64 * test_share).round() as usize).min(n.saturating_sub(1));
    let mut rows: Vec<usize> = (0..n).collect();
    rows.shuffle(&mut Xoshiro256Plus::seed_from_u64(seed));
    let mut train = rows.split_off(n_test);
    rows.sort_unstable();
    train.sort_unstable();
    (train, rows)
}
