//! Files become frames, and frames become files that are always whole.

mod embeddings;
mod items;
mod npy;
mod parquet;
mod tables;
mod thrift;

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::FrameError;
use crate::whole_file::write_whole;

pub use embeddings::{EmbeddingsFile, embeddings_file, write_embeddings};
pub(crate) use embeddings::{check_embeddings_path, metadata_path};
pub(crate) use items::is_image;
pub use items::{IMAGE_EXTENSIONS, image_folder, text_file};
pub use npy::write_npy;
pub(super) use npy::{NpyMatrix, fill_npy};
pub use parquet::{ParquetFile, write_batches, write_parquet};
pub(crate) use tables::is_parquet;
pub use tables::{table, write_table};

/// The extension of a path in lower case, without its dot.
fn extension(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase()
}

/// What tells whether a file has been written to.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Of an open file.
    ///
    /// # Errors
    /// The system does not tell.
    fn of(file: &File) -> io::Result<Self> {
        let state = file.metadata()?;
        Ok(Self {
            length: state.len(),
            modified: state.modified().ok(),
        })
    }

    /// Refuses a file that is another than it was.
    ///
    /// # Errors
    /// It has been written to, or the system does not tell.
    fn check(&self, file: &File) -> io::Result<()> {
        match Stamp::of(file)? == *self {
            true => Ok(()),
            false => Err(io::Error::other("the file was changed while it was read")),
        }
    }
}

/// Writes a file whole or not at all; what the system refuses is told with its name.
fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), FrameError>,
) -> Result<(), FrameError> {
    let mut failure = None;
    let fill = |file: &mut File| {
        fill(file).map_err(|error| {
            failure = Some(error);
            io::ErrorKind::Other.into()
        })
    };
    write_whole::<io::Error>(path, fill)
        .map_err(|cause| failure.unwrap_or_else(|| FrameError::io(path, cause)))
}
