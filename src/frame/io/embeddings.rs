//! Embeddings made elsewhere: `.npy` matrices, alone or with a table beside them, and `.parquet` tables.

use std::io::Seek;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use polars::prelude::*;

use super::npy::write_npy_batches;
use super::parquet::TableWriter;
use super::{FrameError, NpyMatrix, ParquetFile, extension, fill_npy, write_batches, write_file};
use crate::frame::present::{Present, gathered, true_rows};
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, Embeddings};
use crate::whole_file::{Together, Unnamed};

/// Numbers of a table that are decoded at once: 32 MB.
const DECODED: usize = 1 << 23;

/// Rows among which the first vector is looked for at once.
const FIRST_ROWS: usize = 1024;

/// A file of embeddings, of which nothing but the description has been read.
///
/// A `.npy` file may have a table beside it that tells of its rows, as `vmfmix embed` writes it (`x.metadata.parquet` of
/// `x.npy`) or clip-retrieval (`metadata/metadata_0.parquet` of `img_emb/img_emb_0.npy`).
pub struct EmbeddingsFile {
    path: PathBuf,
    source: Source,
    dimension: usize,
    /// What is read beside the vectors.
    columns: Vec<String>,
}

enum Source {
    Npy {
        matrix: NpyMatrix,
        metadata: Option<ParquetFile>,
    },
    Parquet {
        table: ParquetFile,
        /// The column of vectors.
        column: String,
    },
}

