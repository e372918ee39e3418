//! The one EM loop, over [`Observations`] wherever they are.

use ndarray::{Array1, Array2, Axis};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::hyperparams::{Concentration, EmptyComponent};
use super::init::{Start, check};
use super::kernel::{Assignment, Scorer};
use super::model::{Convergence, VonMisesFisherMixture};
use super::{MixtureError, Observations, Statistics, VonMisesFisherMixtureValidParams, Warning};
use crate::vmf::{concentration, ln_sphere_area};

/// A component that holds less than this many points is empty.
const EMPTY_MASS: f64 = 1e-6;

/// Share of the points that noise is thought to be before the first iteration.
const STARTING_NOISE: f64 = 0.05;

impl<R: Rng + Clone + Sync> VonMisesFisherMixtureValidParams<R> {
    /// Fits a mixture to observations that are not a linfa dataset: on disk, on a device, on a cluster.
    ///
    /// # Errors
    /// There are fewer points than components, the start given does not fit, a component is empty and that is to be an
    /// error, or the observations cannot be swept.
    pub fn fit_observations(
        &self,
        observations: &dyn Observations,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        let (n_samples, n_components) = (observations.n_samples(), self.n_components());
        if n_samples < n_components {
            return Err(MixtureError::TooFewSamples {
                n_samples,
                n_components,
            });
        }
        let Some(n_threads) = self.n_threads() else {
            return self.best_run(observations);
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n_threads)
            .build();
        pool.map_err(|cause| MixtureError::Threads { n_threads, cause })?
            .install(|| self.best_run(observations))
    }

    fn best_run(
        &self,
        observations: &dyn Observations,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        let mut seeds = self.rng().clone();
        let mut best: Option<VonMisesFisherMixture> = None;
        let mut runs = Vec::with_capacity(self.n_runs());
        for run in 1..=self.n_runs() {
            let rng = Xoshiro256Plus::seed_from_u64(seeds.r#gen());
            let model = Run::new(self, observations, rng).fit(run)?;
            runs.push(model.convergence().log_likelihoods.clone());
            if best
                .as_ref()
                .is_none_or(|best| model.log_likelihood() > best.log_likelihood())
            {
                best = Some(model);
            }
        }
        let best = best.expect("at least one run was checked for");
        let mut convergence = best.convergence().clone();
        convergence.runs = runs;
        Ok(best.with_convergence(convergence))
    }
}

/// One start and its EM steps.
pub(super) struct Run<'a, R> {
    params: &'a VonMisesFisherMixtureValidParams<R>,
    observations: &'a dyn Observations,
    rng: Xoshiro256Plus,
    /// Met and survived so far.
    pub(super) warnings: Vec<Warning>,
}

impl<'a, R> Run<'a, R> {
    pub(super) fn new(
        params: &'a VonMisesFisherMixtureValidParams<R>,
        observations: &'a dyn Observations,
        rng: Xoshiro256Plus,
    ) -> Self {
        Self {
            params,
            observations,
            rng,
            warnings: Vec::new(),
        }
    }

    pub(super) fn fit(mut self, run: usize) -> Result<VonMisesFisherMixture, MixtureError> {
        let params = self.params;
        let stage = match params.n_runs() {
            1 => "fitting".to_owned(),
            n => format!("fitting, run {run} of {n}"),
        };
        let mut convergence = Convergence::default();
        let mut model = self.start()?;
        let mut statistics = self.sweep(&model, 0)?;
        let mut change = f64::INFINITY;
        while convergence.n_iterations < params.max_n_iterations() && !convergence.converged {
            convergence.n_iterations += 1;
            model = self.maximise(&statistics, convergence.n_iterations)?;
            let before = statistics.log_likelihood / statistics.total;
            statistics = self.sweep(&model, convergence.n_iterations)?;
            let after = statistics.log_likelihood / statistics.total;
            change = after - before;
            convergence.converged =
                change.abs() < params.tolerance() && self.is_annealed(convergence.n_iterations);
            convergence
                .log_likelihoods
                .push(after - ln_sphere_area(self.observations.dimension()));
            if let Some(on_iteration) = params.on_iteration() {
                on_iteration(&model);
            }
            params
                .progress()
                .update(&stage, convergence.n_iterations, params.max_n_iterations());
        }
        convergence.warnings = self.warnings;
        if !convergence.converged {
            let n_iterations = convergence.n_iterations;
            convergence.warnings.push(Warning::NotConverged {
                n_iterations,
                last_change: change,
            });
        }
        let cap = params.max_concentration();
        let capped = (0..)
            .zip(model.concentrations())
            .filter(|(_, kappa)| **kappa >= cap);
        let warning = |(component, _)| Warning::ConcentrationCapped { component, cap };
        convergence.warnings.extend(capped.map(warning));
        Ok(model.with_convergence(convergence))
    }

    /// The model to begin with.
    fn start(&mut self) -> Result<VonMisesFisherMixture, MixtureError> {
        let (params, observations) = (self.params, self.observations);
        let n_components = params.n_components();
        let start = params
            .init_method()
            .start(observations, n_components, &mut self.rng)?;
        match start {
            Start::Model(model) => {
                let directed = model.n_components() - noise_components(&model);
                check("components of the given model", directed, n_components)?;
                self.continuing(model)
            }
            Start::Statistics(mut statistics) => {
                if params.noise_component() {
                    statistics = with_noise(statistics);
                }
                self.maximise(&statistics, 0)
            }
        }
    }

