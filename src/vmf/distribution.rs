//! The von Mises-Fisher distribution as a value.

use ndarray::{Array1, ArrayView1};
use std::f64::consts::{LN_2, PI};

use super::bessel::{ln_hyp0f1, ln_hyp0f1_scaled};
use super::concentration;

/// Why a von Mises-Fisher distribution cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum VmfError {
    /// The sphere needs an ambient space of at least two dimensions.
    #[error("the dimension is {got}; a direction needs at least 2")]
    DimensionTooSmall {
        /// Length of the mean.
        got: usize,
    },
    /// The mean has no direction.
    #[error("the mean has length {got}; give a finite vector that is not zero")]
    NoDirection {
        /// Euclidean length of the mean.
        got: f64,
    },
    /// The concentration is negative, infinite or not a number.
    #[error("the concentration is {got}; give a finite number that is not negative")]
    Concentration {
        /// The value given.
        got: f64,
    },
}

/// A mean this close to unit length is taken as it is, so that what was saved reads back bit by bit.
const UNIT_TOLERANCE: f64 = 1e-12;

/// The von Mises-Fisher distribution with mean direction `mu` and concentration `kappa`.
///
/// Density against the surface measure: `exp(kappa mu . x - ln 0F1(; d/2; kappa^2/4)) / |S^(d-1)|`.
#[derive(Clone, Debug, PartialEq)]
pub struct VonMisesFisher {
    mean: Array1<f64>,
    concentration: f64,
}

impl VonMisesFisher {
    /// Makes the distribution from a mean vector, which is scaled to unit length, and a concentration.
    ///
    /// # Errors
    /// The dimension is below 2, the mean has no direction, or the concentration is negative or not finite.
    pub fn new(mean: Array1<f64>, concentration: f64) -> Result<Self, VmfError> {
        if mean.len() < 2 {
            return Err(VmfError::DimensionTooSmall { got: mean.len() });
        }
        let length = mean.dot(&mean).sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(VmfError::NoDirection { got: length });
        }
        if !concentration.is_finite() || concentration < 0.0 {
            return Err(VmfError::Concentration { got: concentration });
        }
        let mean = if (length - 1.0).abs() > UNIT_TOLERANCE {
            mean / length
        } else {
            mean
        };
        Ok(Self {
            mean,
            concentration,
        })
    }

    /// The mean direction, of unit length, shape `(dimension,)`.
    pub fn mean(&self) -> ArrayView1<'_, f64> {
        self.mean.view()
    }

    /// The concentration `kappa`.
    pub fn concentration(&self) -> f64 {
        self.concentration
    }

    /// The dimension `d` of the ambient space.
    pub fn dimension(&self) -> usize {
        self.mean.len()
    }

    /// `A_d(kappa) = E[mu . x]`, in `[0, 1)`.
    pub fn mean_resultant_length(&self) -> f64 {
        concentration::mean_resultant_length(self.dimension(), self.concentration)
    }

    /// The log-density of a unit vector against the surface measure, in nats.
    ///
    /// # Panics
    /// `x` has another dimension than the distribution.
    pub fn ln_pdf(&self, x: ArrayView1<'_, f64>) -> f64 {
        let d = self.dimension();
        self.concentration * (self.mean.dot(&x) - 1.0)
            - ln_normaliser_scaled(d, self.concentration)
            - ln_sphere_area(d)
    }

    /// The differential entropy against the surface measure, in nats.
    pub fn entropy(&self) -> f64 {
        let d = self.dimension();
        ln_normaliser(d, self.concentration) + ln_sphere_area(d)
            - self.concentration * self.mean_resultant_length()
    }
}

/// `ln 0F1(; d/2; kappa^2/4)`: minus the log of the normalising constant against the uniform measure.
pub fn ln_normaliser(dimension: usize, kappa: f64) -> f64 {
    ln_hyp0f1(dimension as f64 / 2.0 - 1.0, kappa)
}

/// [`ln_normaliser`] less `kappa`, to go with `kappa (t - 1)` in place of `kappa t`.
pub fn ln_normaliser_scaled(dimension: usize, kappa: f64) -> f64 {
    ln_hyp0f1_scaled(dimension as f64 / 2.0 - 1.0, kappa)
}

/// `ln |S^(d-1)| = ln 2 + d/2 ln pi - ln Gamma(d/2)`.
pub fn ln_sphere_area(dimension: usize) -> f64 {
    let half = dimension as f64 / 2.0;
    LN_2 + half * PI.ln() - statrs::function::gamma::ln_gamma(half)
}
