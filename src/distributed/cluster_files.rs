//! A table that a cluster works through file by file: items to embed, embeddings to assign.

use datafusion::common::Result as EngineResult;
use datafusion::prelude::{SessionContext, col};
use tokio::runtime::Runtime;

use super::each_file::{Change, each_file, quoted};
use super::embed::{self, EmbedSettings};
use super::files::Files;
use super::{ClusterError, assign, session};
use crate::mixture::VonMisesFisherMixture;
use crate::progress::Progress;

/// Parquet files that the executors of a cluster work through, each file a task: texts, paths of images or encoded images to
/// embed, embeddings to assign.
///
/// For each file one of the same name is written, with its columns and those that are added, rows in their order, into a
/// folder that all executors can write.
pub struct ClusterFiles {
    runtime: Runtime,
    pub(super) context: SessionContext,
    pub(super) files: Files,
    pub(super) place: String,
}

impl ClusterFiles {
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
        Ok(ClusterFiles {
            runtime,
            context,
            files,
            place: place.into(),
        })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.files.n_rows()
    }

    /// Adds what a mixture says of the embeddings in a column, as
    /// [`FrameExt::predict_with`](crate::frame::FrameExt::predict_with) does, and leaves that column out. Rows without an
    /// embedding get nulls.
    ///
    /// # Errors
    /// [`ClusterError::Engine`]: there is no such column, or it is not the model's.
    pub fn predict(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
        folder: &str,
        progress: &dyn Progress,
    ) -> Result<(), ClusterError> {
        let change = assign::call(col(quoted(column)), model).map(|added| Change {
            added,
            names: &assign::COLUMNS,
            left_out: Some(column),
            stage: "files assigned",
        });
        self.change("assigning the rows of", change, folder, progress)
    }

    /// Adds `embedding`, and `embedding_error`, the reason where an item has none.
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
        let change = embed::call(col(quoted(column)), settings).map(|added| Change {
            added,
            names: &embed::COLUMNS,
            left_out: None,
            stage: "files embedded",
        });
        self.change("embedding the items of", change, folder, progress)
    }

    fn change(
        &self,
        doing: &str,
        change: EngineResult<Change<'_>>,
        folder: &str,
        progress: &dyn Progress,
    ) -> Result<(), ClusterError> {
        self.run(doing, async {
            let change = change?;
            each_file(&self.context, &self.files, folder, &change, progress).await
        })
    }

    /// Waits for work on these files; what is being done is told with their place after it.
    pub(super) fn run<T>(
        &self,
        doing: &str,
        work: impl Future<Output = EngineResult<T>>,
    ) -> Result<T, ClusterError> {
        let doing = ClusterError::while_doing(format!("{doing} {}", self.place));
        self.runtime.block_on(work).map_err(doing)
    }
}
