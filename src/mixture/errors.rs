//! What can go wrong while fitting, and what is worth telling though it went well.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::device::DeviceError;

/// Why a mixture cannot be fitted, read or applied.
#[derive(Debug, thiserror::Error)]
pub enum MixtureError {
    /// No component was asked for.
    #[error("the number of components is 0; ask for at least 1")]
    NoComponents,
    /// No run was asked for.
    #[error("the number of runs is 0; ask for at least 1")]
    NoRuns,
    /// The loop may not take a single step.
    #[error("the maximal number of iterations is 0; allow at least 1")]
    NoIterations,
    /// A block of no rows, or a pool of no threads.
    #[error("the block size and the number of threads must be at least 1")]
    NoRowsOrThreads,
    /// A setting is outside its range.
    #[error(
        "the setting `{setting}` is {got}; give a finite number between {least:e} and {most:e}"
    )]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value given.
        got: f64,
        /// Least value allowed.
        least: f64,
        /// Greatest value allowed.
        most: f64,
    },
    /// The start that was given does not fit the data or the number of components.
    #[error("{got} {what} where {expected} are needed; give a start that fits")]
    Start {
        /// What does not fit.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many fit.
        expected: usize,
    },
    /// A component lost its points, and that was to be an error.
    #[error(
        "component {component} is empty at iteration {iteration}; ask for fewer components, or let empty ones be reseeded or dropped"
    )]
    EmptyComponent {
        /// Zero-based component.
        component: usize,
        /// Iteration, from 1; 0 for the start.
        iteration: usize,
    },
    /// A number of components is to be chosen by points held out, and there are none.
    #[error(
        "no points are held out to choose by; hold some out, or choose by bic, aic, icl or silhouette"
    )]
    NothingHeldOut,
    /// Points cannot be parted into so many folds.
    #[error(
        "{n_samples} points cannot be parted into {n_folds} folds; ask for at least 2, and no more than points"
    )]
    Folds {
        /// Folds asked for.
        n_folds: usize,
        /// Points given.
        n_samples: usize,
    },
    /// Fits from fewer than two seeds cannot be compared.
    #[error("fits from {n_seeds} seeds cannot be compared; ask for at least 2")]
    Seeds {
        /// Seeds asked for.
        n_seeds: usize,
    },
    /// Threads could not be started.
    #[error("{n_threads} threads could not be started ({cause}); ask for fewer")]
    Threads {
        /// Threads asked for.
        n_threads: usize,
        /// What the thread pool reported.
        cause: rayon::ThreadPoolBuildError,
    },
    /// There are fewer points than components.
    #[error(
        "{n_components} components cannot be fitted to {n_samples} points; ask for fewer or give more data"
    )]
    TooFewSamples {
        /// Points given.
        n_samples: usize,
        /// Components asked for.
        n_components: usize,
    },
    /// Directions need an ambient space of at least two dimensions.
    #[error("the points have dimension {got}; directions need at least 2")]
    DimensionTooSmall {
        /// Columns given.
        got: usize,
    },
    /// The data and the model live in different spaces.
    #[error(
        "the points have dimension {got} but the model has {expected}; use embeddings of the same encoder"
    )]
    DimensionMismatch {
        /// Columns given.
        got: usize,
        /// Columns of the model.
        expected: usize,
    },
    /// A row has no direction.
    #[error("row {row} has no direction: its length is {length}; leave it out or repair it")]
    NoDirection {
        /// Zero-based row.
        row: usize,
        /// Its Euclidean length: zero, infinite or not a number.
        length: f64,
    },
    /// Rows on disk cannot be read any more.
    #[error("{}: {cause}; leave the file as it is while it is read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A sample weight is negative or not finite.
    #[error("the weight of row {row} is {weight}; give finite weights that are not negative")]
    SampleWeight {
        /// Zero-based row.
        row: usize,
        /// The weight given.
        weight: f64,
    },
    /// All sample weights are zero.
    #[error("the sample weights sum to 0; give at least one point a weight")]
    NoWeight,
    /// The device that points are to be on cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A computation that failed on the device.
    #[error(
        "the computation failed on the device ({cause}); use the device cpu, or fewer components if it ran out of memory"
    )]
    Computation {
        /// What the tensor library reported.
        cause: Box<candle_core::Error>,
    },
    /// Points that are elsewhere cannot be swept.
    #[error(transparent)]
    Elsewhere {
        /// What those who have them report.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Parameters that make no mixture, as read from a file.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// An error of the estimator framework.
    #[error(transparent)]
    Linfa(#[from] ::linfa::Error),
}

impl From<candle_core::Error> for MixtureError {
    fn from(cause: candle_core::Error) -> Self {
        MixtureError::Computation {
            cause: Box::new(cause),
        }
    }
}

/// Why parameters make no mixture.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// The lists disagree in length.
    #[error("`{list}` has {got} entries where {expected} are needed")]
    Length {
        /// Name of the list.
        list: &'static str,
        /// Its length.
        got: usize,
        /// The length that fits.
        expected: usize,
    },
    /// The weights are no probabilities.
    #[error("`weights` are not non-negative numbers that sum to 1")]
    Weights,
    /// A log-likelihood per point that no data have.
    #[error("a log-likelihood per point of {got:e} is none that data have")]
    LogLikelihood {
        /// What was given.
        got: f64,
    },
    /// A component is no distribution.
    #[error("component {component}: {cause}")]
    Component {
        /// Zero-based component.
        component: usize,
        /// What is wrong with it.
        cause: crate::vmf::VmfError,
    },
}

/// Something a fit met and survived; kept in [`Convergence`](super::Convergence).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warning {
    /// The likelihood still rose by more than the tolerance when the iterations ran out.
    #[error(
        "not converged after {n_iterations} iterations (last change {last_change:.2e}); raise the maximal number of iterations or the tolerance"
    )]
    NotConverged {
        /// Iterations taken.
        n_iterations: usize,
        /// Last change of the log-likelihood per point.
        last_change: f64,
    },
    /// A component lost all its points and was restarted at one of them.
    #[error(
        "component {component} was empty at iteration {iteration} and restarted at a point; fewer components may do"
    )]
    Reseeded {
        /// Zero-based component.
        component: usize,
        /// Iteration, from 1.
        iteration: usize,
    },
    /// A component lost all its points and was left out.
    #[error("component {component} was empty at iteration {iteration} and left out")]
    Dropped {
        /// Zero-based component, as numbered at that iteration.
        component: usize,
        /// Iteration, from 1; 0 for the start.
        iteration: usize,
    },
    /// A concentration reached the cap, as duplicated points make it do.
    #[error(
        "the concentration of component {component} is at its cap {cap:e}; its points are (nearly) the same"
    )]
    ConcentrationCapped {
        /// Zero-based component.
        component: usize,
        /// The cap.
        cap: f64,
    },
}
