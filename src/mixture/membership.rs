//! What a mixture says of rows: where they belong, and how well it explains them.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView2, Zip};

use super::kernel::{Assignment, float};
use super::simd::{argmax, largest};
use super::{InMemory, MixtureError, Observations, VonMisesFisherMixture};
use crate::vmf::{Radial, ln_sphere_area};

/// What a mixture says of rows, each of shape `(n_samples,)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memberships {
    /// The likeliest component.
    pub components: Array1<usize>,
    /// Its responsibility.
    pub probabilities: Array1<f64>,
    /// Log-density in nats against the surface measure.
    pub log_likelihoods: Array1<f64>,
    /// Entropy of the responsibilities in nats.
    pub entropies: Array1<f64>,
    /// See [`VonMisesFisherMixture::outlier_scores`].
    pub outlier_scores: Array1<f64>,
}

impl VonMisesFisherMixture {
    /// Responsibilities, shape `(n_samples, n_components)`, rows summing to 1.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn predict_proba<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Array2<f64>, MixtureError> {
        InMemory::new(rows, None)?.map_rows(&self.scorer(), |kernel, block| {
            kernel.responsibilities(block).0
        })
    }

    /// The likeliest component of every row, shape `(n_samples,)`; `predict` of linfa, with errors for bad rows.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn assign<F: Float>(&self, rows: ArrayView2<'_, F>) -> Result<Array1<usize>, MixtureError> {
        self.map_responsibilities(rows, |row, _| argmax(row, largest(row)))
    }

    /// Log-density of every row in nats against the surface measure, shape `(n_samples,)`.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn score_samples<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Array1<f64>, MixtureError> {
        let ln_area = ln_sphere_area(self.dimension());
        self.map_responsibilities(rows, |_, ln_likelihood| ln_likelihood - ln_area)
    }

    /// Entropy of the responsibilities of every row, in nats, shape `(n_samples,)`: 0 where membership is certain,
    /// `ln K` where it is not known at all.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn entropies<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Array1<f64>, MixtureError> {
        self.map_responsibilities(rows, |row, _| entropy(row))
    }

    /// How far out every row lies, between 0 and 1, shape `(n_samples,)`: the probability that a point of its likeliest
    /// component lies nearer to that component's mean. Scores of points that follow the model are spread evenly; noise scores 1.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn outlier_scores<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Array1<f64>, MixtureError> {
        Ok(self.outlier_scores_of(rows, &self.assign(rows)?))
    }

    fn outlier_scores_of<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
        components: &Array1<usize>,
    ) -> Array1<f64> {
        let radials: Vec<Radial> = (0..self.n_components())
            .map(|k| self.component(k).radial())
            .collect();
        Zip::from(rows.rows())
            .and(components)
            .par_map_collect(|row, &component| {
                if Some(component) == self.noise_component() {
                    return 1.0;
                }
                // From the difference, which keeps its digits close to the mean.
                let row = row.mapv(float);
                let length = row.dot(&row).sqrt();
                let difference = row / length - self.mean_directions().row(component);
                let half_chord = difference.dot(&difference).sqrt() / 2.0;
                radials[component].angle_cdf(2.0 * half_chord.min(1.0).asin())
            })
    }

    /// All of these in one pass; the memory it takes does not grow with the number of components.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn memberships<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
    ) -> Result<Memberships, MixtureError> {
        let ln_area = ln_sphere_area(self.dimension());
        let found = self.map_responsibilities(rows, |row, ln_likelihood| {
            let most = largest(row);
            (
                argmax(row, most),
                most,
                ln_likelihood - ln_area,
                entropy(row),
            )
        })?;
        let components = found.map(|row| row.0);
        Ok(Memberships {
            probabilities: found.map(|row| row.1),
            log_likelihoods: found.map(|row| row.2),
            entropies: found.map(|row| row.3),
            outlier_scores: self.outlier_scores_of(rows, &components),
            components,
        })
    }

    /// What `value` makes of the responsibilities and the log-likelihood (uniform measure) of every row.
    fn map_responsibilities<F: Float, T: Send>(
        &self,
        rows: ArrayView2<'_, F>,
        value: impl Fn(&[f64], f64) -> T + Sync,
    ) -> Result<Array1<T>, MixtureError> {
        let blocks = InMemory::new(rows, None)?.map_blocks(&self.scorer(), |kernel, block| {
            let (responsibilities, ln_likelihoods) = kernel.responsibilities(block);
            let rows = responsibilities.rows().into_iter().zip(&ln_likelihoods);
            let values =
                rows.map(|(row, &ln)| value(row.to_slice().expect("rows are contiguous"), ln));
            values.collect::<Vec<T>>()
        })?;
        Ok(blocks.into_iter().flatten().collect())
    }

    /// Log-likelihood per point, in nats against the surface measure; not a number for no rows.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn score<F: Float>(&self, rows: ArrayView2<'_, F>) -> Result<f64, MixtureError> {
        Ok(self.score_samples(rows)?.mean().unwrap_or(f64::NAN))
    }

    /// Log-likelihood per point of observations wherever they are, in nats against the surface measure.
    ///
    /// # Errors
    /// They cannot be read, or their dimension is not the model's.
    pub fn score_observations(&self, observations: &dyn Observations) -> Result<f64, MixtureError> {
        let statistics = observations.sweep(&self.scorer(), Assignment::Soft)?;
        Ok(statistics.log_likelihood / statistics.total - ln_sphere_area(self.dimension()))
    }

    /// Bayesian information criterion, `p ln n - 2 ln L`; lower is better.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn bic<F: Float>(&self, rows: ArrayView2<'_, F>) -> Result<f64, MixtureError> {
        Ok(self.criteria(rows.nrows(), self.score(rows)?).0)
    }

    /// Akaike information criterion, `2 p - 2 ln L`; lower is better.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn aic<F: Float>(&self, rows: ArrayView2<'_, F>) -> Result<f64, MixtureError> {
        Ok(self.criteria(rows.nrows(), self.score(rows)?).1)
    }

    /// BIC and AIC of `n` points with this log-likelihood per point.
    pub(super) fn criteria(&self, n: usize, log_likelihood: f64) -> (f64, f64) {
        let (p, n) = (self.n_parameters() as f64, n as f64);
        let deviance = 2.0 * n * log_likelihood;
        (p * n.ln() - deviance, 2.0 * p - deviance)
    }

    /// Integrated completed likelihood, BIC plus twice the entropy of all responsibilities (Biernacki, Celeux & Govaert
    /// 2000); lower is better.
    ///
    /// # Errors
    /// A row has no direction, or the dimension is not the model's.
    pub fn icl<F: Float>(&self, rows: ArrayView2<'_, F>) -> Result<f64, MixtureError> {
        Ok(self.bic(rows)? + 2.0 * self.entropies(rows)?.sum())
    }
}

/// `-sum r ln r` in nats.
fn entropy(responsibilities: &[f64]) -> f64 {
    let positive = responsibilities.iter().filter(|r| **r > 0.0);
    positive.map(|r| -r * r.ln()).sum()
}