impl EmbeddingsFile {
    /// Reads the description of a `.npy` or `.parquet` file. The vectors of a table are those of its column `embedding`,
    /// else of the only column that holds lists or arrays of floats.
    ///
    /// # Errors
    /// The file cannot be read, is of another kind, or holds no vectors; or the table beside it has another number of rows.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FrameError> {
        let path = path.as_ref();
        let (source, dimension) = match Kind::of(path)? {
            Kind::Npy => {
                let matrix = NpyMatrix::open(path)?;
                let metadata = Some(metadata_path(path)).filter(|beside| beside.is_file());
                let metadata = metadata.map(ParquetFile::open).transpose()?;
                if let Some(table) = &metadata
                    && table.height() != matrix.dim().0
                {
                    return Err(FrameError::Metadata {
                        path: table.path().to_owned(),
                        rows: table.height(),
                        of: path.to_owned(),
                        expected: matrix.dim().0,
                    });
                }
                let dimension = matrix.dim().1;
                (Source::Npy { matrix, metadata }, dimension)
            }
            Kind::Parquet => {
                let table = ParquetFile::open(path)?;
                let column = column_of_vectors(path, table.schema())?;
                let dimension = first_length(&table, &column)?;
                (Source::Parquet { table, column }, dimension)
            }
        };
        let mut file = Self {
            path: path.to_owned(),
            source,
            dimension,
            columns: Vec::new(),
        };
        file.keep(|_, _| true);
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        match &self.source {
            Source::Npy { matrix, .. } => matrix.dim().0,
            Source::Parquet { table, .. } => table.height(),
        }
    }

    /// The columns that are read beside the vectors, with their types.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &DataType)> {
        let (table, _) = self.table();
        let schema = table.into_iter().flat_map(|table| table.schema().iter());
        let columns = schema.map(|(name, dtype)| (name.as_str(), dtype));
        columns.filter(|(name, _)| self.columns.iter().any(|kept| kept == name))
    }

    /// From here on reads only these of the columns beside the vectors.
    pub fn keep(&mut self, is_kept: impl Fn(&str, &DataType) -> bool) {
        let (table, vectors) = self.table();
        let schema = table.into_iter().flat_map(|table| table.schema().iter());
        let beside = schema.filter(|(name, _)| vectors != Some(name.as_str()));
        let kept = beside.filter(|(name, dtype)| is_kept(name, dtype));
        self.columns = kept.map(|(name, _)| name.to_string()).collect();
    }

    /// The table that it is or that lies beside it, and which of its columns has the vectors.
    fn table(&self) -> (Option<&ParquetFile>, Option<&str>) {
        match &self.source {
            Source::Npy { metadata, .. } => (metadata.as_ref(), None),
            Source::Parquet { table, column } => (Some(table), Some(column)),
        }
    }

    /// Length of the vectors; 0 if no row has one.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Reads some rows: the vectors as column `embedding` of type `Array(Float32, D)`, null where there is none, and the columns
    /// beside them.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged, or holds vectors of several lengths.
    pub fn read(&self, rows: Range<usize>) -> Result<DataFrame, FrameError> {
        match &self.source {
            Source::Parquet { table, column } => {
                let first = rows.start;
                let columns = self.columns.iter().chain([column]);
                let columns: Vec<&str> = columns.map(String::as_str).collect();
                let mut frame = table.read(rows, Some(&columns))?;
                frame.rename(column, EMBEDDING.into())?;
                let vectors = Present::of(&frame, EMBEDDING)
                    .and_then(|present| present.column(EMBEDDING, self.dimension))
                    .map_err(|error| error.in_file(&self.path, first))?;
                frame.with_column(vectors)?;
                Ok(frame)
            }
            Source::Npy { matrix, metadata } => {
                let (n_rows, n_columns) = (rows.len(), self.dimension);
                let mut values = vec![0.0; n_rows * n_columns];
                matrix
                    .read(rows.clone(), &mut values)
                    .map_err(|cause| FrameError::io(&self.path, cause))?;
                let vectors = Array2::from_shape_vec((n_rows, n_columns), values)
                    .expect("as many numbers as were asked for");
                let vectors = Embeddings::into_column(EMBEDDING, vectors)?;
                let Some(table) = metadata else {
                    return Ok(DataFrame::new_infer_height(vec![vectors])?);
                };
                let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
                let mut places: Vec<Option<usize>> = (0..n_rows).map(Some).collect();
                for row in without_embedding(table, rows.clone())? {
                    places[row] = None;
                }
                let mut frame = table.read(rows, Some(&columns))?;
                frame.with_column(gathered(vectors, &places)?)?;
                Ok(frame)
            }
        }
    }

    /// The vectors as a matrix whose rows can be read in any order, those of a table decoded into a file in the folder
    /// `scratch`, `None` if there are no vectors; and the rows without one, ascending.
    ///
    /// # Errors
    /// The file cannot be read, the scratch file cannot be written, or the vectors have several lengths.
    pub(in crate::frame) fn into_matrix(
        self,
        scratch: &Path,
    ) -> Result<(Option<NpyMatrix>, Vec<usize>), FrameError> {
        let dimension = self.dimension;
        if dimension == 0 {
            return Ok((None, (0..self.height()).collect()));
        }
        match self.source {
            Source::Npy { matrix, metadata } => {
                let rows = 0..matrix.dim().0;
                let absent = metadata
                    .map(|table| without_embedding(&table, rows))
                    .transpose()?;
                let absent = absent.unwrap_or_default();
                Ok((Some(matrix), absent))
            }
            Source::Parquet { table, column } => {
                let failed = |cause| FrameError::io(scratch, cause);
                let mut file = tempfile::tempfile_in(scratch).map_err(failed)?;
                let mut absent = Vec::new();
                let dim = (table.height(), dimension);
                let rows = DECODED / dimension;
                let matrices = batches(table.batches(rows), rows, |run| {
                    table.read(run, Some(&[&column]))
                })
                .map(|batch| {
                    let (first, frame) = batch?;
                    let present = Present::of(&frame, &column)
                        .and_then(|present| Ok((present.or_nan(&column, dimension)?, present)));
                    let (matrix, present) =
                        present.map_err(|error| error.in_file(&self.path, first))?;
                    absent.extend(present.absent().map(|row| first + row));
                    Ok(matrix)
                });
                fill_npy(&mut file, scratch, dim, matrices)?;
                file.rewind().map_err(failed)?;
                Ok((Some(NpyMatrix::new(file, &self.path)?), absent))
            }
        }
    }

    /// Reads all rows, batch after batch of at most `rows` rows, with the first row of each. A row group of Parquet is read
    /// at once, however long it is.
    ///
    /// # Errors
    /// Of a batch: the file cannot be read, or is damaged.
    pub fn batches(
        &self,
        rows: usize,
    ) -> impl Iterator<Item = Result<(usize, DataFrame), FrameError>> {
        let runs = match &self.source {
            Source::Parquet { table, .. } => table.batches(rows),
            Source::Npy { matrix, .. } => {
                let (n_rows, rows) = (matrix.dim().0, rows.max(1));
                let starts = (0..n_rows).step_by(rows);
                starts
                    .map(|first| first..n_rows.min(first + rows))
                    .collect()
            }
        };
        batches(runs, rows, |run| self.read(run))
    }
}

/// Reads runs of rows, and parts those that are longer than `rows`.
fn batches(
    runs: Vec<Range<usize>>,
    rows: usize,
    read: impl Fn(Range<usize>) -> Result<DataFrame, FrameError>,
) -> impl Iterator<Item = Result<(usize, DataFrame), FrameError>> {
    let rows = rows.max(1);
    runs.into_iter().flat_map(move |run| {
        let first = run.start;
        match read(run) {
            Ok(frame) => {
                let starts = (0..frame.height()).step_by(rows);
                let piece = |at| Ok((first + at, frame.slice(at as i64, rows)));
                starts.map(piece).collect::<Vec<_>>()
            }
            Err(error) => vec![Err(error)],
        }
    })
}

