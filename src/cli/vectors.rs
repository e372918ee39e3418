//! Embeddings made elsewhere: the files that are meant, and their rows as tables of items.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread::Scope;

use anyhow::{Context, Result, bail, ensure};
use polars::prelude::*;
use walkdir::WalkDir;

use super::inputs::{ADDED, ITEM, LABEL, MODALITY, VECTOR, known_labels, stack, strings, tagged};
use crate::frame::io::{self, EmbeddingsFile};
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, FrameError, FrameExt};
use crate::memory;
use crate::mixture::{MixtureError, VonMisesFisherMixture};

/// Columns that name a row, the first that is there.
const NAMES: [&str; 7] = [ITEM, "path", "image_path", "text", "caption", "name", "url"];

/// Columns that the answers of a mixture take the place of.
const ANSWERS: [&str; 6] = [
    "component",
    "probability",
    "log_likelihood",
    "entropy",
    "outlier_score",
    "split",
];

/// Numbers of a batch: 64 MB.
const BATCH: usize = 1 << 24;

/// Files of embeddings, of which nothing but the descriptions has been read.
pub(super) struct Vectors {
    files: Vec<EmbeddingsFile>,
    dimension: usize,
    /// Known labels of all rows, instead of those in the files.
    labels: Option<Column>,
    /// Columns that go through as they are.
    kept: Vec<String>,
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
        let vectors = Self {
            files,
            dimension,
            labels: None,
            kept: Vec::new(),
        };
        ensure!(vectors.height() > 0, "{}: no rows", vectors.description());
        Ok(Some(vectors.without_ballast()))
    }

    /// The same, of whose columns only those are read that tell of the rows, and those of plain types that all files have.
    fn without_ballast(mut self) -> Self {
        let is_plain = |dtype: &DataType| {
            dtype.is_primitive_numeric()
                || dtype.is_string()
                || dtype.is_bool()
                || dtype.is_temporal()
        };
        let columns = self.files[0].columns();
        let kept: Vec<(String, DataType)> = columns
            .filter(|(name, dtype)| {
                is_plain(dtype) && !ADDED.contains(name) && !ANSWERS.contains(name)
            })
            .filter(|column| {
                let mut files = self.files.iter();
                files.all(|file| file.columns().any(|other| other == *column))
            })
            .map(|(name, dtype)| (name.to_owned(), dtype.clone()))
            .collect();
        for file in &mut self.files {
            file.keep(|name, _| {
                let tells =
                    NAMES.contains(&name) || [EMBEDDING_ERROR, LABEL, MODALITY].contains(&name);
                tells || kept.iter().any(|(kept, _)| kept == name)
            });
        }
        self.kept = kept.into_iter().map(|(name, _)| name).collect();
        self
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
        let (needed, there) = (self.bytes() as f64 / 1e9, memory::total() as f64 / 1e9);
        ensure!(
            needed <= there,
            "{}: they take {needed:.1} GB, and there are {there:.1} GB of memory; give a part of them",
            self.description()
        );
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
        let (mut got, expected) = (0, self.height());
        std::iter::from_fn(move || match receiver.recv() {
            Ok(batch) => {
                got += batch.as_ref().map_or(expected, |(_, batch)| batch.height());
                Some(batch)
            }
            // The reader is gone before its time: what was made so far must not pass for all.
            Err(_) if got < expected => Some(Err(FrameError::Incomplete {
                got: std::mem::replace(&mut got, expected),
                expected,
            })),
            Err(_) => None,
        })
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
        let numbers = rows.clone().map(|row| format!("{file_name}row {row}"));
        let items: StringChunked = match NAMES.iter().find(|name| is_text(name)) {
            Some(name) => strings(frame, name)?
                .into_iter()
                .zip(numbers)
                .map(|(item, number)| Some(item.unwrap_or(number)))
                .collect(),
            None => numbers.map(Some).collect(),
        };
        let vectors = if file.dimension() == 0 {
            let dtype = DataType::Array(Box::new(DataType::Float32), self.dimension);
            Column::full_null(EMBEDDING.into(), rows.len(), &dtype)
        } else {
            frame.column(EMBEDDING)?.clone()
        };
        let missing = vectors.is_null();
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
            items.with_name(ITEM.into()).into_column(),
            vectors,
            reasons.into_column().with_name(EMBEDDING_ERROR.into()),
        ];
        let mut names = self.files.iter().flat_map(|file| file.columns());
        let has_labels = names.any(|(name, _)| name == LABEL);
        match (&self.labels, frame.column(LABEL)) {
            (Some(labels), _) => {
                columns.push(labels.slice((before + first) as i64, rows.len()));
            }
            (None, Ok(labels)) if labels.dtype().is_nested() => {
                return Err(FrameError::label(file.path(), labels.dtype()));
            }
            (None, Ok(labels)) => columns.push(labels.cast(&DataType::String)?),
            (None, Err(_)) if has_labels => {
                let labels = Column::full_null(LABEL.into(), rows.len(), &DataType::String);
                columns.push(labels);
            }
            (None, Err(_)) => (),
        }
        for name in &self.kept {
            columns.push(frame.column(name)?.clone());
        }
        // A table that `embed` wrote knows what its items are.
        let modality = is_text(&MODALITY)
            .then(|| frame.column(MODALITY))
            .transpose()?;
        let mut items = DataFrame::new_infer_height(columns)?;
        match modality {
            Some(modality) => items.with_column(modality.clone()).map(drop)?,
            None => items = tagged(items, VECTOR)?,
        }
        Ok(items)
    }
}

/// The files that are meant.
fn paths(given: &Path) -> Result<Vec<PathBuf>> {
    let is_vectors = |path: &Path| {
        io::check_embeddings_path(path).is_ok() && !is_metadata(path) && path.is_file()
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
