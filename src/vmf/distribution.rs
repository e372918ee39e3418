//! The von Mises-Fisher distribution as a value.

use libm::lgamma;
use ndarray::{Array1, ArrayView1, ArrayView2, NdFloat, Zip};
use serde::{Deserialize, Serialize};
use std::f64::consts::{LN_2, PI};

use super::bessel::{Ratio, ln_hyp0f1, ln_hyp0f1_scaled};
use super::concentration;

/// The largest concentration that a distribution may have: points are then within some 1e-7 of their mean, which is as far as
/// doubles tell.
pub const LARGEST_CONCENTRATION: f64 = 1e15;

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
    /// The concentration is negative, no number, or above [`LARGEST_CONCENTRATION`].
    #[error("the concentration is {got}; give a number from 0 to {LARGEST_CONCENTRATION:e}")]
    Concentration {
        /// The value given.
        got: f64,
    },
    /// A point has no direction.
    #[error("row {row} has no direction: its length is {length}; leave it out or repair it")]
    RowWithoutDirection {
        /// Zero-based row.
        row: usize,
        /// Its Euclidean length: zero, infinite or not a number.
        length: f64,
    },
    /// There are not as many weights as points.
    #[error("{weights} weights for {rows} points; give one for each")]
    WeightCount {
        /// Weights given.
        weights: usize,
        /// Points given.
        rows: usize,
    },
    /// A weight is negative or not finite.
    #[error("the weight of row {row} is {weight}; give finite weights that are not negative")]
    Weight {
        /// Zero-based row.
        row: usize,
        /// The weight given.
        weight: f64,
    },
    /// No point carries weight.
    #[error("no point has a positive weight; give at least one")]
    NoPoints,
    /// All points are the same.
    #[error(
        "all points are the same, so that no finite concentration is the likeliest; use concentration::maximum_a_posteriori"
    )]
    Identical,
}

/// A mean this close to unit length is taken as it is, so that what was saved reads back bit by bit.
const UNIT_TOLERANCE: f64 = 1e-12;

/// The von Mises-Fisher distribution with mean direction `mu` and concentration `kappa`.
///
/// Density against the surface measure: `exp(kappa mu . x - ln 0F1(; d/2; kappa^2/4)) / |S^(d-1)|`. It is the uniform
/// distribution at `kappa = 0`, von Mises' on the circle (`d = 2`) and Fisher's on the sphere (`d = 3`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parameters", into = "Parameters")]
pub struct VonMisesFisher {
    mean: Array1<f64>,
    concentration: f64,
}

