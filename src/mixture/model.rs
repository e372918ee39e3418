//! The fitted mixture.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView2, Zip};
use rand::Rng;
use rand::distributions::{Distribution, WeightedIndex};
use serde::{Deserialize, Serialize};

use super::errors::ParameterError;
use super::kernel::Scorer;
use super::simd::{argmax, largest};
use super::{Concentration, InMemory, MixtureError, Warning};
use crate::vmf::{Radial, VonMisesFisher, concentration, ln_normaliser_scaled, ln_sphere_area};

/// A mixture of von Mises-Fisher distributions, `p(x) = sum_k w_k f(x; mu_k, kappa_k)`.
///
/// Serialises to the fields of `model_parameters.json`, and is checked when read back.
///
/// ```
/// use linfa::{DatasetBase, traits::{Fit, Predict}, ParamGuard};
/// use ndarray::array;
/// use vmfmix::mixture::VonMisesFisherMixture;
///
/// let x = array![[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.2]];
/// let model = VonMisesFisherMixture::params(2).check()?.fit(&DatasetBase::from(x.clone()))?;
/// let labels = model.predict(&x);
/// assert!(labels[0] == labels[1] && labels[2] == labels[3] && labels[0] != labels[2]);
/// # Ok::<(), vmfmix::mixture::MixtureError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Parameters", try_from = "Parameters")]
pub struct VonMisesFisherMixture {
    weights: Array1<f64>,
    mean_directions: Array2<f64>,
    concentrations: Array1<f64>,
    effective_sizes: Array1<f64>,
    concentration: Concentration,
    noise_component: bool,
    convergence: Convergence,
}

/// How a fit went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// Whether the log-likelihood settled within the tolerance.
    pub converged: bool,
    /// EM steps taken.
    pub n_iterations: usize,
    /// Mini-batches that followed, by `fit_with`.
    #[serde(default)]
    pub n_batches: usize,
    /// Log-likelihood per point after each step, in nats against the surface measure: that of the assignments where they
    /// are hard, and of a mini-batch before it is learnt.
    pub log_likelihoods: Vec<f64>,
    /// What the fit met and survived.
    pub warnings: Vec<Warning>,
}

impl VonMisesFisherMixture {
    pub(super) fn new(
        weights: Array1<f64>,
        mean_directions: Array2<f64>,
        concentrations: Array1<f64>,
        effective_sizes: Array1<f64>,
    ) -> Self {
        let convergence = Convergence::default();
        Self {
            weights,
            mean_directions,
            concentrations,
            effective_sizes,
            concentration: Concentration::Free,
            noise_component: false,
            convergence,
        }
    }

    /// Notes what the concentrations have in common, and whether the last component is noise.
    pub(super) fn with_structure(
        self,
        concentration: Concentration,
        noise_component: bool,
    ) -> Self {
        Self {
            concentration,
            noise_component,
            ..self
        }
    }

    pub(super) fn with_convergence(self, convergence: Convergence) -> Self {
        Self {
            convergence,
            ..self
        }
    }

    /// Number of components, `K`.
    pub fn n_components(&self) -> usize {
        self.weights.len()
    }

    /// Dimension of the ambient space, `D`.
    pub fn dimension(&self) -> usize {
        self.mean_directions.ncols()
    }

    /// Weights of the components, summing to 1, shape `(n_components,)`.
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// Unit mean directions, shape `(n_components, dimension)`.
    pub fn mean_directions(&self) -> &Array2<f64> {
        &self.mean_directions
    }

    /// Concentrations, shape `(n_components,)`.
    pub fn concentrations(&self) -> &Array1<f64> {
        &self.concentrations
    }

    /// How many points of their own the components rest on, shape `(n_components,)`: the sum of the squared
    /// responsibilities of each, which is what is left of the information about its parameters when that about where
    /// the points belong is missing (Louis 1982, Finding the observed information matrix when using the EM algorithm,
    /// J. R. Stat. Soc. B 44, without the terms between components).
    pub fn effective_sizes(&self) -> &Array1<f64> {
        &self.effective_sizes
    }

