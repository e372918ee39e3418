//! Online EM: a model that follows one mini-batch after the other.
//!
//! # References
//! - Cappe & Moulines (2009), On-line expectation-maximization algorithm for latent data models, J. R. Stat. Soc. B 71:
//!   statistics per point are averaged with steps `gamma_t = (t + 1)^-0.6`.

use ndarray::{Axis, Zip};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::fit::Run;
use super::{
    MixtureError, Observations, Scorer, Statistics, VonMisesFisherMixture,
    VonMisesFisherMixtureValidParams,
};
use crate::vmf::{concentration, ln_sphere_area};

/// How fast steps shrink: above 1/2 so that the averages settle, below 1 so that a bad start is forgotten.
const FORGETTING: f64 = 0.6;

impl<R: Rng + Clone + Sync> VonMisesFisherMixtureValidParams<R> {
    /// Goes on from a model with one more mini-batch, or fits the first one.
    pub(super) fn step(
        &self,
        model: Option<VonMisesFisherMixture>,
        batch: &dyn Observations,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        let Some(model) = model else {
            return self.fit_observations(batch);
        };
        let mut convergence = model.convergence().clone();
        convergence.n_batches += 1;
        let seed = self
            .rng()
            .clone()
            .r#gen::<u64>()
            .wrapping_add(convergence.n_batches as u64);
        let mut run = Run::new(self, batch, Xoshiro256Plus::seed_from_u64(seed));
        let model = run.continuing(model)?;
        let scorer = Scorer {
            seed,
            ..model.scorer()
        };
        let seen = batch.sweep(&scorer, self.assignment())?;
        let mean = seen.log_likelihood / seen.total;
        convergence
            .log_likelihoods
            .push(mean - ln_sphere_area(batch.dimension()));
        let gamma = (convergence.n_batches as f64 + 1.0).powf(-FORGETTING);
        let mut statistics = expected(&model);
        let (old, new) = ((1.0 - gamma) * seen.total, gamma);
        statistics.total = seen.total;
        statistics.masses = statistics.masses * old + seen.masses * new;
        statistics.resultants = statistics.resultants * old + seen.resultants * new;
        statistics.squares = model.effective_sizes() + &seen.squares;
        let model = run.maximise(&statistics, convergence.n_batches)?;
        convergence.warnings.append(&mut run.warnings);
        Ok(model.with_convergence(convergence))
    }
}

/// The statistics per point that a model expects: `w_k` and `w_k A(kappa_k) mu_k`.
fn expected(model: &VonMisesFisherMixture) -> Statistics {
    let (k, d) = model.mean_directions().dim();
    let mut statistics = Statistics::zeros(k, d);
    statistics.masses.assign(model.weights());
    let lengths = Zip::from(model.weights())
        .and(model.concentrations())
        .map_collect(|w, &kappa| w * concentration::mean_resultant_length(d, kappa));
    statistics.resultants = model.mean_directions() * &lengths.insert_axis(Axis(1));
    statistics
}
