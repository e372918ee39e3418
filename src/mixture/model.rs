//! The fitted mixture.

use ndarray::{Array1, Array2, Zip};
use rand::Rng;
use rand::distributions::{Distribution, WeightedIndex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::ParameterError;
use super::kernel::Scorer;
use super::{Concentration, Warning};
use crate::vmf::{VonMisesFisher, concentration, ln_normaliser_scaled};

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The same of every run, of which the likeliest was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Vec<f64>>,
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

    /// A mixture that is known, not fitted: weights `(n_components,)` that sum to 1, mean directions of any length
    /// `(n_components, dimension)`, and concentrations `(n_components,)`.
    ///
    /// # Errors
    /// The lists disagree in length, the weights are no probabilities, or a component is no distribution.
    ///
    /// # Example
    /// ```
    /// use ndarray::array;
    /// use vmfmix::mixture::VonMisesFisherMixture;
    ///
    /// let means = array![[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]];
    /// let model = VonMisesFisherMixture::from_parameters(array![0.7, 0.3], means, array![50.0, 10.0])?;
    /// assert_eq!(model.n_components(), 2);
    /// # Ok::<(), vmfmix::mixture::ParameterError>(())
    /// ```
    pub fn from_parameters(
        weights: Array1<f64>,
        mut mean_directions: Array2<f64>,
        concentrations: Array1<f64>,
    ) -> Result<Self, ParameterError> {
        let k = mean_directions.nrows();
        check_length("weights", weights.len(), k.max(1))?;
        check_length("concentrations", concentrations.len(), k)?;
        let total: f64 = weights.sum();
        if weights.iter().any(|w| w.is_nan() || *w < 0.0) || (total - 1.0).abs() > WEIGHT_TOLERANCE
        {
            return Err(ParameterError::Weights);
        }
        let rows = mean_directions.rows_mut().into_iter();
        for (component, (mut row, &kappa)) in rows.zip(&concentrations).enumerate() {
            let vmf = VonMisesFisher::new(row.to_owned(), kappa)
                .map_err(|cause| ParameterError::Component { component, cause })?;
            row.assign(&vmf.mean());
        }
        Ok(Self::new(
            weights,
            mean_directions,
            concentrations,
            Array1::zeros(k),
        ))
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
#[derive(Serialize, Deserialize, JsonSchema)]
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

/// Log-likelihoods per point are far below this for any data in doubles.
const MAX_LOG_LIKELIHOOD: f64 = 1e12;

/// Weights read from a file may be off from 1 by this much in all: they may have been written with few digits.
const WEIGHT_TOLERANCE: f64 = 1e-6;

impl TryFrom<Parameters> for VonMisesFisherMixture {
    type Error = ParameterError;

    fn try_from(read: Parameters) -> Result<Self, ParameterError> {
        let (k, d) = (read.n_components, read.dimension);
        check_length("weights", read.weights.len(), k.max(1))?;
        check_length("mean_directions", read.mean_directions.len(), k.max(1))?;
        // Before there is a matrix of that size.
        for row in &read.mean_directions {
            check_length("mean_directions", row.len(), d)?;
        }
        let means = read.mean_directions.concat();
        let means = Array2::from_shape_vec((k, d), means).expect("the lengths were checked");
        let is_unlikely = |x: &f64| x.is_nan() || x.abs() > MAX_LOG_LIKELIHOOD;
        let runs = &read.convergence.runs;
        let log_likelihoods = runs
            .iter()
            .chain([&read.convergence.log_likelihoods])
            .flatten();
        let unlikely = log_likelihoods.copied().find(is_unlikely);
        if let Some(got) = unlikely {
            return Err(ParameterError::LogLikelihood { got });
        }
        let mut model =
            Self::from_parameters(read.weights.into(), means, read.concentrations.into())?;
        if !read.effective_sizes.is_empty() {
            check_length("effective_sizes", read.effective_sizes.len(), k)?;
            model.effective_sizes = read.effective_sizes.into();
        }
        Ok(model
            .with_structure(read.concentration, read.noise_component)
            .with_convergence(read.convergence))
    }
}

fn check_length(list: &'static str, got: usize, expected: usize) -> Result<(), ParameterError> {
    if got == expected {
        return Ok(());
    }
    Err(ParameterError::Length {
        list,
        got,
        expected,
    })
}
