//! The settings of a fit: an unchecked builder, checked once into a valid one.

use linfa::ParamGuard;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use std::sync::Arc;

use super::{MixtureError, VonMisesFisherMixture};
use crate::progress::{Progress, Silent};

/// Settings that have been checked; see [`VonMisesFisherMixtureParams`].
#[derive(Clone)]
pub struct VonMisesFisherMixtureValidParams<R> {
    n_components: usize,
    n_runs: usize,
    tolerance: f64,
    max_n_iterations: usize,
    max_concentration: f64,
    rng: R,
    progress: Arc<dyn Progress>,
}

/// Settings of [`VonMisesFisherMixture`], with these defaults:
///
/// | setting | default | |
/// |---|---|---|
/// | [`n_runs`](Self::n_runs) | 4 | restarts, the likeliest is kept |
/// | [`tolerance`](Self::tolerance) | 1e-6 | nats per point |
/// | [`max_n_iterations`](Self::max_n_iterations) | 100 | EM steps of a run |
/// | [`max_concentration`](Self::max_concentration) | 1e6 | cap against duplicated points |
/// | generator | seeded with 42 | |
#[derive(Clone)]
pub struct VonMisesFisherMixtureParams<R>(VonMisesFisherMixtureValidParams<R>);

impl VonMisesFisherMixture {
    /// Settings for a mixture of `n_components`, seeded with 42.
    pub fn params(n_components: usize) -> VonMisesFisherMixtureParams<Xoshiro256Plus> {
        Self::params_with_rng(n_components, Xoshiro256Plus::seed_from_u64(42))
    }

    /// Settings for a mixture of `n_components`, with a random number generator of your own.
    pub fn params_with_rng<R: Rng>(n_components: usize, rng: R) -> VonMisesFisherMixtureParams<R> {
        VonMisesFisherMixtureParams(VonMisesFisherMixtureValidParams {
            n_components,
            n_runs: 4,
            tolerance: 1e-6,
            max_n_iterations: 100,
            max_concentration: 1e6,
            rng,
            progress: Arc::new(Silent),
        })
    }
}

impl<R> VonMisesFisherMixtureParams<R> {
    /// How often to start afresh, each time from another seed; the likeliest result is kept.
    pub fn n_runs(mut self, n_runs: usize) -> Self {
        self.0.n_runs = n_runs;
        self
    }

    /// Stop when the log-likelihood per point changes by less than this, in nats.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.tolerance = tolerance;
        self
    }

    /// Stop a run after this many EM steps.
    pub fn max_n_iterations(mut self, max_n_iterations: usize) -> Self {
        self.0.max_n_iterations = max_n_iterations;
        self
    }

    /// Cap on the concentrations; reaching it is reported as a warning.
    pub fn max_concentration(mut self, max_concentration: f64) -> Self {
        self.0.max_concentration = max_concentration;
        self
    }

    /// Who is told of every iteration.
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.0.progress = progress;
        self
    }
}

impl<R> VonMisesFisherMixtureValidParams<R> {
    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.n_components
    }

    /// Number of restarts.
    pub fn n_runs(&self) -> usize {
        self.n_runs
    }

    /// Smallest change of the log-likelihood per point that is worth another step, in nats.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Most EM steps of a run.
    pub fn max_n_iterations(&self) -> usize {
        self.max_n_iterations
    }

    /// Cap on the concentrations.
    pub fn max_concentration(&self) -> f64 {
        self.max_concentration
    }

    /// The random number generator, as it was given.
    pub fn rng(&self) -> &R {
        &self.rng
    }

    /// Who is told of every iteration.
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }
}

impl<R> ParamGuard for VonMisesFisherMixtureParams<R> {
    type Checked = VonMisesFisherMixtureValidParams<R>;
    type Error = MixtureError;

    fn check_ref(&self) -> Result<&Self::Checked, MixtureError> {
        let params = &self.0;
        if params.n_components == 0 {
            return Err(MixtureError::NoComponents);
        }
        if params.n_runs == 0 {
            return Err(MixtureError::NoRuns);
        }
        if params.max_n_iterations == 0 {
            return Err(MixtureError::NoIterations);
        }
        if params.tolerance.is_nan() || params.tolerance < 0.0 {
            return Err(MixtureError::Tolerance {
                got: params.tolerance,
            });
        }
        if !params.max_concentration.is_finite() || params.max_concentration <= 0.0 {
            return Err(MixtureError::MaxConcentration {
                got: params.max_concentration,
            });
        }
        Ok(params)
    }

    fn check(self) -> Result<Self::Checked, MixtureError> {
        self.check_ref()?;
        Ok(self.0)
    }
}
