//! A table of texts or images that a cluster embeds.

use datafusion::prelude::{SessionContext, col};
use tokio::runtime::Runtime;

use super::each_file::{Change, each_file, quoted};
use super::embed::{self, EmbedSettings};
use super::files::Files;
use super::{ClusterError, session};
use crate::progress::Progress;

/// Texts, paths of images or encoded images in Parquet files, which the executors of a cluster embed file by file.
pub struct ClusterItems {
    runtime: Runtime,
    context: SessionContext,
    files: Files,
    place: String,
}

impl ClusterItems {
    /// Opens the Parquet files of a folder, or one file, for the cluster of a scheduler, as `df://host:50050`.
    ///
    /// # Errors
    /// [`ClusterError`]: the scheduler does not answer, or there are no files with rows.
    pub fn connect(scheduler: &str, place: &str) -> Result<Self, ClusterError> {
        let runtime = session::runtime()?;
        let context = runtime.block_on(session::remote(scheduler))?;
        Self::open(runtime, context, place)
    }

    /// The same with a scheduler and one executor inside this process: for tests and notebooks.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn standalone(place: &str) -> Result<Self, ClusterError> {
        let runtime = session::runtime()?;
        let context = runtime.block_on(session::standalone())?;
        Self::open(runtime, context, place)
    }

    fn open(runtime: Runtime, context: SessionContext, place: &str) -> Result<Self, ClusterError> {
        let files = runtime.block_on(Files::list(&context, place));
        let files = files.map_err(ClusterError::while_doing(format!("reading {place}")))?;
        if files.n_rows() == 0 {
            return Err(ClusterError::NoRows {
                embeddings: place.into(),
            });
        }
        Ok(ClusterItems {
            runtime,
            context,
            files,
            place: place.into(),
        })
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.files.n_rows()
    }

    /// Writes for each file one of the same name into a folder that all executors can write, with its columns, `embedding`, and
    /// `embedding_error`, the reason where an item has none. Each file is a task; rows keep their order.
    ///
    /// # Errors
    /// [`ClusterError::Engine`]: there is no such column, or the model cannot be loaded.
    pub fn embed(
        &self,
        column: &str,
        settings: &EmbedSettings,
        folder: &str,
        progress: &dyn Progress,
    ) -> Result<(), ClusterError> {
        let embedded = async {
            let change = Change {
                added: embed::call(col(quoted(column)), settings)?,
                names: &embed::COLUMNS,
                left_out: None,
                stage: "files embedded",
            };
            each_file(&self.context, &self.files, folder, &change, progress).await
        };
        let doing = ClusterError::while_doing(format!("embedding the items of {}", self.place));
        self.runtime.block_on(embedded).map_err(doing)
    }
}
