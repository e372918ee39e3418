//! Spherical k-means: k-means with the cosine, its centres kept on the sphere.
//!
//! # References
//! - Dhillon & Modha (2001), Concept decompositions for large sparse text data, Machine Learning 42.
//! - Sculley (2010), Web-scale k-means clustering, WWW: mini-batches.

use std::sync::Arc;

use linfa::ParamGuard;
use ndarray::{Array1, Array2, ArrayView2};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};

use super::init::{check, parallel, plus_plus, random_rows, unit_rows};
use super::kernel::{Assignment, Scorer};
use super::simd::two_largest;
use super::{ClusterMemory, InMemory, MixtureError, Observations, Statistics};
use crate::device::Device;
use crate::progress::{Progress, Silent};

/// Iterations and relative rise of the mean cosine that are enough for the start of an EM.
pub(super) const STARTING_ITERATIONS: usize = 25;
pub(super) const STARTING_TOLERANCE: f64 = 1e-4;

/// Where spherical k-means starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum KMeansInit {
    /// k-means++ (Arthur & Vassilvitskii 2007), on a sample of the points.
    #[default]
    KMeansPlusPlus,
    /// k-means|| (Bahmani et al. 2012), on a sample of the points.
    KMeansPara,
    /// Rows drawn at random.
    Random,
    /// These centres, shape `(n_clusters, dimension)`.
    Precomputed(Array2<f64>),
}

/// Settings of [`SphericalKMeans`]: unchecked until `check` of linfa's `ParamGuard`.
#[derive(Clone)]
pub struct SphericalKMeansParams<R>(SphericalKMeansValidParams<R>);

/// Settings that have been checked.
#[derive(Clone)]
pub struct SphericalKMeansValidParams<R> {
    n_clusters: usize,
    n_runs: usize,
    tolerance: f64,
    max_n_iterations: usize,
    init_method: KMeansInit,
    pub(super) device: Device,
    rng: R,
    progress: Arc<dyn Progress>,
}

/// Clusters of directions, each around a unit centre.
///
/// ```
/// use linfa::{DatasetBase, ParamGuard, traits::{Fit, Predict}};
/// use ndarray::array;
/// use vmfmix::mixture::SphericalKMeans;
/// let x = array![[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1]];
/// let clusters = SphericalKMeans::params(2).check()?.fit(&DatasetBase::from(x.clone()))?;
/// let labels = clusters.predict(&x);
/// assert!(labels[0] == labels[1] && labels[0] != labels[2]);
/// # Ok::<(), vmfmix::mixture::MixtureError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SphericalKMeans {
    centres: Array2<f64>,
    masses: Array1<f64>,
    mean_cosines: Vec<f64>,
    converged: bool,
}

impl SphericalKMeans {
    /// Settings for `n_clusters`: one run of k-means++ and at most 100 iterations until the mean cosine rises by less
    /// than 1e-4 of itself, seeded with 42.
    pub fn params(n_clusters: usize) -> SphericalKMeansParams<Xoshiro256Plus> {
        Self::params_with_rng(n_clusters, Xoshiro256Plus::seed_from_u64(42))
    }

    /// As [`params`](Self::params), with a random number generator of your own.
    pub fn params_with_rng<R: Rng>(n_clusters: usize, rng: R) -> SphericalKMeansParams<R> {
        SphericalKMeansParams(SphericalKMeansValidParams {
            n_clusters,
            n_runs: 1,
            tolerance: 1e-4,
            max_n_iterations: 100,
            init_method: KMeansInit::default(),
            device: Device::Cpu,
            rng,
            progress: Arc::new(Silent),
        })
    }

    /// The unit centres, shape `(n_clusters, dimension)`.
    pub fn centres(&self) -> &Array2<f64> {
        &self.centres
    }

    /// Points seen of each cluster, by their weights, shape `(n_clusters,)`.
    pub fn masses(&self) -> &Array1<f64> {
        &self.masses
    }

    /// Mean cosine of the points to their centres, before each iteration's move of the centres.
    pub fn mean_cosines(&self) -> &[f64] {
        &self.mean_cosines
    }

