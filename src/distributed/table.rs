//! A table of embeddings that a cluster sweeps.

use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{ParquetReadOptions, col};
use ndarray::Array2;

use super::each_file::quoted;
use super::files::folder_or_file;
use super::session::{BATCH_ROWS, MESSAGE_BYTES_BESIDES, message_bytes};
use super::wire::Task;
use super::{ClusterError, ClusterFiles, function};
use crate::mixture::{Assignment, BLOCK_ROWS, MixtureError, Observations, Scorer, Statistics};

/// The name of the table in queries.
const TABLE: &str = "points";

/// Embeddings in Parquet files that the executors of a cluster read, each for itself, in every pass.
///
/// Rows are numbered file by file, in the order of the files' names.
pub struct ClusterTable {
    on_cluster: ClusterFiles,
    column: String,
    dimension: usize,
    block_size: usize,
    n_passes: AtomicUsize,
}

impl ClusterTable {
    /// Opens the Parquet files of a folder, or one file, for the cluster of a scheduler, as `df://host:50050`. Folders are
    /// paths that all processes see, or `s3://` addresses; `column` holds lists of `f16`, `f32` or `f64`.
    ///
    /// # Errors
    /// [`ClusterError`]: the scheduler does not answer, or the files hold no embeddings in that column.
    pub fn connect(scheduler: &str, embeddings: &str, column: &str) -> Result<Self, ClusterError> {
        Self::open(ClusterFiles::connect(scheduler, embeddings)?, column)
    }

    /// The same with a scheduler and one executor inside this process: for tests and notebooks.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn standalone(embeddings: &str, column: &str) -> Result<Self, ClusterError> {
        Self::open(ClusterFiles::standalone(embeddings)?, column)
    }

    fn open(on_cluster: ClusterFiles, column: &str) -> Result<Self, ClusterError> {
        let ClusterFiles {
            context,
            files,
            place,
            ..
        } = &on_cluster;
        let options = ParquetReadOptions::default();
        let registered = context.register_parquet(TABLE, folder_or_file(place), options);
        on_cluster.run("reading", registered)?;
        check_column(&on_cluster, column)?;
        let first = on_cluster.run("reading", files.read(column, &[0]))?;
        Ok(ClusterTable {
            column: column.into(),
            dimension: first.ncols(),
            block_size: BLOCK_ROWS,
            n_passes: AtomicUsize::new(0),
            on_cluster,
        })
    }

    /// Has threads take this many rows at once, at least one. Where the rows of every row group of every file are a multiple
    /// of it, blocks are those of the same rows in memory, and so are the sums, up to the order in which they are added in
    /// `f64`.
    pub fn block_size(mut self, rows: usize) -> Self {
        self.block_size = rows.max(1);
        let batch = (BATCH_ROWS / self.block_size).max(1) * self.block_size;
        let state = self.on_cluster.context.state_ref();
        let mut state = state.write();
        let config = state.config().clone().with_batch_size(batch);
        *state.config_mut() = config;
        drop(state);
        self
    }

    /// Passes that have been made, each over every row once.
    pub fn n_passes(&self) -> usize {
        self.n_passes.load(Ordering::Relaxed)
    }

    fn pass(&self, task: &Task) -> Result<Statistics, ClusterError> {
        let (task, limit) = (task.to_bytes(), message_bytes());
        if task.len() + MESSAGE_BYTES_BESIDES > limit {
            let bytes = task.len();
            return Err(ClusterError::ModelTooLarge { bytes, limit });
        }
        let statistics = self.on_cluster.run("a pass over", async {
            let table = self.on_cluster.context.table(TABLE).await?;
            let statistics = function::call(col(quoted(&self.column)), task).alias("statistics");
            let batches = table.aggregate(vec![], vec![statistics])?.collect().await?;
            let mut results = batches.iter().filter(|batch| batch.num_rows() > 0);
            match results.next() {
                Some(batch) => function::result(batch.column(0)),
                None => Err(DataFusionError::Execution("no result came back".into())),
            }
        })?;
        let expected = self.n_samples();
        if statistics.total != expected as f64 {
            let got = statistics.total;
            return Err(ClusterError::RowsLost { expected, got });
        }
        self.n_passes.fetch_add(1, Ordering::Relaxed);
        Ok(statistics)
    }
}

/// The column must be there, with an embedding in every row.
fn check_column(on_cluster: &ClusterFiles, column: &str) -> Result<(), ClusterError> {
    let embeddings = || on_cluster.place.clone();
    let table = on_cluster.run("reading", on_cluster.context.table(TABLE))?;
    let fields = table.schema().fields().iter();
    let known: Vec<String> = fields.map(|field| field.name().clone()).collect();
    if !known.iter().any(|name| name == column) {
        return Err(ClusterError::NoColumn {
            embeddings: embeddings(),
            column: column.into(),
            known,
        });
    }
    let present = on_cluster.run("reading", async {
        let present = count(col(quoted(column))).alias("present");
        let batches = table.aggregate(vec![], vec![present])?.collect().await?;
        let mut counts = batches.iter().filter(|batch| batch.num_rows() > 0);
        let count = counts.next().map(|batch| batch.column(0));
        Ok(count.map_or(0, |count| count.as_primitive::<Int64Type>().value(0)))
    })? as usize;
    let rows = on_cluster.n_rows();
    if present < rows {
        return Err(ClusterError::MissingEmbeddings {
            embeddings: embeddings(),
            missing: rows - present,
            rows,
        });
    }
    Ok(())
}

impl Observations for ClusterTable {
    fn n_samples(&self) -> usize {
        self.on_cluster.n_rows()
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn sweep(&self, scorer: &Scorer, assignment: Assignment) -> Result<Statistics, MixtureError> {
        let (got, expected) = (self.dimension, scorer.mean_directions.ncols());
        if got != expected {
            return Err(MixtureError::DimensionMismatch { got, expected });
        }
        let scorer = scorer.clone();
        Ok(self.pass(&Task {
            scorer,
            assignment,
            block_size: self.block_size,
        })?)
    }

    fn directions(&self, rows: &[usize]) -> Result<Array2<f64>, MixtureError> {
        let read = self.on_cluster.files.read(&self.column, rows);
        let mut directions = self.on_cluster.run("reading rows of", read)?;
        for (mut direction, &row) in directions.rows_mut().into_iter().zip(rows) {
            let length = direction.dot(&direction).sqrt();
            if !length.is_finite() || length == 0.0 {
                return Err(MixtureError::NoDirection { row, length });
            }
            direction /= length;
        }
        Ok(directions)
    }
}

impl From<ClusterError> for MixtureError {
    fn from(cause: ClusterError) -> Self {
        MixtureError::Elsewhere {
            cause: Box::new(cause),
        }
    }
}
