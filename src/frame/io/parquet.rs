//! Parquet files, some rows at a time.

use std::fs::File;
use std::io::{self, BufReader, Cursor};
use std::ops::Range;
use std::path::{Path, PathBuf};

use polars::io::parquet::metadata::FileMetadataRef;
use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;
use positioned_io::ReadAt;

use super::tables::in_file;
use super::thrift::{are_sound_pages, is_sound};
use super::{FrameError, Stamp, write_file};
use crate::memory;

/// A Parquet file, of which nothing but the description has been read.
pub struct ParquetFile {
    path: PathBuf,
    stamp: Stamp,
    schema: Schema,
    metadata: FileMetadataRef,
}

/// What a file holds of a column in a row group.
struct Part {
    /// Where it is.
    span: Range<u64>,
    n_values: u64,
    /// Bytes that the rows of it that are wanted take in memory, at least.
    in_memory: f64,
}

impl Part {
    /// Where it is in a copy of the file.
    fn place(&self) -> Range<usize> {
        self.span.start as usize..self.span.end as usize
    }
}

impl ParquetFile {
    /// Reads the description of a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no Parquet file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FrameError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| FrameError::io(path, cause))?;
        let stamp = Stamp::of(&file).map_err(|cause| FrameError::io(path, cause))?;
        let is_sound = is_sound(&file, stamp.length);
        if !is_sound.map_err(|cause| FrameError::io(path, cause))? {
            return Err(damaged(path, "the description at its end"));
        }
        let (schema, metadata) = in_file(path, || {
            let mut reader = ParquetReader::new(BufReader::new(&file));
            let schema = Schema::from_arrow_schema(&*reader.schema()?);
            Ok((schema, reader.get_metadata()?.clone()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            stamp,
            schema,
            metadata,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.metadata.num_rows
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Reads some rows, of all columns or some.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn read(
        &self,
        rows: Range<usize>,
        columns: Option<&[&str]>,
    ) -> Result<DataFrame, FrameError> {
        let parts = self.parts(&rows, columns);
        self.check_memory(&rows, &parts, memory::total())?;
        let bytes = self.bytes(&parts);
        let bytes = bytes.map_err(|cause| FrameError::io(&self.path, cause))?;
        let is_sound = |part: &Part| are_sound_pages(&bytes[part.place()], part.n_values);
        if !parts.iter().all(is_sound) {
            return Err(damaged(&self.path, "the header of a page"));
        }
        let mut reader = ParquetReader::new(Cursor::new(bytes))
            .with_slice(Some((rows.start, rows.len())))
            .with_columns(columns.map(|names| names.iter().map(|&name| name.into()).collect()));
        reader.set_metadata(self.metadata.clone());
        in_file(&self.path, || reader.finish())
    }

    /// Refuses rows that take more bytes than there are: a few kilobytes of a file can stand for any number of values.
    fn check_memory(
        &self,
        rows: &Range<usize>,
        parts: &[Part],
        total: u64,
    ) -> Result<(), FrameError> {
        let needed: f64 = parts.iter().map(|part| part.in_memory).sum();
        if needed <= total as f64 {
            return Ok(());
        }
        let gigabytes = |bytes: f64| bytes / 1e9;
        let cause = polars_err!(
            ComputeError: "rows {} to {} take at least {:.1} GB, and there are {:.1} GB of memory; write shorter row groups",
            rows.start,
            rows.end,
            gigabytes(needed),
            gigabytes(total as f64),
        );
        Err(FrameError::table(&self.path, cause))
    }

    /// The file with these parts of it, zero elsewhere: Polars would map the file into memory, where one that
    /// shrinks meanwhile ends the process. Pages of zeros that nobody touches take no memory.
    fn bytes(&self, parts: &[Part]) -> io::Result<Vec<u8>> {
        let file = File::open(&self.path)?;
        self.stamp.check(&file)?;
        let mut bytes = vec![0; self.stamp.length as usize];
        for part in parts {
            let place = bytes.get_mut(part.place());
            let place = place.ok_or(io::ErrorKind::UnexpectedEof)?;
            file.read_exact_at(part.span.start, place)?;
        }
        self.stamp.check(&file)?;
        Ok(bytes)
    }

    /// The parts of the file that some rows, of all columns or some, lie in.
    fn parts(&self, rows: &Range<usize>, columns: Option<&[&str]>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut start = 0;
        for group in &self.metadata.row_groups {
            let end = group.num_rows().saturating_add(start);
            if start < rows.end && rows.start < end {
                let wanted = (rows.end.min(end) - rows.start.max(start)) as f64;
                let share = wanted / group.num_rows() as f64;
                for chunk in group.parquet_columns() {
                    let root = chunk.descriptor().path_in_schema.first();
                    let is_wanted =
                        |names: &[&str]| root.is_none_or(|root| names.contains(&root.as_str()));
                    if columns.is_none_or(is_wanted) {
                        let kind = root.and_then(|root| self.schema.get(root));
                        parts.push(Part {
                            span: chunk.byte_range(),
                            n_values: chunk.num_values() as u64,
                            in_memory: width(kind) * wanted.max(share * chunk.num_values() as f64),
                        });
                    }
                }
            }
            start = end;
        }
        parts
    }

    /// Runs of rows that can be read one after the other without waste: whole row groups, put together up to about `rows` rows.
    pub fn batches(&self, rows: usize) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for group in &self.metadata.row_groups {
            let end = group.num_rows().saturating_add(start);
            match runs.last_mut() {
                Some(last) if end - last.start <= rows => last.end = end,
                _ => runs.push(start..end),
            }
            start = end;
        }
        runs
    }
}

/// What is not to be shown to Polars.
fn damaged(path: &Path, what: &str) -> FrameError {
    FrameError::table(path, polars_err!(ComputeError: "{what} is damaged"))
}

/// Bytes that a value of a column takes in memory, at least; of lists, one of their values.
fn width(kind: Option<&DataType>) -> f64 {
    match kind.map(DataType::leaf_dtype) {
        Some(DataType::String | DataType::Binary) => 16.0,
        Some(DataType::Int64 | DataType::UInt64 | DataType::Float64) => 8.0,
        Some(DataType::Int32 | DataType::UInt32 | DataType::Float32) => 4.0,
        _ => 0.125,
    }
}

/// Writes a Parquet file, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write_parquet(frame: &DataFrame, path: impl AsRef<Path>) -> Result<(), FrameError> {
    write_batches(path, [Ok(frame.clone())])
}

/// Writes frames with the same columns, one below the other, to a Parquet file, whole or not at all. Holds one of them at
/// a time; each is one row group, or several where it is long.
///
/// # Errors
/// A frame cannot be had, the columns differ, there is no frame, or the file cannot be written.
pub fn write_batches(
    path: impl AsRef<Path>,
    frames: impl IntoIterator<Item = Result<DataFrame, FrameError>>,
) -> Result<(), FrameError> {
    let path = path.as_ref();
    write_file(path, |file| {
        let mut table = TableWriter::new(file, path);
        frames
            .into_iter()
            .try_for_each(|frame| table.write(frame?))?;
        table.finish()
    })
}

/// Writes a table batch after batch.
pub(super) struct TableWriter<'a> {
    path: &'a Path,
    file: Option<&'a mut File>,
    /// From the first batch on, which tells the columns.
    writer: Option<BatchedWriter<&'a mut File>>,
}

impl<'a> TableWriter<'a> {
    /// Writes to an open file; errors call it `path`.
    pub(super) fn new(file: &'a mut File, path: &'a Path) -> Self {
        Self {
            path,
            file: Some(file),
            writer: None,
        }
    }

