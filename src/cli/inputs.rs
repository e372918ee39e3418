//! From the data arguments to a frame of embeddings: one row for every text, picture or vector given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use polars::prelude::*;

use super::args::{DataArgs, ItemArgs, NameArgs};
use super::say::note;
use super::vectors::Vectors;
use crate::device::Device;
use crate::encoder::{
    self, EmbeddingCache, Encoder, Placement, PromptTemplate, Tower, ZeroShotLabels,
};
use crate::frame::{
    EMBEDDING, EMBEDDING_ERROR, EMBEDDING_TRUNCATED, EmbedOptions, Embeddings, FrameExt, io,
    modality_gap,
};
use crate::mixture::{InMemory, MixtureError};
use crate::progress::Progress;

/// Column with the text, the path or the name of an item.
pub(super) const ITEM: &str = "item";
/// Column that says whether an item is a [`TEXT`], an [`IMAGE`] or a [`VECTOR`].
pub(super) const MODALITY: &str = "modality";
/// Column of known labels.
pub(super) const LABEL: &str = "label";

/// Columns that an embedded table has in any case.
pub(super) const ADDED: [&str; 6] = [
    ITEM,
    MODALITY,
    LABEL,
    EMBEDDING,
    EMBEDDING_ERROR,
    EMBEDDING_TRUNCATED,
];

pub(super) const TEXT: &str = "text";
pub(super) const IMAGE: &str = "image";
pub(super) const VECTOR: &str = "vector";

/// Rows with columns [`ITEM`], [`MODALITY`], [`LABEL`] where known, `embedding` and `embedding_error`.
pub(super) struct Inputs {
    pub frame: DataFrame,
    /// What was read, in words.
    pub description: String,
    /// Labels to name components by.
    pub names: Option<ZeroShotLabels>,
    pub notes: Notes,
}

/// What else there is to say of the data.
#[derive(Clone, Copy, Default)]
pub(super) struct Notes {
    /// Texts that lost their tail.
    pub truncated: usize,
    /// Distance between the means of texts and images before they were centred, if they were.
    pub gap_before: Option<f64>,
    /// How long it took to read and embed it.
    pub seconds: f64,
}

/// Reads and embeds what the arguments name, of which the files of embeddings are open; `None` where they name no data.
pub(super) fn load(
    args: &DataArgs,
    vectors: Option<Vectors>,
    names: Option<&NameArgs>,
    progress: &Arc<dyn Progress>,
) -> Result<Option<Inputs>> {
    let start = Instant::now();
    let mut parts = Vec::new();
    let mut sources = Vec::new();
    // All files are looked at before the encoder is loaded: a wrong name is told at once.
    let words = names.and_then(|names| names.zero_shot_labels.as_ref());
    let words = words.map(labels).transpose()?;
    let (texts, images) = args.items.read()?;
    if vectors.is_none() && texts.is_none() && images.is_none() {
        ensure!(
            args.labels.is_none() && words.is_none(),
            "labels need data to label: give --text-file, --image-dir or --embeddings"
        );
        return Ok(None);
    }
    let cache = match (&texts, &images) {
        (None, None) => None,
        _ => args.items.cache()?,
    };
    let is_needed = texts.is_some() || images.is_some() || words.is_some();
    let encoder = is_needed.then(|| args.items.encoder()).transpose()?;
    if let Some(encoder) = &encoder {
        // Before the other kind is embedded in vain.
        if texts.is_some() || words.is_some() {
            check_tower(&**encoder, Tower::Text)?;
        }
        if images.is_some() {
            check_tower(&**encoder, Tower::Image)?;
        }
    }
    let names = match (&encoder, words, names) {
        (Some(encoder), Some(words), Some(names)) => {
            let usual = match args.items.text_file {
                Some(_) => PromptTemplate::plain(),
                None => PromptTemplate::photo(),
            };
            let given = names
                .prompt_template
                .iter()
                .flat_map(|prompts| prompts.0.clone());
            let mut templates: Vec<PromptTemplate> = given.collect();
            if templates.is_empty() {
                templates.push(usual);
            }
            Some(ZeroShotLabels::new(&**encoder, words, &templates)?)
        }
        _ => None,
    };
    if let Some(vectors) = vectors {
        parts.push(vectors.read()?);
        sources.push(vectors.description());
    }
    let options = args.items.options(progress.clone(), cache.as_ref());
    if let (Some(frame), Some(path), Some(encoder)) = (texts, &args.items.text_file, &encoder) {
        parts.push(texts_frame(frame, &**encoder, &options)?);
        sources.push(format!("the texts in {}", path.display()));
    }
    if let (Some(frame), Some(path), Some(encoder)) = (images, &args.items.image_dir, &encoder) {
        parts.push(images_frame(frame, &**encoder, &options)?);
        sources.push(format!("the pictures in {}", path.display()));
    }
    let truncated = parts.iter().map(truncated).sum();
    let mut frame = stack(parts)?;
    if let Some(path) = &args.labels {
        frame.with_column(known_labels(path, frame.height())?)?;
    }
    let description = sources.join(" and ");
    check(&frame).with_context(|| description.clone())?;
    let mut gap_before = None;
    if args.center_by_modality {
        gap_before = modality_gap(&frame, EMBEDDING, MODALITY)?.map(|gap| gap.distance);
        frame = frame.center_by(EMBEDDING, MODALITY)?;
    }
    Ok(Some(Inputs {
        frame,
        description,
        names,
        notes: Notes {
            truncated,
            gap_before,
            seconds: start.elapsed().as_secs_f64(),
        },
    }))
}

