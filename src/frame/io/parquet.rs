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
use super::{FrameError, Stamp, write_file};

/// A Parquet file, of which nothing but the description has been read.
pub struct ParquetFile {
    path: PathBuf,
    stamp: Stamp,
    schema: Schema,
    metadata: FileMetadataRef,
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
        let bytes = self.bytes(&rows, columns);
        let bytes = bytes.map_err(|cause| FrameError::io(&self.path, cause))?;
        let mut reader = ParquetReader::new(Cursor::new(bytes))
            .with_slice(Some((rows.start, rows.len())))
            .with_columns(columns.map(|names| names.iter().map(|&name| name.into()).collect()));
        reader.set_metadata(self.metadata.clone());
        in_file(&self.path, || reader.finish())
    }

    /// The file as far as these rows and columns need it, zero elsewhere: Polars would map the file into memory, where one that
    /// shrinks meanwhile ends the process. Pages of zeros that nobody touches take no memory.
    fn bytes(&self, rows: &Range<usize>, columns: Option<&[&str]>) -> io::Result<Vec<u8>> {
        let file = File::open(&self.path)?;
        self.stamp.check(&file)?;
        let mut bytes = vec![0; self.stamp.length as usize];
        let mut start = 0;
        for group in &self.metadata.row_groups {
            let end = start + group.num_rows();
            if start < rows.end && rows.start < end {
                for chunk in group.parquet_columns() {
                    let root = chunk.descriptor().path_in_schema.first();
                    let is_wanted =
                        |names: &[&str]| root.is_none_or(|root| names.contains(&root.as_str()));
                    if columns.is_none_or(is_wanted) {
                        let span = chunk.byte_range();
                        let part = bytes.get_mut(span.start as usize..span.end as usize);
                        let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
                        file.read_exact_at(span.start, part)?;
                    }
                }
            }
            start = end;
        }
        self.stamp.check(&file)?;
        Ok(bytes)
    }

    /// Runs of rows that can be read one after the other without waste: whole row groups, put together up to about `rows` rows.
    pub fn batches(&self, rows: usize) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for group in &self.metadata.row_groups {
            let end = start + group.num_rows();
            match runs.last_mut() {
                Some(last) if end - last.start <= rows => last.end = end,
                _ => runs.push(start..end),
            }
            start = end;
        }
        runs
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
