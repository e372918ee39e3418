//! Embeddings made elsewhere: the files that are meant, and their rows as tables of items.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread::Scope;

use anyhow::{Context, Result, bail, ensure};
use polars::prelude::*;
use walkdir::WalkDir;

use super::inputs::{ITEM, LABEL, MODALITY, VECTOR, known_labels, stack, strings, tagged};
use crate::frame::io::EmbeddingsFile;
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, FrameError, FrameExt};
use crate::mixture::{MixtureError, VonMisesFisherMixture};

/// Columns that name a row, the first that is there.
const NAMES: [&str; 7] = [ITEM, "path", "image_path", "text", "caption", "name", "url"];

/// Numbers of a batch: 64 MB.
const BATCH: usize = 1 << 24;

/// Files of embeddings, of which nothing but the descriptions has been read.
pub(super) struct Vectors {
    files: Vec<EmbeddingsFile>,
    dimension: usize,
    /// Known labels of all rows, instead of those in the files.
    labels: Option<Column>,
}

impl Vectors {
    /// Opens what is given: files, folders, and patterns as `dir/*.parquet`; what a folder or a pattern holds in the order of the
    /// paths. `None` if nothing is given.
    pub(super) fn open(given: &[PathBuf]) -> Result<Option<Self>> {
        if given.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        let mut dimension = 0;
        for given in given {
            for path in paths(given)? {
                let file = EmbeddingsFile::open(&path)?;
                let got = file.dimension();
                ensure!(
                    got == dimension || dimension == 0 || got == 0,
                    "{}: vectors of {got} numbers, but {dimension} in the files before; use embeddings of one encoder",
                    path.display()
                );
                dimension = dimension.max(got);
                files.push(file);
            }
        }
        Ok(Some(Self {
            files,
            dimension,
            labels: None,
        }))
    }

    /// The same with the labels in a file, one a line.
    pub(super) fn labelled(mut self, path: Option<&Path>) -> Result<Self> {
        if let Some(path) = path {
            self.labels = Some(known_labels(path, self.height())?);
        }
        Ok(self)
    }

    pub(super) fn paths(&self) -> Vec<&Path> {
        self.files.iter().map(EmbeddingsFile::path).collect()
    }

    /// Number of rows.
    pub(super) fn height(&self) -> usize {
        self.files.iter().map(EmbeddingsFile::height).sum()
    }