    /// Whether the mean cosine settled within the tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// The nearest centre of every row, shape `(n_samples,)`.
    ///
    /// # Errors
    /// The dimension is not that of the centres, or a row has no direction.
    pub fn assign<F: linfa::Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Array1<usize>, MixtureError> {
        let cosines = self.cosines(rows)?;
        let nearest = |row: ndarray::ArrayView1<'_, f64>| two_largest(&row.to_vec()).0;
        Ok(cosines.rows().into_iter().map(nearest).collect())
    }

    /// Cosines of rows to all centres, shape `(n_samples, n_clusters)`.
    ///
    /// # Errors
    /// The dimension is not that of the centres, or a row has no direction.
    pub fn cosines<F: linfa::Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Array2<f64>, MixtureError> {
        let observations = InMemory::new(rows, None)?;
        let scorer = Scorer::cosine(self.centres.clone());
        observations.map_rows(&scorer, |kernel, block| kernel.scaled_cosines(block))
    }
}

impl<R> SphericalKMeansParams<R> {
    /// Restarts, of which the one with the largest mean cosine is kept.
    pub fn n_runs(mut self, n_runs: usize) -> Self {
        self.0.n_runs = n_runs;
        self
    }

    /// Relative rise of the mean cosine below which a run ends.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.tolerance = tolerance;
        self
    }

    /// Most iterations of a run.
    pub fn max_n_iterations(mut self, max_n_iterations: usize) -> Self {
        self.0.max_n_iterations = max_n_iterations;
        self
    }

    /// Where a run starts.
    pub fn init_method(mut self, init_method: KMeansInit) -> Self {
        self.0.init_method = init_method;
        self
    }

    /// Where data sets are swept; the processor unless set.
    pub fn device(mut self, device: Device) -> Self {
        self.0.device = device;
        self
    }

    /// Who is told of every iteration.
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.0.progress = progress;
        self
    }
}

impl<R> SphericalKMeansValidParams<R> {
    /// Number of clusters.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }
}

impl<R: Rng + Clone> SphericalKMeansValidParams<R> {
    /// Clusters observations that are not a linfa dataset: on disk, on a device, on a cluster.
    ///
    /// # Errors
    /// There are fewer points than clusters, the centres given do not fit, or the observations cannot be swept.
    pub fn fit_observations(
        &self,
        observations: &dyn Observations,
    ) -> Result<SphericalKMeans, MixtureError> {
        let (n_samples, n_components) = (observations.n_samples(), self.n_clusters);
        if n_samples < n_components {
            return Err(MixtureError::TooFewSamples {
                n_samples,
                n_components,
            });
        }
        let mut seeds = self.rng.clone();
        let mut best: Option<SphericalKMeans> = None;
        for _ in 0..self.n_runs {
            let mut rng = Xoshiro256Plus::seed_from_u64(seeds.r#gen());
            let centres = match &self.init_method {
                KMeansInit::KMeansPlusPlus => plus_plus(observations, n_components, &mut rng)?,
                KMeansInit::KMeansPara => parallel(observations, n_components, &mut rng)?,
                KMeansInit::Random => random_rows(observations, n_components, &mut rng)?,
                KMeansInit::Precomputed(centres) => {
                    self.precomputed(centres, observations.dimension())?
                }
            };
            let clusters = lloyd(
                observations,
                centres,
                self.max_n_iterations,
                self.tolerance,
                &mut rng,
                &mut |iteration| {
                    self.progress
                        .update("clustering", iteration, self.max_n_iterations)
                },
            )?;
            let clusters = SphericalKMeans {
                centres: clusters.centres,
                masses: clusters.statistics.masses,
                mean_cosines: clusters.mean_cosines,
                converged: clusters.converged,
            };
            if best
                .as_ref()
                .is_none_or(|best| clusters.mean_cosines.last() > best.mean_cosines.last())
            {
                best = Some(clusters);
            }
        }
        Ok(best.expect("at least one run was checked for"))
    }

    fn precomputed(
        &self,
        centres: &Array2<f64>,
        dimension: usize,
    ) -> Result<Array2<f64>, MixtureError> {
        let (n_centres, columns) = centres.dim();
        check("given centres", n_centres, self.n_clusters)?;
        if columns != dimension {
            return Err(MixtureError::DimensionMismatch {
                got: dimension,
                expected: columns,
            });
        }
        unit_rows(centres)
    }

    /// One mini-batch: every centre moves towards its points by their share of all it has seen (Sculley 2010).
    pub(super) fn step(
        &self,
        clusters: Option<SphericalKMeans>,
        batch: &dyn Observations,
    ) -> Result<SphericalKMeans, MixtureError> {
        let Some(mut clusters) = clusters else {
            return self.fit_observations(batch);
        };
        let statistics =
            batch.sweep(&Scorer::cosine(clusters.centres.clone()), Assignment::Hard)?;
        for (k, mut centre) in clusters.centres.rows_mut().into_iter().enumerate() {
            centre *= clusters.masses[k];
            centre += &statistics.resultants.row(k);
            let length = centre.dot(&centre).sqrt();
            if length > 0.0 {
                centre /= length;
            }
        }
        clusters.masses += &statistics.masses;
        clusters
            .mean_cosines
            .push(statistics.log_likelihood / statistics.total);
        Ok(clusters)
    }
}

impl<R> ParamGuard for SphericalKMeansParams<R> {
    type Checked = SphericalKMeansValidParams<R>;
    type Error = MixtureError;

