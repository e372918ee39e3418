//! The one EM loop, over [`Observations`] wherever they are.

use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::kernel::Assignment;
use super::model::{Convergence, VonMisesFisherMixture};
use super::spherical_kmeans::spherical_kmeans;
use super::{MixtureError, Observations, Statistics, VonMisesFisherMixtureValidParams, Warning};
use crate::vmf::{concentration, ln_sphere_area};

/// A component that holds less than this many points is empty.
const EMPTY_MASS: f64 = 1e-6;

impl<R: Rng + Clone> VonMisesFisherMixtureValidParams<R> {
    /// Fits a mixture to observations that are not a linfa dataset: on disk, on a device, on a cluster.
    ///
    /// # Errors
    /// There are fewer points than components, or the observations cannot be swept.
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
        let mut seeds = self.rng().clone();
        let mut best: Option<VonMisesFisherMixture> = None;
        for run in 1..=self.n_runs() {
            let model = Run {
                params: self,
                observations,
                rng: Xoshiro256Plus::seed_from_u64(seeds.r#gen()),
            }
            .fit(run)?;
            if best
                .as_ref()
                .is_none_or(|best| model.log_likelihood() > best.log_likelihood())
            {
                best = Some(model);
            }
        }
        Ok(best.expect("at least one run was checked for"))
    }
}

/// One start and its EM steps.
struct Run<'a, R> {
    params: &'a VonMisesFisherMixtureValidParams<R>,
    observations: &'a dyn Observations,
    rng: Xoshiro256Plus,
}

impl<R> Run<'_, R> {
    fn fit(mut self, run: usize) -> Result<VonMisesFisherMixture, MixtureError> {
        let params = self.params;
        let stage = match params.n_runs() {
            1 => "fitting".to_owned(),
            n => format!("fitting, run {run} of {n}"),
        };
        let mut convergence = Convergence::default();
        let start = spherical_kmeans(self.observations, params.n_components(), &mut self.rng)?;
        let mut model = self.maximise(&start, 0, &mut convergence.warnings)?;
        let mut statistics = self.observations.sweep(&model.scorer(), Assignment::Soft)?;
        let mut change = f64::INFINITY;
        while convergence.n_iterations < params.max_n_iterations() && !convergence.converged {
            convergence.n_iterations += 1;
            model = self.maximise(
                &statistics,
                convergence.n_iterations,
                &mut convergence.warnings,
            )?;
            let before = statistics.log_likelihood / statistics.total;
            statistics = self.observations.sweep(&model.scorer(), Assignment::Soft)?;
            let after = statistics.log_likelihood / statistics.total;
            change = after - before;
            convergence.converged = change.abs() < params.tolerance();
            convergence
                .log_likelihoods
                .push(after - ln_sphere_area(self.observations.dimension()));
            params
                .progress()
                .update(&stage, convergence.n_iterations, params.max_n_iterations());
        }
        if !convergence.converged {
            let n_iterations = convergence.n_iterations;
            convergence.warnings.push(Warning::NotConverged {
                n_iterations,
                last_change: change,
            });
        }
        let cap = params.max_concentration();
        for (component, _) in model
            .concentrations()
            .iter()
            .enumerate()
            .filter(|(_, kappa)| **kappa >= cap)
        {
            convergence
                .warnings
                .push(Warning::ConcentrationCapped { component, cap });
        }
        Ok(model.with_convergence(convergence))
    }

    /// The M-step: weights from the masses, mean directions and concentrations from the resultants.
    fn maximise(
        &mut self,
        statistics: &Statistics,
        iteration: usize,
        warnings: &mut Vec<Warning>,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        let (k, d) = statistics.resultants.dim();
        let cap = self.params.max_concentration();
        let lengths = statistics
            .resultants
            .map_axis(ndarray::Axis(1), |r| r.dot(&r).sqrt());
        let pooled = concentration::solve(d, lengths.sum() / statistics.total).min(cap);
        let mut weights = &statistics.masses / statistics.total;
        let mut means = Array2::zeros((k, d));
        let mut concentrations = Array1::zeros(k);
        for component in 0..k {
            let (mass, length) = (statistics.masses[component], lengths[component]);
            if mass > EMPTY_MASS && length > 0.0 {
                means
                    .row_mut(component)
                    .assign(&(&statistics.resultants.row(component) / length));
                concentrations[component] = concentration::solve(d, length / mass).min(cap);
                continue;
            }
            let row = self.rng.gen_range(0..self.observations.n_samples());
            means
                .row_mut(component)
                .assign(&self.observations.directions(&[row])?.row(0));
            if mass <= EMPTY_MASS {
                // Started afresh at a point, as wide as the others are on average. Points that cancel out
                // (an antipodal pair) instead keep their weight and stay uniform: any direction serves.
                concentrations[component] = pooled;
                weights[component] = 1.0 / statistics.total;
                warnings.push(Warning::Reseeded {
                    component,
                    iteration,
                });
            }
        }
        let total = weights.sum();
        Ok(VonMisesFisherMixture::new(
            weights / total,
            means,
            concentrations,
            statistics.squares.clone(),
        ))
    }
}
