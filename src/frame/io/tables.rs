//! Tables in the usual formats, told by their extensions.

use std::fs::File;
use std::io::{BufWriter, Read, Seek};
use std::num::NonZeroUsize;
use std::path::Path;

use polars::prelude::*;

use super::{FrameError, ParquetFile, extension, write_file, write_parquet};

/// What a file of Arrow's file format begins with.
const ARROW_FILE: [u8; 6] = *b"ARROW1";

/// Reads a table: `.csv`, `.tsv`, `.jsonl` (or `.ndjson`), `.parquet`, or `.arrow` (or `.ipc`, `.feather`).
///
/// # Errors
/// The file cannot be read, or is of another kind.
pub fn table(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let path = path.as_ref();
    let kind = Kind::of(path)?;
    if let Kind::Parquet = kind {
        let file = ParquetFile::open(path)?;
        return file.read(0..file.height(), None);
    }
    let file = File::open(path).map_err(|cause| FrameError::io(path, cause))?;
    let separated = |separator: u8, file: File| {
        CsvReadOptions::default()
            // Types are those of all lines, not of the first ones.
            .with_infer_schema_length(None)
            .map_parse_options(|options| options.with_separator(separator))
            .into_reader_with_file_handle(file)
            .finish()
    };
    match kind {
        Kind::Csv => separated(b',', file),
        Kind::Tsv => separated(b'\t', file),
        Kind::JsonLines => JsonReader::new(file)
            .with_json_format(JsonFormat::JsonLines)
            .infer_schema_len(NonZeroUsize::new(usize::MAX))
            .finish(),
        Kind::Arrow | Kind::Parquet => arrow(file),
    }
    .map_err(|cause| FrameError::table(path, cause))
}

/// Reads Arrow's file format, or its stream format, which Hugging Face's datasets are in.
fn arrow(mut file: File) -> PolarsResult<DataFrame> {
    let mut start = [0; ARROW_FILE.len()];
    let is_file = file.read_exact(&mut start).is_ok() && start == ARROW_FILE;
    file.rewind()?;
    match is_file {
        true => IpcReader::new(file).finish(),
        false => IpcStreamReader::new(file).finish(),
    }
}

/// Whether a path is named like a Parquet file.
pub(crate) fn is_parquet(path: &Path) -> bool {
    matches!(Kind::of(path), Ok(Kind::Parquet))
}

/// Writes a table, whole or not at all, in a format that [`table`] reads.
///
/// # Errors
/// The extension is of another kind, a column does not fit the format (CSV holds no vectors), or the file cannot be
/// written.
pub fn write_table(frame: &DataFrame, path: impl AsRef<Path>) -> Result<(), FrameError> {
    let path = path.as_ref();
    let kind = Kind::of(path)?;
    if let Kind::Parquet = kind {
        return write_parquet(frame, path);
    }
    write_file(path, |file| {
        let mut frame = frame.clone();
        let file = BufWriter::new(file);
        match kind {
            Kind::Csv => CsvWriter::new(file).finish(&mut frame),
            Kind::Tsv => CsvWriter::new(file)
                .with_separator(b'\t')
                .finish(&mut frame),
            Kind::JsonLines => JsonWriter::new(file)
                .with_json_format(JsonFormat::JsonLines)
                .finish(&mut frame),
            Kind::Arrow | Kind::Parquet => IpcWriter::new(file).finish(&mut frame),
        }
        .map_err(|cause| FrameError::table(path, cause))
    })
}

/// The formats.
#[derive(Clone, Copy)]
enum Kind {
    Csv,
    Tsv,
    JsonLines,
    Parquet,
    Arrow,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, FrameError> {
        Ok(match extension(path).as_str() {
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "jsonl" | "ndjson" => Self::JsonLines,
            "parquet" => Self::Parquet,
            "arrow" | "ipc" | "feather" => Self::Arrow,
            _ => {
                return Err(FrameError::UnknownFormat {
                    path: path.to_owned(),
                    expected: ".csv, .tsv, .jsonl, .parquet and .arrow",
                });
            }
        })
    }
}