/// Fisher information of one point about the parameters, which are orthogonal (Mardia & Jupp 2000, 10.3.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FisherInformation {
    /// About the concentration: `A'`.
    pub concentration: f64,
    /// About the mean direction, along each of its `d - 1` tangents, per squared radian: `kappa A`.
    pub mean_direction: f64,
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
        if !(0.0..=LARGEST_CONCENTRATION).contains(&concentration) {
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

    /// Makes the distribution from its natural parameter `eta = kappa mu`; zero gives the uniform distribution, with
    /// the first axis for a mean.
    ///
    /// # Errors
    /// The dimension is below 2, or `eta` is not finite.
    pub fn from_natural(eta: Array1<f64>) -> Result<Self, VmfError> {
        let concentration = eta.dot(&eta).sqrt();
        if concentration == 0.0 && eta.len() >= 2 {
            let axis = Array1::from_shape_fn(eta.len(), |i| if i == 0 { 1.0 } else { 0.0 });
            return Self::new(axis, 0.0);
        }
        Self::new(eta, concentration)
    }

    /// The likeliest distribution of points, shape `(n_samples, dimension)`, each scaled to unit length, with a weight
    /// for each where given. For the bias and the standard error of its concentration see
    /// [`concentration::bias_corrected`] and [`concentration::standard_error`].
    ///
    /// # Errors
    /// A point has no direction, a weight is missing, negative or not finite, no point has any, or all points are the
    /// same.
    ///
    /// ```
    /// use ndarray::array;
    /// use vmfmix::vmf::VonMisesFisher;
    /// let vmf = VonMisesFisher::fit(array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]].view(), None)?;
    /// assert!((vmf.mean_resultant_length() - 0.5_f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), vmfmix::vmf::VmfError>(())
    /// ```
    pub fn fit<F: NdFloat>(
        rows: ArrayView2<'_, F>,
        weights: Option<ArrayView1<'_, f64>>,
    ) -> Result<Self, VmfError> {
        let n = rows.nrows();
        if let Some(weights) = weights.filter(|weights| weights.len() != n) {
            let weights = weights.len();
            return Err(VmfError::WeightCount { weights, rows: n });
        }
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        let mut resultant = Array1::zeros(rows.ncols());
        let mut total = 0.0;
        for (row, x) in rows.rows().into_iter().enumerate() {
            let weight = weight(row);
            if !weight.is_finite() || weight < 0.0 {
                return Err(VmfError::Weight { row, weight });
            }
            let length = length(x);
            if !length.is_finite() || length == 0.0 {
                return Err(VmfError::RowWithoutDirection { row, length });
            }
            Zip::from(&mut resultant)
                .and(x)
                .for_each(|sum, &x| *sum += weight / length * float(x));
            total += weight;
        }
        if total == 0.0 {
            return Err(VmfError::NoPoints);
        }
        let mut fitted = Self::new(resultant, 0.0)?;
        // 1 - r as a mean of squares, which keeps its digits however concentrated the points are.
        let spread = rows.rows().into_iter().enumerate().map(|(row, x)| {
            let length = length(x);
            let distances = Zip::from(&fitted.mean).and(x).fold(0.0, |sum, mean, &x| {
                sum + (float(x) / length - mean).powi(2)
            });
            weight(row) * distances / 2.0
        });
        let concentration =
            concentration::solve_complement(fitted.dimension(), spread.sum::<f64>() / total);
        if concentration > LARGEST_CONCENTRATION {
            return Err(VmfError::Identical);
        }
        fitted.concentration = concentration;
        Ok(fitted)
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

    /// The natural parameter `kappa mu`, shape `(dimension,)`.
    pub fn natural(&self) -> Array1<f64> {
        &self.mean * self.concentration
    }

    /// `A_d(kappa) = E[mu . x]`, in `[0, 1)`.
    pub fn mean_resultant_length(&self) -> f64 {
        self.mean_resultant().value
    }

    /// What one point tells of the parameters.
    pub fn fisher_information(&self) -> FisherInformation {
        let a = self.mean_resultant();
        FisherInformation {
            concentration: a.derivative,
            mean_direction: self.concentration * a.value,
        }
    }

    /// The log-density of a unit vector against the surface measure, in nats.
    ///
    /// # Panics
    /// `x` has another dimension than the distribution.
    pub fn ln_pdf(&self, x: ArrayView1<'_, f64>) -> f64 {
        self.ln_pdf_uniform(x) - ln_sphere_area(self.dimension())
    }

    /// The log-density of a unit vector against the uniform probability measure, in nats: 0 everywhere at `kappa = 0`.
    ///
    /// # Panics
    /// `x` has another dimension than the distribution.
    pub fn ln_pdf_uniform(&self, x: ArrayView1<'_, f64>) -> f64 {
        self.concentration * (self.mean.dot(&x) - 1.0)
            - ln_normaliser_scaled(self.dimension(), self.concentration)
    }

    /// The log-densities of many rows, shape `(n_samples, dimension)`, against the surface measure, in nats. Rows are
    /// scaled to unit length in double precision; one without a direction has the density NaN.
    ///
    /// # Panics
    /// The rows have another dimension than the distribution.
    pub fn ln_pdf_rows<F: NdFloat>(&self, rows: ArrayView2<'_, F>) -> Array1<f64> {
        assert_eq!(rows.ncols(), self.dimension(), "columns and dimension");
        let d = self.dimension();
        let constant = ln_normaliser_scaled(d, self.concentration) + ln_sphere_area(d);
        let ln_pdf = |x: ArrayView1<'_, F>| {
            let dot = Zip::from(&self.mean)
                .and(x)
                .fold(0.0, |sum, mean, &x| sum + mean * float(x));
            self.concentration * (dot / length(x) - 1.0) - constant
        };
        rows.rows().into_iter().map(ln_pdf).collect()
    }

    /// The differential entropy against the surface measure, in nats.
    pub fn entropy(&self) -> f64 {
        let (d, kappa, a) = (self.dimension(), self.concentration, self.mean_resultant());
        // The normaliser and kappa A grow alike: each side of 1/2 has a form in which little cancels.
        let below_uniform = if a.value < 0.5 {
            ln_normaliser(d, kappa) - kappa * a.value
        } else {
            ln_normaliser_scaled(d, kappa) + kappa * a.complement
        };
        ln_sphere_area(d) + below_uniform
    }

    fn mean_resultant(&self) -> Ratio {
        concentration::mean_resultant(self.dimension(), self.concentration)
    }
}

