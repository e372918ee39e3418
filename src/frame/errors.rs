//! What can go wrong between a file, a frame and a matrix; every error says where.

use std::path::{Path, PathBuf};

use polars::prelude::{DataType, PolarsError};

use crate::encoder::EncoderError;
use crate::mixture::MixtureError;

/// Why a file cannot be read or a column not be used.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A file or folder cannot be opened, read or written.
    #[error("{}: {cause}; check the name and the permissions", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file holds no line of text.
    #[error("{}: the file holds no text; put one text on each line", path.display())]
    NoTexts {
        /// The file.
        path: PathBuf,
    },
    /// A folder holds no picture.
    #[error("{}: no picture in this folder or below it; pictures end in {extensions}", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// The extensions looked for.
        extensions: String,
    },
    /// The name of a file tells no known format.
    #[error("{}: unknown kind of file; {expected} are understood", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What is understood.
        expected: &'static str,
    },
    /// Two files that belong together have different numbers of rows.
    #[error("{}: {rows} rows, but {} has {expected}; they do not belong together", path.display(), of.display())]
    Metadata {
        /// The file that tells of the vectors.
        path: PathBuf,
        /// Its rows.
        rows: usize,
        /// The file of the vectors.
        of: PathBuf,
        /// Its rows.
        expected: usize,
    },
    /// A column of a file cannot serve.
    #[error("{}: {cause}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with the column.
        cause: Box<FrameError>,
    },
    /// A vector in a file has no direction.
    #[error("{}, row {row}: the vector has no direction, its length is {length}; leave it out or repair it", path.display())]
    NoDirection {
        /// The file.
        path: PathBuf,
        /// Zero-based row.
        row: usize,
        /// Its Euclidean length: zero, infinite or not a number.
        length: f64,
    },
    /// Files hold vectors of different lengths.
    #[error("{}: vectors of {got} numbers, but {expected} in the files before; use embeddings of one encoder", path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// Length of its vectors.
        got: usize,
        /// Length of those before.
        expected: usize,
    },
    /// A table cannot be read or written.
    #[error("{}: {cause}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What Polars says.
        cause: PolarsError,
    },
    /// A `.npy` file is not a matrix of floating-point numbers.
    #[error("{}: {found} instead of a matrix (n_samples, dimension) of f16, f32 or f64; save it with numpy.save", path.display())]
    NotAMatrix {
        /// The file.
        path: PathBuf,
        /// Type and shape found.
        found: String,
    },
    /// A `.npy` file ends before its last number.
    #[error("{}: the header promises {needed} bytes of numbers, the file has {length}; it was not copied completely", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the shape asks for.
        needed: u128,
        /// Bytes of the file.
        length: u64,
    },
    /// Several columns of a table hold vectors.
    #[error("{}: {columns:?} hold vectors; call the column that is meant `embedding`", path.display())]
    SeveralVectors {
        /// The file.
        path: PathBuf,
        /// The columns.
        columns: Vec<String>,
    },
    /// Rows are missing of a file that was read to its end.
    #[error("only {got} of {expected} rows could be read; nothing was written")]
    Incomplete {
        /// Rows read.
        got: usize,
        /// Rows that there are.
        expected: usize,
    },
    /// No column of a table holds vectors.
    #[error("{}: no column holds vectors; store embeddings as a list or array of floats", path.display())]
    NoVectors {
        /// The file.
        path: PathBuf,
    },
    /// A column is missing or an operation of Polars fails.
    #[error(transparent)]
    Polars(#[from] PolarsError),
    /// A column has a type that cannot serve.
    #[error("column `{column}` is {got}; {expected} is needed")]
    ColumnType {
        /// Name of the column.
        column: String,
        /// Its type.
        got: DataType,
        /// The types that serve.
        expected: &'static str,
    },
    /// A row without an embedding.
    #[error(
        "column `{column}`, row {row}: null; leave such rows out with drop_nulls(Some(&[\"{column}\"]))"
    )]
    NullEmbedding {
        /// Name of the column.
        column: String,
        /// Zero-based row.
        row: usize,
    },
    /// A vector that has a null for a number.
    #[error(
        "column `{column}`, row {row}: a null within the vector; give a number, or no vector at all"
    )]
    NullNumber {
        /// Name of the column.
        column: String,
        /// Zero-based row.
        row: usize,
    },
    /// A row of another length than the first.
    #[error("column `{column}`, row {row}: a vector of {got} numbers among vectors of {expected}")]
    Ragged {
        /// Name of the column.
        column: String,
        /// Zero-based row.
        row: usize,
        /// Its length.
        got: usize,
        /// Length of the first row.
        expected: usize,
    },
    /// Vectors of another dimension than those they are compared with.
    #[error(
        "column `{column}` holds vectors of {got} numbers, but {expected} are needed; use embeddings of the same encoder"
    )]
    Dimension {
        /// Name of the column.
        column: String,
        /// Dimension of its vectors.
        got: usize,
        /// Dimension that is needed.
        expected: usize,
    },
    /// The embeddings do not fit a mixture.
    #[error("column `{column}`: {cause}")]
    Mixture {
        /// Name of the column.
        column: String,
        /// What does not fit.
        cause: MixtureError,
    },
    /// The encoder failed, not on one item but as a whole.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
}

impl FrameError {
    pub(super) fn io(path: &Path, cause: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            cause,
        }
    }

    /// The same of another row, found by the row that it names.
    pub(super) fn map_row(mut self, row_of: impl FnOnce(usize) -> usize) -> Self {
        if let Self::NullEmbedding { row, .. }
        | Self::NullNumber { row, .. }
        | Self::Ragged { row, .. }
        | Self::Mixture {
            cause: MixtureError::NoDirection { row, .. },
            ..
        } = &mut self
        {
            *row = row_of(*row);
        }
        self
    }

    /// The same, of a file whose rows from `first` on were looked at.
    pub(super) fn in_file(self, path: &Path, first: usize) -> Self {
        Self::InFile {
            path: path.to_owned(),
            cause: Box::new(self.map_row(|row| first + row)),
        }
    }

    /// A column of known labels that are none.
    pub(crate) fn label(path: &Path, got: &DataType) -> Self {
        let wrong = Self::ColumnType {
            column: "label".to_owned(),
            got: got.clone(),
            expected: "a column of strings or numbers",
        };
        wrong.in_file(path, 0)
    }

    pub(super) fn table(path: &Path, cause: PolarsError) -> Self {
        Self::Table {
            path: path.to_owned(),
            cause,
        }
    }
}
