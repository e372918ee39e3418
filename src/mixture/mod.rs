//! The mixture of von Mises-Fisher distributions: an estimator in linfa's manner.
//!
//! `ln p(x) = ln sum_k w_k f(x; mu_k, kappa_k)`, fitted by expectation maximisation (Banerjee, Dhillon, Ghosh
//! & Sra 2005, JMLR 6, the *soft-moVMF* algorithm) from a spherical k-means start, with the concentrations
//! solved exactly rather than by their approximation (4.4).
//!
//! The one EM loop sees data only through [`Observations`]: it sends a model and gets [`Statistics`] back.

mod bounds;
mod device;
mod errors;
mod fit;
mod hierarchy;
mod hyperparams;
mod init;
mod kernel;
mod linfa;
mod membership;
pub mod metrics;
mod model;
mod observations;
mod online;
mod selection;
mod simd;
mod spherical_kmeans;
mod statistics;

pub use bounds::ClusterMemory;
pub use device::OnDevice;
pub use errors::{MixtureError, ParameterError, Warning};
pub use hierarchy::Merge;
pub use hyperparams::{
    Annealing, Concentration, EmptyComponent, InitMethod, OnIteration, VonMisesFisherMixtureParams,
    VonMisesFisherMixtureValidParams,
};
pub use kernel::{Assignment, BLOCK_ROWS, Scorer};
pub use membership::Memberships;
pub use model::{Convergence, VonMisesFisherMixture};
pub use observations::{InMemory, Observations, Points, Rows};
pub use selection::{Candidate, Criterion, SILHOUETTE_ROWS, Selection};
pub use spherical_kmeans::{
    KMeansInit, SphericalKMeans, SphericalKMeansParams, SphericalKMeansValidParams,
};
pub use statistics::Statistics;
