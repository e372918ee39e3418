//! Tables in the usual formats, told by their extensions.

use std::fs;
use std::io::{BufWriter, Cursor};
use std::num::NonZeroUsize;
use std::path::Path;

use polars::prelude::*;

use super::{FrameError, ParquetFile, extension, write_file, write_parquet};
use crate::contained::contained;

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
    // Not mapped into memory, where a file that shrinks meanwhile would end the process.
    let bytes = fs::read(path).map_err(|cause| FrameError::io(path, cause))?;
    if let Kind::JsonLines = kind {
        check_depth(path, &bytes)?;
    }
    let file = Cursor::new(bytes);
    let separated = |separator: u8, file: Cursor<Vec<u8>>| {
        CsvReadOptions::default()
            // Types are those of all lines, not of the first ones.
            .with_infer_schema_length(None)
            .map_parse_options(|options| options.with_separator(separator))
            .into_reader_with_file_handle(file)
            .finish()
    };
    let read = || match kind {
        Kind::Csv => separated(b',', file),
        Kind::Tsv => separated(b'\t', file),
        Kind::JsonLines => JsonReader::new(file)
            .with_json_format(JsonFormat::JsonLines)
            .infer_schema_len(NonZeroUsize::new(usize::MAX))
            .finish(),
        Kind::Arrow | Kind::Parquet => arrow(file),
    };
    in_file(path, read)
}

/// Reads Arrow's file format, or its stream format, which Hugging Face's datasets are in.
fn arrow(file: Cursor<Vec<u8>>) -> PolarsResult<DataFrame> {
    match file.get_ref().starts_with(&ARROW_FILE) {
        true => IpcReader::new(file).finish(),
        false => IpcStreamReader::new(file).finish(),
    }
}

/// What Polars reads of a file. On some damaged ones it panics.
///
/// # Errors
/// It cannot be read.
pub(super) fn in_file<T>(
    path: &Path,
    read: impl FnOnce() -> PolarsResult<T>,
) -> Result<T, FrameError> {
    let outcome = contained(read);
    let outcome = outcome.unwrap_or_else(|cause| Err(polars_err!(ComputeError: "{cause}")));
    outcome.map_err(|cause| FrameError::table(path, cause))
}

/// How deeply values may nest in JSON lines: Polars reads deeper ones by recursion, and types of them take time.
const MAX_DEPTH: usize = 32;

/// Refuses JSON lines that nest too deeply.
fn check_depth(path: &Path, bytes: &[u8]) -> Result<(), FrameError> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for &byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            // A text that is not closed ends with its line.
            b'\n' => (depth, is_text) = (0, false),
            b'[' | b'{' if !is_text => depth += 1,
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let cause = polars_err!(ComputeError: "values nest more than {MAX_DEPTH} levels deep");
            return Err(FrameError::table(path, cause));
        }
    }
    Ok(())
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