    /// Standard errors of the concentrations, see [`concentration::standard_error`], with the effective sizes for `n`.
    /// Exact to a few per cent for components apart from one another; some 10 % too small where a tenth of the points
    /// could belong to either of two.
    pub fn concentration_standard_errors(&self) -> Array1<f64> {
        let d = self.dimension();
        Zip::from(&self.effective_sizes)
            .and(&self.concentrations)
            .map_collect(|&n, &kappa| concentration::standard_error(d, kappa, n))
    }

    /// The concentrations without the bias of small samples, which in high dimensions dwarfs the standard error;
    /// see [`concentration::bias_corrected`]. They describe the data better, but are not the likeliest.
    pub fn bias_corrected_concentrations(&self) -> Array1<f64> {
        let d = self.dimension();
        Zip::from(&self.effective_sizes)
            .and(&self.concentrations)
            .map_collect(|&n, &kappa| {
                concentration::bias_corrected(d, concentration::mean_resultant_length(d, kappa), n)
            })
    }

    /// How the fit went.
    pub fn convergence(&self) -> &Convergence {
        &self.convergence
    }

    /// Log-likelihood per point of the training data, in nats against the surface measure; minus infinity for a
    /// model that was not fitted.
    pub fn log_likelihood(&self) -> f64 {
        self.convergence
            .log_likelihoods
            .last()
            .copied()
            .unwrap_or(f64::NEG_INFINITY)
    }

    /// One component as a distribution.
    ///
    /// # Panics
    /// `component` is not below the number of components.
    pub fn component(&self, component: usize) -> VonMisesFisher {
        VonMisesFisher::new(
            self.mean_directions.row(component).to_owned(),
            self.concentrations[component],
        )
        .expect("a component of a mixture is valid")
    }

    /// What the concentrations have in common.
    pub fn concentration(&self) -> Concentration {
        self.concentration
    }

    /// The component that takes up noise, if there is one: the last, of concentration 0.
    pub fn noise_component(&self) -> Option<usize> {
        self.noise_component.then(|| self.n_components() - 1)
    }

    /// Free parameters: `K - 1` weights, and for the components that are not noise `D - 1` of each direction and as many
    /// concentrations as are free.
    pub fn n_parameters(&self) -> usize {
        let directed = self.n_components() - usize::from(self.noise_component);
        let concentrations = match self.concentration {
            Concentration::Free => directed,
            Concentration::Tied => 1,
            Concentration::Fixed(_) => 0,
        };
        self.n_components() - 1 + directed * (self.dimension() - 1) + concentrations
    }

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
        self.map_responsibilities(rows, |row, _| {
            let terms = row.iter().filter(|r| **r > 0.0).map(|r| -r * r.ln());
            terms.sum()
        })
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
        let radials: Vec<Radial> = (0..self.n_components())
            .map(|k| self.component(k).radial())
            .collect();
        let labels = self.assign(rows)?;
        let scores = Zip::from(rows.rows())
            .and(&labels)
            .par_map_collect(|row, &label| {
                if Some(label) == self.noise_component() {
                    return 1.0;
                }
                // From the difference, which keeps its digits close to the mean.
                let row = row.mapv(|x| x.to_f64().expect("a float is a number"));
                let length = row.dot(&row).sqrt();
                let difference = row / length - self.mean_directions.row(label);
                let half_chord = difference.dot(&difference).sqrt() / 2.0;
                radials[label].angle_cdf(2.0 * half_chord.min(1.0).asin())
            });
        Ok(scores)
    }

    /// Draws `n` points and the components they come from: unit rows of shape `(n, dimension)`, and labels.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> (Array2<f64>, Array1<usize>) {
        let components = WeightedIndex::new(&self.weights).expect("weights sum to 1");
        let labels = Array1::from_shape_simple_fn(n, || components.sample(rng));
        let mut rows = Array2::zeros((n, self.dimension()));
        for k in 0..self.n_components() {
            let own: Vec<usize> = (0..n).filter(|&i| labels[i] == k).collect();
            let drawn = self.component(k).sample::<f64>(own.len(), rng);
            own.iter()
                .zip(drawn.rows())
                .for_each(|(&i, x)| rows.row_mut(i).assign(&x));
        }
        (rows, labels)
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

    pub(super) fn scorer(&self) -> Scorer {
        let d = self.dimension();
        Scorer {
            mean_directions: self.mean_directions.clone(),
            concentrations: self.concentrations.clone(),
            offsets: Zip::from(&self.weights)
                .and(&self.concentrations)
                .map_collect(|w, &kappa| w.ln() - ln_normaliser_scaled(d, kappa)),
            inverse_temperature: 1.0,
            seed: 0,
        }
    }
}