    /// Bytes that the vectors take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.height() * self.dimension * size_of::<f32>()
    }

    /// What they are, in words.
    pub(super) fn description(&self) -> String {
        let first = self.files[0].path().display();
        match self.files.len() {
            1 => format!("the embeddings in {first}"),
            n => format!("the embeddings in {first} and {} more files", n - 1),
        }
    }

    /// All rows, as a table of items.
    pub(super) fn read(&self) -> Result<DataFrame> {
        let mut before = 0;
        let parts = self.files.iter().map(|file| {
            let frame = file.read(0..file.height())?;
            let part = self.items(before, file, 0, &frame)?;
            before += file.height();
            Ok(part)
        });
        stack(parts.collect::<Result<_>>()?)
    }

    /// The rows as tables of items with the same columns, batch after batch; with each, its first row among all. A thread in
    /// `scope` reads ahead.
    pub(super) fn batches<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> impl Iterator<Item = Result<(usize, DataFrame), FrameError>> {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            let mut before = 0;
            for file in &self.files {
                for batch in file.batches(BATCH / self.dimension.max(1)) {
                    let batch = batch.and_then(|(first, frame)| {
                        let items = self.items(before, file, first, &frame)?;
                        Ok((before + first, items))
                    });
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
                before += file.height();
            }
        });
        receiver.into_iter()
    }

    /// Adds to a batch what a mixture says of its rows, as [`FrameExt::predict_with`]; errors name the file and its row.
    pub(super) fn assign(
        &self,
        first: usize,
        batch: &DataFrame,
        model: &VonMisesFisherMixture,
    ) -> Result<DataFrame, FrameError> {
        batch
            .predict_with(EMBEDDING, model)
            .map_err(|error| match error {
                FrameError::Mixture {
                    cause: MixtureError::NoDirection { row, length },
                    ..
                } => self.no_direction(first + row, length),
                error => error,
            })
    }

    /// The error of a row, counted among all, that has no direction.
    fn no_direction(&self, mut row: usize, length: f64) -> FrameError {
        let mut files = self.files.iter();
        let file = files.find(|file| {
            let is_here = row < file.height();
            row -= if is_here { 0 } else { file.height() };
            is_here
        });
        FrameError::NoDirection {
            path: file.map_or_else(PathBuf::new, |file| file.path().to_owned()),
            row,
            length,
        }
    }

    /// Rows of a file from its row `first` on, which has `before` rows before it, with columns [`ITEM`], [`MODALITY`], [`LABEL`]
    /// if there are labels, `embedding` and `embedding_error`.
    fn items(
        &self,
        before: usize,
        file: &EmbeddingsFile,
        first: usize,
        frame: &DataFrame,
    ) -> Result<DataFrame, FrameError> {
        let rows = first..first + frame.height();
        let is_text = |name: &&str| frame.column(name).is_ok_and(|c| c.dtype().is_string());
        let file_name = match (self.files.len(), file.path().file_name()) {
            (2.., Some(name)) => format!("{}, ", name.display()),
            _ => String::new(),
        };
        let items = match NAMES.iter().find(|name| is_text(name)) {
            Some(name) => frame.column(name)?.clone(),
            None => rows
                .clone()
                .map(|row| Some(format!("{file_name}row {row}")))
                .collect::<StringChunked>()
                .into_column(),
        };
        let missing = frame.column(EMBEDDING)?.is_null();
        let written = strings(frame, EMBEDDING_ERROR)?;
        let reasons: StringChunked = missing
            .iter()
            .zip(written)
            .map(|(null, reason)| {
                let reason = reason.unwrap_or_else(|| "no embedding".to_owned());
                (null == Some(true)).then_some(reason)
            })
            .collect();
        let mut columns = vec![
            items.with_name(ITEM.into()),
            frame.column(EMBEDDING)?.clone(),
            reasons.into_column().with_name(EMBEDDING_ERROR.into()),
        ];
        let has_labels = self.files.iter().any(|file| file.has_column(LABEL));
        match (&self.labels, frame.column(LABEL)) {
            (Some(labels), _) => {
                columns.push(labels.slice((before + first) as i64, rows.len()));
            }
            (None, Ok(labels)) => columns.push(labels.cast(&DataType::String)?),
            (None, Err(_)) if has_labels => {
                let labels = Column::full_null(LABEL.into(), rows.len(), &DataType::String);
                columns.push(labels);
            }
            (None, Err(_)) => (),
        }
        // A table that `embed` wrote knows what its items are.
        if is_text(&MODALITY) {
            columns.push(frame.column(MODALITY)?.clone());
            return Ok(DataFrame::new_infer_height(columns)?);
        }
        Ok(tagged(DataFrame::new_infer_height(columns)?, VECTOR)?)
    }
}

/// The files that are meant.
fn paths(given: &Path) -> Result<Vec<PathBuf>> {
    let is_vectors = |path: &Path| {
        let extension = path.extension().unwrap_or_default();
        let is_table = extension == "parquet" && !is_metadata(path);
        (is_table || extension == "npy") && path.is_file()
    };
    let mut found: Vec<PathBuf> = if given.is_dir() {
        WalkDir::new(given)
            .into_iter()
            .map(|entry| Ok(entry?.into_path()))
            .filter(|path: &Result<_>| path.as_ref().map_or(true, |path| is_vectors(path)))
            .collect::<Result<_>>()?
    } else if given.exists() {
        return Ok(vec![given.to_owned()]);
    } else {
        let pattern = given.to_str().context("the pattern is not UTF-8")?;
        glob::glob(pattern)
            .with_context(|| format!("{pattern}: not a file, and not a pattern"))?
            .filter(|path| path.as_ref().map_or(true, |path| !is_metadata(path)))
            .collect::<Result<_, _>>()?
    };
    if found.is_empty() {
        bail!(
            "{}: no such file; give .npy or .parquet files, a folder of them, or a pattern in quotes as 'dir/*.parquet'",
            given.display()
        );
    }
    found.sort();
    Ok(found)
}

/// Whether a table tells of the rows of a `.npy` file.
fn is_metadata(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name);
    name.ends_with(".metadata.parquet") || folder.is_some_and(|folder| folder == "metadata")
}