    /// The model, if these settings can go on from it.
    pub(super) fn continuing(
        &self,
        model: VonMisesFisherMixture,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        let (noise, dimension) = (self.params.noise_component(), self.observations.dimension());
        check(
            "noise components of the given model",
            noise_components(&model),
            usize::from(noise),
        )?;
        check(
            "dimensions of the given model",
            model.dimension(),
            dimension,
        )?;
        Ok(model)
    }

    fn is_annealed(&self, iteration: usize) -> bool {
        self.params
            .annealing()
            .is_none_or(|annealing| iteration >= annealing.n_iterations)
    }

    /// The E-step.
    fn sweep(
        &mut self,
        model: &VonMisesFisherMixture,
        iteration: usize,
    ) -> Result<Statistics, MixtureError> {
        let annealing = self.params.annealing();
        let scorer = Scorer {
            inverse_temperature: annealing
                .map_or(1.0, |annealing| annealing.inverse_temperature(iteration)),
            seed: match self.params.assignment() {
                Assignment::Stochastic => self.rng.r#gen(),
                _ => 0,
            },
            ..model.scorer()
        };
        self.observations.sweep(&scorer, self.params.assignment())
    }

    /// The M-step: weights from the masses, mean directions and concentrations from the resultants.
    pub(super) fn maximise(
        &mut self,
        statistics: &Statistics,
        iteration: usize,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        let (k, d) = statistics.resultants.dim();
        let n_directed = k - usize::from(self.params.noise_component());
        let lengths = statistics
            .resultants
            .map_axis(Axis(1), |r| r.dot(&r).sqrt());
        let pooled = {
            let directed = ndarray::s![..n_directed];
            let (length, mass) = (
                lengths.slice(directed).sum(),
                statistics.masses.slice(directed).sum(),
            );
            self.concentration(d, length, mass)
        };
        let point = statistics.total / self.observations.n_samples() as f64;
        let least = (EMPTY_MASS * point).max(self.params.min_weight() * statistics.total);
        let mut weights = &statistics.masses / statistics.total;
        let mut means = Array2::zeros((k, d));
        let mut concentrations = Array1::zeros(k);
        let mut dropped = Vec::new();
        for component in 0..n_directed {
            let (mass, length) = (statistics.masses[component], lengths[component]);
            let is_empty = mass <= least;
            if is_empty {
                match self.params.empty_component() {
                    EmptyComponent::Error => {
                        return Err(MixtureError::EmptyComponent {
                            component,
                            iteration,
                        });
                    }
                    EmptyComponent::Drop if dropped.len() + 1 < n_directed => {
                        self.warnings.push(Warning::Dropped {
                            component,
                            iteration,
                        });
                        dropped.push(component);
                        continue;
                    }
                    EmptyComponent::Drop | EmptyComponent::Reseed => {
                        self.warnings.push(Warning::Reseeded {
                            component,
                            iteration,
                        });
                        weights[component] = 1.0 / self.observations.n_samples() as f64;
                    }
                }
            }
            let direction = if is_empty || length == 0.0 {
                // Started afresh at a point. Points that cancel out (an antipodal pair) keep their weight: any
                // direction serves them.
                let row = self.rng.gen_range(0..self.observations.n_samples());
                self.observations.directions(&[row])?.row(0).to_owned()
            } else {
                &statistics.resultants.row(component) / length
            };
            means.row_mut(component).assign(&direction);
            concentrations[component] = match self.params.concentration() {
                Concentration::Fixed(kappa) => kappa,
                Concentration::Free if !is_empty => self.concentration(d, length, mass),
                Concentration::Free | Concentration::Tied => pooled,
            };
        }
        // The noise has no direction; the first axis stands for it.
        means.slice_mut(ndarray::s![n_directed.., 0]).fill(1.0);
        let kept: Vec<usize> = (0..k)
            .filter(|component| !dropped.contains(component))
            .collect();
        weights = weights.select(Axis(0), &kept);
        let total = weights.sum();
        Ok(VonMisesFisherMixture::new(
            weights / total,
            means.select(Axis(0), &kept),
            concentrations.select(Axis(0), &kept),
            statistics.squares.select(Axis(0), &kept),
        )
        .with_structure(self.params.concentration(), self.params.noise_component()))
    }

    /// The concentration of points of this mass with a resultant of this length.
    fn concentration(&self, d: usize, length: f64, mass: f64) -> f64 {
        let kappa = match self.params.prior() {
            Some(prior) => concentration::maximum_a_posteriori(d, length / mass, mass, prior),
            None => concentration::solve(d, length / mass),
        };
        kappa.min(self.params.max_concentration())
    }
}

fn noise_components(model: &VonMisesFisherMixture) -> usize {
    usize::from(model.noise_component().is_some())
}

/// Statistics with one more component, the last, that takes its share of every other.
pub(super) fn with_noise(mut statistics: Statistics) -> Statistics {
    let (k, d) = statistics.resultants.dim();
    let rest = 1.0 - STARTING_NOISE;
    let mut wider = Statistics::zeros(k + 1, d);
    let others = ndarray::s![..k];
    wider
        .masses
        .slice_mut(others)
        .assign(&(&statistics.masses * rest));
    wider
        .squares
        .slice_mut(others)
        .assign(&(&statistics.squares * (rest * rest)));
    statistics.resultants *= rest;
    wider
        .resultants
        .slice_mut(ndarray::s![..k, ..])
        .assign(&statistics.resultants);
    wider.masses[k] = STARTING_NOISE * statistics.total;
    wider.squares[k] = STARTING_NOISE * wider.masses[k];
    wider.total = statistics.total;
    wider.log_likelihood = statistics.log_likelihood;
    wider
}