impl ItemArgs {
    /// The texts and the pictures that are named, not yet embedded.
    pub(super) fn read(&self) -> Result<(Option<DataFrame>, Option<DataFrame>)> {
        let texts = self.text_file.as_ref().map(io::text_file).transpose()?;
        let images = self.image_dir.as_ref().map(io::image_folder).transpose()?;
        Ok((texts, images))
    }

    /// The model that is named, where it is to run.
    pub(super) fn encoder(&self) -> Result<Box<dyn Encoder>> {
        let placement = Placement {
            device: self.device,
            precision: self.precision,
        };
        Ok(encoder::load(&self.clip_model, placement)?)
    }

    /// Says where the work is done, if it is on a GPU or this build would have taken one.
    pub(super) fn announce_device(&self) -> Result<()> {
        let device = self.device.resolve()?;
        if self.quiet {
            return Ok(());
        }
        if let Some(name) = self.device.hardware()? {
            note!("device: {device} ({name})");
        } else if cfg!(feature = "cuda")
            && self.device == Device::Auto
            && let Err(reason) = Device::Cuda(0).resolve()
        {
            note!("device: {device}; {reason}");
        }
        Ok(())
    }

    /// The cache that is named.
    pub(super) fn cache(&self) -> Result<Option<Arc<EmbeddingCache>>> {
        let cache = self.cache.as_ref().map(EmbeddingCache::open).transpose()?;
        Ok(cache.map(Arc::new))
    }

    /// How they are embedded.
    pub(super) fn options(
        &self,
        progress: Arc<dyn Progress>,
        cache: Option<&Arc<EmbeddingCache>>,
    ) -> EmbedOptions {
        let mut options = EmbedOptions::default()
            .apply_orientation(self.apply_orientation)
            .progress(progress);
        if let Some(batch_size) = self.batch_size {
            options = options.batch_size(batch_size);
        }
        match cache {
            Some(cache) => options.cache(cache.clone()),
            None => options,
        }
    }
}

/// The labels of so many items in a file, one a line.
pub(super) fn known_labels(path: &Path, items: usize) -> Result<Column> {
    let labels = io::text_file(path)?;
    ensure!(
        labels.height() == items,
        "{}: {} labels for {items} items; give one label a line, texts first, then pictures in the order of their paths",
        path.display(),
        labels.height(),
    );
    Ok(labels.column("text")?.clone().with_name(LABEL.into()))
}

/// The labels in a file, one a line.
fn labels(path: &PathBuf) -> Result<Vec<String>> {
    let lines = io::text_file(path)?;
    let labels: Vec<String> = strings(&lines, "text")?.into_iter().flatten().collect();
    ensure!(
        !labels.is_empty(),
        "{}: no label in it; give one label a line",
        path.display()
    );
    Ok(labels)
}

/// Refuses an encoder without that tower.
pub(super) fn check_tower(encoder: &dyn Encoder, tower: Tower) -> Result<()> {
    if encoder.towers().contains(&tower) {
        return Ok(());
    }
    bail!(encoder.no_tower(tower))
}

/// Texts that lost their tail.
pub(super) fn truncated(frame: &DataFrame) -> usize {
    let column = frame
        .column(EMBEDDING_TRUNCATED)
        .and_then(|column| column.bool());
    column.ok().and_then(|column| column.sum()).unwrap_or(0) as usize
}

