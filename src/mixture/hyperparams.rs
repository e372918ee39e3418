//! The settings of a fit: an unchecked builder, checked once into a valid one.

use linfa::ParamGuard;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::kernel::BLOCK_ROWS;
use super::{Assignment, MixtureError, VonMisesFisherMixture};
use crate::device::Device;
use crate::progress::{Progress, Silent};
use crate::vmf::LARGEST_CONCENTRATION;
use crate::vmf::concentration::Prior;

/// Where EM starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InitMethod {
    /// Spherical k-means from a k-means++ start.
    #[default]
    SphericalKMeans,
    /// The points nearest to centres drawn by k-means++ (Arthur & Vassilvitskii 2007).
    KMeansPlusPlus,
    /// The points nearest to rows drawn at random.
    RandomRows,
    /// Every point in a component drawn at random.
    RandomResponsibilities,
    /// The points nearest to these directions, shape `(n_components, dimension)`.
    Means(Array2<f64>),
    /// The points with these labels, one for each row, below the number of components.
    Labels(Vec<usize>),
    /// A mixture fitted before: a warm start.
    Model(Box<VonMisesFisherMixture>),
}

/// What the concentrations have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concentration {
    /// Each component has its own.
    #[default]
    Free,
    /// All components have the same, which is estimated.
    Tied,
    /// All components have this one.
    Fixed(f64),
}

/// What becomes of a component that has lost its points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyComponent {
    /// It starts afresh at a point drawn at random.
    #[default]
    Reseed,
    /// It is left out from there on.
    Drop,
    /// The fit fails.
    Error,
}

/// Deterministic annealing (Ueda & Nakano 1998, Deterministic annealing EM algorithm, Neural Networks 11): densities
/// are raised to a power that rises geometrically from `start` to 1 before the points are shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Annealing {
    /// The first power, above 0 and at most 1.
    pub start: f64,
    /// Iterations until the power is 1; only then may a run end.
    pub n_iterations: usize,
}

impl Annealing {
    /// The power at an iteration, counted from 0.
    pub(super) fn inverse_temperature(&self, iteration: usize) -> f64 {
        if iteration >= self.n_iterations {
            return 1.0;
        }
        self.start
            .powf(1.0 - iteration as f64 / self.n_iterations as f64)
    }
}

/// Called with the model of every iteration.
pub type OnIteration = Arc<dyn Fn(&VonMisesFisherMixture) + Send + Sync>;

/// Settings of [`VonMisesFisherMixture`], with these defaults:
///
/// | setting | default | |
/// |---|---|---|
/// | [`n_runs`](Self::n_runs) | 4 | restarts, the likeliest is kept |
/// | [`tolerance`](Self::tolerance) | 1e-6 | nats per point |
/// | [`max_n_iterations`](Self::max_n_iterations) | 100 | EM steps of a run |
/// | [`init_method`](Self::init_method) | `SphericalKMeans` | spherical k-means |
/// | [`concentration`](Self::concentration) | `Free` | each component has its own |
/// | [`assignment`](Self::assignment) | `Soft` | by responsibilities |
/// | [`annealing`](Self::annealing) | None | none |
/// | [`noise_component`](Self::noise_component) | false | none |
/// | [`prior`](Self::prior) | None | none |
/// | [`max_concentration`](Self::max_concentration) | 1e6 | cap against duplicated points, at most 1e15 |
/// | [`min_weight`](Self::min_weight) | 0.0 | only what holds no point is empty |
/// | [`empty_component`](Self::empty_component) | `Reseed` | it starts afresh at a point |
/// | [`block_size`](Self::block_size) | 1024 | rows that a thread takes at once |
/// | [`n_threads`](Self::n_threads) | None | those of the current pool |
/// | [`device`](Self::device) | `Cpu` | the processor |
/// | [`tf32`](Self::tf32) | false | products of `f32` in full |
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
        VonMisesFisherMixtureParams(VonMisesFisherMixtureValidParams::new(n_components, rng))
    }
}

/// The fields with their defaults, the setters of the builder and the getters of the checked settings: the same names, the
/// same words.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr,)*) => {
        /// Settings that have been checked; see [`VonMisesFisherMixtureParams`].
        #[derive(Clone)]
        pub struct VonMisesFisherMixtureValidParams<R> {
            n_components: usize,
            init_method: InitMethod,
            rng: R,
            progress: Arc<dyn Progress>,
            on_iteration: Option<OnIteration>,
            $($name: $type,)*
        }

        impl<R> VonMisesFisherMixtureValidParams<R> {
            fn new(n_components: usize, rng: R) -> Self {
                Self {
                    n_components,
                    init_method: InitMethod::default(),
                    rng,
                    progress: Arc::new(Silent),
                    on_iteration: None,
                    $($name: $default,)*
                }
            }
        }

        impl<R> VonMisesFisherMixtureParams<R> {
            $(
                $(#[doc = $doc])+
                pub fn $name(mut self, $name: $type) -> Self {
                    self.0.$name = $name;
                    self
                }
            )*
        }

        impl<R> VonMisesFisherMixtureValidParams<R> {
            $(
                $(#[doc = $doc])+
                pub fn $name(&self) -> $type {
                    self.$name
                }
            )*
        }
    };
}

