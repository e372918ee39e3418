//! The sufficient statistics of a mixture: all that a pass over the data leaves behind.

use ndarray::{Array1, Array2};

/// Sums over the points seen, for a mixture of `K` components in `D` dimensions.
///
/// A monoid: [`Statistics::zeros`] is its identity, [`Statistics::merge`] its (up to rounding) associative and
/// commutative operation. Always in `f64`, whatever the data is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Total weight of the points.
    pub total: f64,
    /// Weighted sum of the points' log-likelihoods, against the uniform measure.
    pub log_likelihood: f64,
    /// Weighted sum of the responsibilities, shape `(n_components,)`.
    pub masses: Array1<f64>,
    /// Weighted sum of the squared responsibilities, shape `(n_components,)`.
    pub squares: Array1<f64>,
    /// Weighted sum of responsibility times unit vector, shape `(n_components, dimension)`.
    pub resultants: Array2<f64>,
}

impl Statistics {
    /// The statistics of no points.
    pub fn zeros(n_components: usize, dimension: usize) -> Self {
        Self {
            total: 0.0,
            log_likelihood: 0.0,
            masses: Array1::zeros(n_components),
            squares: Array1::zeros(n_components),
            resultants: Array2::zeros((n_components, dimension)),
        }
    }

    /// Adds the statistics of other points.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.log_likelihood += other.log_likelihood;
        self.masses += &other.masses;
        self.squares += &other.squares;
        self.resultants += &other.resultants;
    }
}