/// The rows that have an embedding.
pub(super) fn embedded(frame: &DataFrame) -> PolarsResult<DataFrame> {
    frame.filter(&frame.column(EMBEDDING)?.is_not_null())
}

/// The strings of a column, `None` where null or where there is no such column.
pub(super) fn strings(frame: &DataFrame, column: &str) -> PolarsResult<Vec<Option<String>>> {
    let Ok(column) = frame.column(column) else {
        return Ok(vec![None; frame.height()]);
    };
    // A column without a value may have lost its type.
    let column = column.cast(&DataType::String)?;
    let strings = column.str()?.iter();
    Ok(strings.map(|text| text.map(str::to_owned)).collect())
}

/// A text frame, embedded.
pub(super) fn texts_frame(
    mut frame: DataFrame,
    encoder: &dyn Encoder,
    options: &EmbedOptions,
) -> Result<DataFrame> {
    frame.rename("text", ITEM.into())?;
    frame = frame.embed_text_with(ITEM, encoder, options)?;
    Ok(tagged(frame, TEXT)?)
}

/// A frame of image paths, embedded.
pub(super) fn images_frame(
    mut frame: DataFrame,
    encoder: &dyn Encoder,
    options: &EmbedOptions,
) -> Result<DataFrame> {
    frame.rename("path", ITEM.into())?;
    frame = frame.embed_images_with(ITEM, encoder, options)?;
    Ok(tagged(frame, IMAGE)?)
}

/// A frame of vectors made here, with known labels.
pub(super) fn vectors_frame(vectors: Array2<f32>, labels: Vec<String>) -> Result<DataFrame> {
    let rows: StringChunked = (0..vectors.nrows())
        .map(|row| Some(format!("row {row}")))
        .collect();
    let frame = DataFrame::new_infer_height(vec![
        rows.into_column().with_name(ITEM.into()),
        Embeddings::into_column(EMBEDDING, vectors)?,
        Column::full_null(EMBEDDING_ERROR.into(), labels.len(), &DataType::String),
        Column::new(LABEL.into(), labels),
    ])?;
    Ok(tagged(frame, VECTOR)?)
}

/// A frame whose items are all of one kind.
pub(super) fn tagged(mut frame: DataFrame, modality: &str) -> PolarsResult<DataFrame> {
    let column: StringChunked = std::iter::repeat_n(Some(modality), frame.height()).collect();
    frame.with_column(column.into_column().with_name(MODALITY.into()))?;
    Ok(frame)
}

/// The parts below one another, with the same columns in the same order.
pub(super) fn stack(parts: Vec<DataFrame>) -> Result<DataFrame> {
    let has_labels = |part: &DataFrame| {
        let labels = part.column(LABEL);
        labels.is_ok_and(|labels| labels.null_count() < labels.len())
    };
    let labelled = parts.iter().any(has_labels);
    let mut columns = vec![ITEM, MODALITY, EMBEDDING, EMBEDDING_ERROR];
    columns.extend(labelled.then_some(LABEL));
    let own: Vec<String> = parts.first().map_or_else(Vec::new, |first| {
        let names = first.get_column_names_owned().into_iter();
        let own = names.map(|name| name.to_string());
        let own = own.filter(|name| name != LABEL && !columns.contains(&&name[..]));
        own.filter(|name| parts.iter().all(|part| part.column(name).is_ok()))
            .collect()
    });
    columns.extend(own.iter().map(String::as_str));
    let mut all: Option<DataFrame> = None;
    for mut part in parts {
        if labelled && part.column(LABEL).is_err() {
            part.with_column(Column::full_null(
                LABEL.into(),
                part.height(),
                &DataType::String,
            ))?;
        }
        let part = part.select(columns.iter().copied())?;
        all = Some(match all {
            Some(all) => all.vstack(&part)?,
            None => part,
        });
    }
    all.context("no data")
}

/// Refuses vectors without a direction, naming the row as the file counts it.
fn check(frame: &DataFrame) -> Result<()> {
    let present = frame.column(EMBEDDING)?.is_not_null();
    if !present.any() {
        return Ok(());
    }
    let embeddings = embedded(frame)?.embeddings(EMBEDDING)?;
    match InMemory::new(embeddings.view(), None) {
        Ok(_) => Ok(()),
        Err(MixtureError::NoDirection { row, length }) => {
            let rows = present
                .iter()
                .enumerate()
                .filter(|(_, present)| *present == Some(true));
            let row = rows.map(|(at, _)| at).nth(row).unwrap_or(row);
            bail!(MixtureError::NoDirection { row, length })
        }
        Err(error) => bail!(error),
    }
}