settings! {
    /// Restarts, each from its own seed; the likeliest result is kept.
    n_runs: usize = 4,
    /// A run ends when the log-likelihood per point changes by less than this, in nats.
    tolerance: f64 = 1e-6,
    /// Most EM steps of a run.
    max_n_iterations: usize = 100,
    /// What the concentrations have in common.
    concentration: Concentration = Concentration::Free,
    /// How a point is shared among the components.
    assignment: Assignment = Assignment::Soft,
    /// Deterministic annealing at the start of a run.
    annealing: Option<Annealing> = None,
    /// Whether a uniform component, the last, takes up what fits nowhere; it comes on top of the others.
    noise_component: bool = false,
    /// What is believed of every concentration before the data, see [`Prior`].
    prior: Option<Prior> = None,
    /// Cap on the concentrations, against duplicated points; reaching it is reported as a warning.
    max_concentration: f64 = 1e6,
    /// Weight below which a component counts as empty.
    min_weight: f64 = 0.0,
    /// What becomes of an empty component.
    empty_component: EmptyComponent = EmptyComponent::Reseed,
    /// Rows that a thread takes at once. The same data, seed and block size give the same model bit by bit.
    block_size: usize = BLOCK_ROWS,
    /// Threads; those of the current pool where `None`.
    n_threads: Option<usize> = None,
    /// Where data sets are swept; see [`OnDevice`](super::OnDevice).
    device: Device = Device::Cpu,
    /// On a device, products of `f32` by TF32; see [`OnDevice::tf32`](super::OnDevice::tf32).
    tf32: bool = false,
}

impl<R> VonMisesFisherMixtureParams<R> {
    /// Where a run starts.
    pub fn init_method(mut self, init_method: InitMethod) -> Self {
        self.0.init_method = init_method;
        self
    }

    /// Who is told of every iteration.
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.0.progress = progress;
        self
    }

    /// Who gets the model of every iteration: to keep it, against the loss of a long fit.
    pub fn on_iteration(mut self, on_iteration: OnIteration) -> Self {
        self.0.on_iteration = Some(on_iteration);
        self
    }

    /// Number of components, in place of the one given before.
    pub fn n_components(mut self, n_components: usize) -> Self {
        self.0.n_components = n_components;
        self
    }
}

impl<R> VonMisesFisherMixtureValidParams<R> {
    /// Number of components, without that for noise.
    pub fn n_components(&self) -> usize {
        self.n_components
    }

    /// Where a run starts.
    pub fn init_method(&self) -> &InitMethod {
        &self.init_method
    }

    /// Who is told of every iteration.
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Who gets the model of every iteration.
    pub fn on_iteration(&self) -> Option<&OnIteration> {
        self.on_iteration.as_ref()
    }

    /// The random number generator, as it was given.
    pub fn rng(&self) -> &R {
        &self.rng
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
        if params.block_size == 0 || params.n_threads == Some(0) {
            return Err(MixtureError::NoRowsOrThreads);
        }
        let in_range = |setting, got: f64, range: std::ops::RangeInclusive<f64>| {
            if got.is_finite() && range.contains(&got) {
                Ok(())
            } else {
                Err(MixtureError::Setting {
                    setting,
                    got,
                    least: *range.start(),
                    most: *range.end(),
                })
            }
        };
        in_range("tolerance", params.tolerance, 0.0..=f64::MAX)?;
        in_range(
            "max_concentration",
            params.max_concentration,
            f64::MIN_POSITIVE..=LARGEST_CONCENTRATION,
        )?;
        in_range(
            "min_weight",
            params.min_weight,
            0.0..=1.0 / params.n_components as f64,
        )?;
        if let Concentration::Fixed(kappa) = params.concentration {
            in_range("concentration", kappa, 0.0..=params.max_concentration)?;
        }
        if let Some(annealing) = params.annealing {
            in_range("annealing start", annealing.start, f64::MIN_POSITIVE..=1.0)?;
        }
        if let Some(prior) = params.prior {
            in_range("prior strength", prior.strength, 0.0..=f64::MAX)?;
            in_range(
                "prior mean resultant length",
                prior.mean_resultant_length,
                0.0..=1.0 - f64::EPSILON,
            )?;
        }
        Ok(params)
    }

    fn check(self) -> Result<Self::Checked, MixtureError> {
        self.check_ref()?;
        Ok(self.0)
    }
}