    pub(super) fn write(&mut self, mut frame: DataFrame) -> Result<(), FrameError> {
        let in_file = |cause| FrameError::table(self.path, cause);
        if let Some(file) = self.file.take() {
            let writer = ParquetWriter::new(file).batched(frame.schema());
            self.writer = Some(writer.map_err(in_file)?);
        }
        frame.align_chunks();
        match &mut self.writer {
            Some(writer) => writer.write_batch(&frame).map_err(in_file),
            None => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<(), FrameError> {
        let in_file = |cause| FrameError::table(self.path, cause);
        let no_table = || in_file(PolarsError::NoData("no table to write".into()));
        let writer = self.writer.ok_or_else(no_table)?;
        writer.finish().map(drop).map_err(in_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_take_in_memory_is_known_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zeros.parquet");
        let lists = (0..1000).map(|_| Some(Series::new("".into(), [0.0_f32; 64])));
        let lists: ListChunked = lists.collect();
        let words: StringChunked = (0..1000).map(|_| Some("word")).collect();
        let columns = vec![
            lists.with_name("embedding".into()).into_column(),
            words.with_name("word".into()).into_column(),
        ];
        let frame = DataFrame::new_infer_height(columns).unwrap();
        write_batches(&path, [Ok(frame.clone()), Ok(frame)]).unwrap();
        let file = ParquetFile::open(&path).unwrap();
        let needed = |rows, columns| -> f64 {
            let parts = file.parts(&rows, columns);
            parts.iter().map(|part| part.in_memory).sum()
        };
        assert_eq!(needed(0..2000, None), 2000.0 * (64.0 * 4.0 + 16.0));
        assert_eq!(needed(500..1500, Some(&["word"])), 1000.0 * 16.0);
        let parts = file.parts(&(0..2000), None);
        assert!(file.check_memory(&(0..2000), &parts, 544_000).is_ok());
        let refused = file.check_memory(&(0..2000), &parts, 543_999);
        let message = refused.unwrap_err().to_string();
        assert!(
            message.contains("rows 0 to 2000 take at least"),
            "{message}"
        );
    }
}