    fn check_ref(&self) -> Result<&Self::Checked, MixtureError> {
        let params = &self.0;
        if params.n_clusters == 0 {
            return Err(MixtureError::NoComponents);
        }
        if params.n_runs == 0 {
            return Err(MixtureError::NoRuns);
        }
        if params.max_n_iterations == 0 {
            return Err(MixtureError::NoIterations);
        }
        if !(0.0..f64::INFINITY).contains(&params.tolerance) {
            return Err(MixtureError::Setting {
                setting: "tolerance",
                got: params.tolerance,
                least: 0.0,
                most: f64::MAX,
            });
        }
        Ok(params)
    }

    fn check(self) -> Result<Self::Checked, MixtureError> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// What a run of spherical k-means ends with.
pub(super) struct Clusters {
    pub centres: Array2<f64>,
    /// Of the last assignment, to these centres.
    pub statistics: Statistics,
    pub mean_cosines: Vec<f64>,
    pub converged: bool,
}

/// Assigns points and moves centres in turn (Lloyd's algorithm), from given unit centres.
pub(super) fn lloyd(
    observations: &dyn Observations,
    mut centres: Array2<f64>,
    max_n_iterations: usize,
    tolerance: f64,
    rng: &mut impl Rng,
    on_iteration: &mut dyn FnMut(usize),
) -> Result<Clusters, MixtureError> {
    let mut memory = ClusterMemory::default();
    let mut mean_cosines: Vec<f64> = Vec::new();
    loop {
        let statistics = observations.cluster(&centres, &mut memory)?;
        let mean_cosine = statistics.log_likelihood / statistics.total;
        let converged = mean_cosines
            .last()
            .is_some_and(|previous| mean_cosine - previous <= tolerance * mean_cosine.abs());
        mean_cosines.push(mean_cosine);
        on_iteration(mean_cosines.len());
        if converged || mean_cosines.len() == max_n_iterations {
            return Ok(Clusters {
                centres,
                statistics,
                mean_cosines,
                converged,
            });
        }
        for (k, mut centre) in centres.rows_mut().into_iter().enumerate() {
            let resultant = statistics.resultants.row(k);
            let length = resultant.dot(&resultant).sqrt();
            if length > 0.0 {
                centre.assign(&(&resultant / length));
            } else if statistics.masses[k] == 0.0 {
                // An empty cluster starts afresh at a point.
                let row = rng.gen_range(0..observations.n_samples());
                centre.assign(&observations.directions(&[row])?.row(0));
            }
        }
    }
}