/// The file format: plain lists, so that any program can read it.
#[derive(Serialize, Deserialize)]
struct Parameters {
    #[serde(default)]
    vmfmix_version: String,
    n_components: usize,
    dimension: usize,
    weights: Vec<f64>,
    mean_directions: Vec<Vec<f64>>,
    concentrations: Vec<f64>,
    #[serde(default)]
    effective_sizes: Vec<f64>,
    #[serde(default)]
    concentration: Concentration,
    #[serde(default)]
    noise_component: bool,
    /// Written for people; follow from the fields above.
    #[serde(skip_deserializing)]
    bias_corrected_concentrations: Vec<f64>,
    #[serde(skip_deserializing)]
    concentration_standard_errors: Vec<Option<f64>>,
    #[serde(default)]
    convergence: Convergence,
}

impl From<VonMisesFisherMixture> for Parameters {
    fn from(model: VonMisesFisherMixture) -> Self {
        Self {
            vmfmix_version: env!("CARGO_PKG_VERSION").to_owned(),
            n_components: model.n_components(),
            dimension: model.dimension(),
            mean_directions: model
                .mean_directions
                .rows()
                .into_iter()
                .map(|row| row.to_vec())
                .collect(),
            weights: model.weights.to_vec(),
            concentrations: model.concentrations.to_vec(),
            bias_corrected_concentrations: model.bias_corrected_concentrations().to_vec(),
            // Infinite, and so null, for a component that rests on no points.
            concentration_standard_errors: model
                .concentration_standard_errors()
                .iter()
                .map(|error| error.is_finite().then_some(*error))
                .collect(),
            effective_sizes: model.effective_sizes.to_vec(),
            concentration: model.concentration,
            noise_component: model.noise_component,
            convergence: model.convergence,
        }
    }
}

/// Weights read from a file may be off from 1 by this much in all: they may have been written with few digits.
const WEIGHT_TOLERANCE: f64 = 1e-6;

impl TryFrom<Parameters> for VonMisesFisherMixture {
    type Error = ParameterError;

    fn try_from(read: Parameters) -> Result<Self, ParameterError> {
        let (k, d) = (read.n_components, read.dimension);
        let effective_sizes = if read.effective_sizes.is_empty() {
            vec![0.0; k]
        } else {
            read.effective_sizes
        };
        let lengths = [
            ("weights", read.weights.len(), k.max(1)),
            ("mean_directions", read.mean_directions.len(), k),
            ("concentrations", read.concentrations.len(), k),
            ("effective_sizes", effective_sizes.len(), k),
        ];
        let rows = read
            .mean_directions
            .iter()
            .map(|row| ("mean_directions", row.len(), d));
        for (list, got, expected) in lengths.into_iter().chain(rows) {
            if got != expected {
                return Err(ParameterError::Length {
                    list,
                    got,
                    expected,
                });
            }
        }
        let total: f64 = read.weights.iter().sum();
        if read.weights.iter().any(|w| w.is_nan() || *w < 0.0)
            || (total - 1.0).abs() > WEIGHT_TOLERANCE
        {
            return Err(ParameterError::Weights);
        }
        let mut means = Array2::zeros((k, d));
        for (component, (row, &kappa)) in read
            .mean_directions
            .into_iter()
            .zip(&read.concentrations)
            .enumerate()
        {
            let vmf = VonMisesFisher::new(row.into(), kappa)
                .map_err(|cause| ParameterError::Component { component, cause })?;
            means.row_mut(component).assign(&vmf.mean());
        }
        Ok(Self::new(
            read.weights.into(),
            means,
            read.concentrations.into(),
            effective_sizes.into(),
        )
        .with_structure(read.concentration, read.noise_component)
        .with_convergence(read.convergence))
    }
}