/// Reads a file of embeddings whole; see [`EmbeddingsFile`].
///
/// # Errors
/// The file cannot be read, is of another kind, or holds no vectors.
pub fn embeddings_file(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let file = EmbeddingsFile::open(path)?;
    file.read(0..file.height())
}

/// Writes tables with a column `embedding`, one below the other, whole or not at all: to a `.parquet` file, or the vectors to a
/// `.npy` file of shape `dim` and the rest to the table beside it.
///
/// # Errors
/// A table cannot be had, they have more or fewer rows than `dim` says, or a file cannot be written.
pub fn write_embeddings(
    path: impl AsRef<Path>,
    dim: (usize, usize),
    tables: impl IntoIterator<Item = Result<DataFrame, FrameError>>,
) -> Result<(), FrameError> {
    let path = path.as_ref();
    match Kind::of(path)? {
        Kind::Parquet => write_batches(path, tables),
        Kind::Npy => {
            let beside = metadata_path(path);
            let together = Together::begin();
            write_file(&beside, |file| {
                let mut metadata = TableWriter::new(file, &beside);
                let matrices = tables.into_iter().map(|table| {
                    let table = table?;
                    metadata.write(table.drop(EMBEDDING)?)?;
                    Present::of(&table, EMBEDDING)?.or_nan(EMBEDDING, dim.1)
                });
                write_npy_batches(path, dim, matrices)?;
                metadata.finish()
            })?;
            let finished = together.finish();
            finished.map_err(|Unnamed { path, cause }| FrameError::io(&path, cause))
        }
    }
}

/// Refuses a name that tells no format of embeddings.
///
/// # Errors
/// [`FrameError::UnknownFormat`].
pub(crate) fn check_embeddings_path(path: &Path) -> Result<(), FrameError> {
    Kind::of(path).map(drop)
}

/// The formats of embeddings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Npy,
    Parquet,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, FrameError> {
        match extension(path).as_str() {
            "npy" => Ok(Self::Npy),
            "parquet" => Ok(Self::Parquet),
            _ => Err(FrameError::UnknownFormat {
                path: path.to_owned(),
                expected: ".npy and .parquet",
            }),
        }
    }
}

/// The table that tells of the rows of a `.npy` file, if there is one: `x.metadata.parquet` of `x.npy`, or where
/// clip-retrieval puts it.
pub(crate) fn metadata_path(npy: &Path) -> PathBuf {
    let stem = npy.file_stem().unwrap_or_default().to_string_lossy();
    if let Some(folder) = npy.parent()
        && let Some(name) = folder.file_name()
        && let Some(number) = stem.strip_prefix(&format!("{}_", name.to_string_lossy()))
        && name.to_string_lossy().ends_with("_emb")
    {
        return folder.with_file_name(format!("metadata/metadata_{number}.parquet"));
    }
    npy.with_extension("metadata.parquet")
}

/// Length of the first vector of a column; 0 if there is none.
fn first_length(table: &ParquetFile, column: &str) -> Result<usize, FrameError> {
    let first = 0..FIRST_ROWS.min(table.height());
    // A look at the first rows is quick; after them, row groups are read once each.
    for rows in [first].into_iter().chain(table.batches(DECODED)) {
        let start = rows.start;
        let present = Present::of(&table.read(rows, Some(&[column]))?, column)
            .map_err(|error| error.in_file(table.path(), start))?;
        if !present.rows.is_empty() {
            return Ok(present.embeddings.dimension());
        }
    }
    Ok(0)
}

fn column_of_vectors(path: &Path, schema: &Schema) -> Result<String, FrameError> {
    if schema.contains(EMBEDDING) {
        return Ok(EMBEDDING.to_owned());
    }
    let vectors = schema.iter().filter(|(_, dtype)| match dtype {
        DataType::List(inner) | DataType::Array(inner, _) => inner.is_float(),
        _ => false,
    });
    let mut columns: Vec<String> = vectors.map(|(name, _)| name.to_string()).collect();
    let path = path.to_owned();
    match columns.len() {
        0 => Err(FrameError::NoVectors { path }),
        1 => Ok(columns.remove(0)),
        _ => Err(FrameError::SeveralVectors { path, columns }),
    }
}

/// Which of some rows of a table have a reason why there is no vector, counted from the first of them.
fn without_embedding(table: &ParquetFile, rows: Range<usize>) -> Result<Vec<usize>, FrameError> {
    if !table.schema().contains(EMBEDDING_ERROR) {
        return Ok(Vec::new());
    }
    let reasons = table.read(rows, Some(&[EMBEDDING_ERROR]))?;
    Ok(true_rows(&reasons.column(EMBEDDING_ERROR)?.is_not_null()))
}