/// How the distribution is written.
#[derive(Serialize, Deserialize)]
struct Parameters {
    mean_direction: Vec<f64>,
    concentration: f64,
}

impl From<VonMisesFisher> for Parameters {
    fn from(vmf: VonMisesFisher) -> Self {
        Self {
            mean_direction: vmf.mean.to_vec(),
            concentration: vmf.concentration,
        }
    }
}

impl TryFrom<Parameters> for VonMisesFisher {
    type Error = VmfError;

    fn try_from(read: Parameters) -> Result<Self, VmfError> {
        Self::new(read.mean_direction.into(), read.concentration)
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
    LN_2 + half * PI.ln() - lgamma(half)
}

fn float<F: NdFloat>(x: F) -> f64 {
    x.to_f64().expect("a float is a number")
}

fn length<F: NdFloat>(x: ArrayView1<'_, F>) -> f64 {
    x.iter().map(|&x| float(x).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn fits_weights_as_duplicates_and_concentrated_points_to_full_precision() {
        let rows = array![[2.0_f32, 0.1, 0.0], [0.9, 0.0, 0.1], [0.5, 0.5, 0.1]];
        let twice = array![[2.0_f32, 0.1, 0.0], [2.0, 0.1, 0.0], [0.9, 0.0, 0.1]];
        let weighted =
            VonMisesFisher::fit(rows.view(), Some(array![2.0, 1.0, 0.0].view())).unwrap();
        let repeated = VonMisesFisher::fit(twice.view(), None).unwrap();
        assert!((weighted.concentration() / repeated.concentration() - 1.0).abs() < 1e-14);
        assert!(
            (&weighted.mean() - &repeated.mean())
                .iter()
                .all(|x| x.abs() < 1e-15)
        );
        // Four points at an angle of 1e-7 to their mean: 1 - r = 5e-15, of which f64 keeps two digits in r.
        let e = 1e-7;
        let close = array![[1.0, e, 0.0], [1.0, -e, 0.0], [1.0, 0.0, e], [1.0, 0.0, -e]];
        let fitted = VonMisesFisher::fit(close.view(), None).unwrap();
        assert!((fitted.concentration() / 2e14 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn refuses_what_has_no_fit() {
        let fit = |rows: ndarray::Array2<f64>, weights: Option<Array1<f64>>| {
            VonMisesFisher::fit(rows.view(), weights.as_ref().map(|w| w.view()))
                .unwrap_err()
                .to_string()
        };
        let x = array![[1.0, 0.0], [0.0, 1.0]];
        assert_eq!(
            fit(array![[1.0, 0.0], [0.0, 0.0]], None),
            "row 1 has no direction: its length is 0; leave it out or repair it"
        );
        assert_eq!(
            fit(x.clone(), Some(array![1.0])),
            "1 weights for 2 points; give one for each"
        );
        assert!(fit(x.clone(), Some(array![1.0, -1.0])).starts_with("the weight of row 1 is -1"));
        assert!(fit(x, Some(array![0.0, 0.0])).starts_with("no point has a positive weight"));
        assert!(fit(array![[1.0, 0.0], [2.0, 0.0]], None).starts_with("all points are the same"));
    }

    #[test]
    fn natural_parameters_go_both_ways() {
        let vmf = VonMisesFisher::from_natural(array![3.0, 4.0]).unwrap();
        assert_eq!(
            (vmf.concentration(), vmf.natural()),
            (5.0, array![3.0, 4.0])
        );
        let uniform = VonMisesFisher::from_natural(array![0.0, 0.0]).unwrap();
        assert_eq!(uniform.ln_pdf_uniform(array![0.0, 1.0].view()), 0.0);
    }
}
