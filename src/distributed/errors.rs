//! What can go wrong on a cluster.

use datafusion::error::DataFusionError;

/// Why a cluster cannot be used, or a pass over its data failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No runtime for messages could be started.
    #[error("no threads for messages could be started ({cause})")]
    Runtime {
        /// What the system says.
        cause: std::io::Error,
    },
    /// An address that cannot be parsed.
    #[error("{address} is no address; give one as {example}")]
    Address {
        /// What was given.
        address: String,
        /// What would do.
        example: &'static str,
    },
    /// The scheduler, the executors or the files do not answer as they should.
    #[error("{doing}: {cause}")]
    Engine {
        /// What was being done.
        doing: String,
        /// What DataFusion or Ballista says.
        cause: Box<DataFusionError>,
    },
    /// A process of the cluster ended with an error.
    #[error("the {process} has ended: {cause}")]
    Process {
        /// Which one.
        process: &'static str,
        /// Why.
        cause: String,
    },
    /// There is nothing to read.
    #[error("{embeddings}: no Parquet files with rows")]
    NoRows {
        /// Where they were looked for.
        embeddings: String,
    },
    /// The files lack the column.
    #[error("{embeddings}: no column \"{column}\"; there are {}", known.join(", "))]
    NoColumn {
        /// Where it was looked for.
        embeddings: String,
        /// The column.
        column: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Rows without an embedding.
    #[error(
        "{embeddings}: {missing} of {rows} rows have no embedding; leave them out of the files"
    )]
    MissingEmbeddings {
        /// The files.
        embeddings: String,
        /// Rows without one.
        missing: usize,
        /// All rows.
        rows: usize,
    },
    /// A pass did not see each row once.
    #[error(
        "a pass over {expected} rows counted {got}; the files have changed, or the cluster lost some"
    )]
    RowsLost {
        /// Rows that there are.
        expected: usize,
        /// Rows that were counted.
        got: f64,
    },
    /// A model that does not fit into a message.
    #[error(
        "the model takes {bytes} bytes, and messages may have {limit}; raise VMFMIX_MESSAGE_BYTES for all processes"
    )]
    ModelTooLarge {
        /// Bytes of the model.
        bytes: usize,
        /// Bytes of a message.
        limit: usize,
    },
}

impl ClusterError {
    /// The engine's error, while something was being done.
    pub(super) fn while_doing(doing: impl Into<String>) -> impl FnOnce(DataFusionError) -> Self {
        let doing = doing.into();
        |cause| ClusterError::Engine {
            doing,
            cause: Box::new(cause),
        }
    }
}
