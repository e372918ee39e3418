//! What can go wrong while a report is made or written.

use std::path::PathBuf;

use plotters::prelude::DrawingAreaErrorKind;

/// Why no report came out.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no row to report on.
    #[error("there are no embeddings; pass at least one row")]
    NoRows,
    /// The embeddings live in another space than the model.
    #[error(
        "the embeddings have {got} columns but the model has dimension {expected}; \
         use the encoder the model was fitted with"
    )]
    Dimension {
        /// Columns of the embeddings.
        got: usize,
        /// Dimension of the model.
        expected: usize,
    },
    /// A summary from elsewhere whose parts do not fit together.
    #[error(
        "{name}: its {what} do not fit the rest; it is not the report.json of a report, or has been changed"
    )]
    Inconsistent {
        /// What the summary is called.
        name: String,
        /// The parts.
        what: &'static str,
    },
    /// Items and embeddings do not pair up.
    #[error("{items} items do not match {rows} embedding rows; pass one item per row, in order")]
    ItemCount {
        /// Items given.
        items: usize,
        /// Rows of the embeddings.
        rows: usize,
    },
    /// Caption texts and caption embeddings do not pair up.
    #[error(
        "{texts} captions do not match caption embeddings of shape ({rows}, {columns}); \
         pass one row of {dimension} columns per caption"
    )]
    Captions {
        /// Texts given.
        texts: usize,
        /// Rows of the caption embeddings.
        rows: usize,
        /// Columns of the caption embeddings.
        columns: usize,
        /// Dimension of the model.
        dimension: usize,
    },
    /// The split names a row that does not exist.
    #[error("the split names row {row} but there are {rows} rows; indices start at 0")]
    SplitRow {
        /// Row named by the split.
        row: usize,
        /// Rows of the embeddings.
        rows: usize,
    },
    /// The split leaves nothing the model was fitted to.
    #[error("the split has no training row; pass the rows the model was fitted to")]
    EmptyTraining,
    /// A row has no direction, or the model refuses it.
    #[error(transparent)]
    Mixture(#[from] crate::mixture::MixtureError),
    /// A file or folder could not be written.
    #[error("could not write {path} ({cause}); check that the folder exists and is writable")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// Data could not be turned into JSON.
    #[error("could not turn the report into JSON")]
    Json(#[from] serde_json::Error),
    /// A page could not be rendered.
    #[error("could not render a page of the report")]
    Page(#[from] askama::Error),
    /// The thread that finds neighbourhoods could not be started.
    #[error("a thread could not be started ({0}); allow more memory and processes")]
    Thread(#[from] rayon::ThreadPoolBuildError),
    /// A figure could not be drawn.
    #[error("could not draw a figure: {reason}")]
    Plot {
        /// What the plotting library said.
        reason: String,
    },
    /// The plotly crate no longer carries plotly.js where it is looked for.
    #[error("plotly.js was not found in the plotly crate; use plotly 0.14 with `plotly_embed_js`")]
    PlotlyMissing,
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ReportError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Plot {
            reason: error.to_string(),
        }
    }
}
