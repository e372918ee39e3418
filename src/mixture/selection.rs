//! How many components: mixtures of several sizes side by side, cross-validation, stability.

use std::time::Instant;

use linfa::{Float, ParamGuard};
use ndarray::{Array1, ArrayView2, Axis};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fit::Run;
use super::metrics::{adjusted_rand_index, cosine_silhouette};
use super::{InMemory, MixtureError, VonMisesFisherMixture, VonMisesFisherMixtureParams};

/// Points on which the silhouette is computed exactly; of more, as many are taken at even steps.
pub const SILHOUETTE_ROWS: usize = 20_000;

/// By what a number of components is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Bayesian information criterion.
    #[default]
    Bic,
    /// Akaike information criterion.
    Aic,
    /// Integrated completed likelihood.
    Icl,
    /// Log-likelihood of points held out; needs such points.
    HeldOut,
    /// Cosine silhouette.
    Silhouette,
}

/// One number of components and how it did; log-likelihoods in nats per point against the surface measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Components asked for.
    pub n_components: usize,
    /// Log-likelihood of the points fitted.
    pub log_likelihood: f64,
    /// Log-likelihood of the points held out, where there are any.
    pub held_out_log_likelihood: Option<f64>,
    /// Free parameters.
    pub n_parameters: usize,
    /// Bayesian information criterion, lower is better.
    pub bic: f64,
    /// Akaike information criterion, lower is better.
    pub aic: f64,
    /// Integrated completed likelihood, lower is better.
    pub icl: f64,
    /// Cosine silhouette of at most [`SILHOUETTE_ROWS`] points, where there are two clusters.
    pub silhouette: Option<f64>,
    /// Whether the fit converged.
    pub converged: bool,
    /// EM steps of the kept run.
    pub n_iterations: usize,
    /// Time of all runs.
    pub seconds: f64,
}

impl Candidate {
    /// The value of a criterion, of which more is better.
    fn merit(&self, criterion: Criterion) -> f64 {
        match criterion {
            Criterion::Bic => -self.bic,
            Criterion::Aic => -self.aic,
            Criterion::Icl => -self.icl,
            Criterion::HeldOut => self.held_out_log_likelihood.unwrap_or(f64::NEG_INFINITY),
            Criterion::Silhouette => self.silhouette.unwrap_or(f64::NEG_INFINITY),
        }
    }
}

/// Mixtures of several sizes, and the chosen one.
#[derive(Clone, Debug)]
pub struct Selection {
    /// In the order asked for.
    pub candidates: Vec<Candidate>,
    /// By what the model was chosen.
    pub criterion: Criterion,
    /// The chosen model.
    pub model: VonMisesFisherMixture,
}

impl<R: Rng + Clone + Sync> VonMisesFisherMixtureParams<R> {
    /// Fits a mixture for each number of components and keeps the best by the criterion.
    ///
    /// ```
    /// use ndarray::array;
    /// use vmfmix::mixture::{Criterion, VonMisesFisherMixture};
    /// let x = array![[1.0, 0.1], [1.0, -0.1], [1.0, 0.0], [-1.0, 0.1], [-1.0, -0.2], [-1.0, 0.0]];
    /// let selection = VonMisesFisherMixture::params(1).select(1..=2, x.view(), None, Criterion::Bic)?;
    /// assert_eq!(selection.model.n_components(), 2);
    /// # Ok::<(), vmfmix::mixture::MixtureError>(())
    /// ```
    ///
    /// # Errors
    /// No number is given, a setting is out of range, a fit fails, or points are to be held out and none are given.
    pub fn select<F: Float>(
        &self,
        n_components: impl IntoIterator<Item = usize>,
        rows: ArrayView2<'_, F>,
        held_out: Option<ArrayView2<'_, F>>,
        criterion: Criterion,
    ) -> Result<Selection, MixtureError> {
        if criterion == Criterion::HeldOut && held_out.is_none_or(|rows| rows.is_empty()) {
            return Err(MixtureError::NothingHeldOut);
        }
        let sizes: Vec<usize> = n_components.into_iter().collect();
        let step = rows.nrows().div_ceil(SILHOUETTE_ROWS).max(1);
        let sample = rows.slice(ndarray::s![..;step, ..]);
        let mut candidates: Vec<Candidate> = Vec::with_capacity(sizes.len());
        let mut best: Option<(f64, VonMisesFisherMixture)> = None;
        let &first = sizes.first().ok_or(MixtureError::NoComponents)?;
        let params = self.clone().n_components(first).check()?;
        let observations = params.place(InMemory::new(rows, None)?)?;
        for &n_components in &sizes {
            let start = Instant::now();
            let params = self.clone().n_components(n_components).check()?;
            let model = params.fit_observations(&*observations)?;
            let seconds = start.elapsed().as_secs_f64();
            let log_likelihood = model.score(rows)?;
            let (bic, aic) = model.criteria(rows.nrows(), log_likelihood);
            let candidate = Candidate {
                n_components,
                log_likelihood,
                held_out_log_likelihood: held_out.map(|rows| model.score(rows)).transpose()?,
                n_parameters: model.n_parameters(),
                bic,
                aic,
                icl: bic + 2.0 * model.entropies(rows)?.sum(),
                silhouette: cosine_silhouette(sample, &model.assign(sample)?.to_vec())?,
                converged: model.convergence().converged,
                n_iterations: model.convergence().n_iterations,
                seconds,
            };
            let merit = candidate.merit(criterion);
            if best.as_ref().is_none_or(|(most, _)| merit > *most) {
                best = Some((merit, model));
            }
            candidates.push(candidate);
            params
                .progress()
                .update("numbers of components", candidates.len(), sizes.len());
        }
        let (_, model) = best.expect("at least one number of components");
        Ok(Selection {
            candidates,
            criterion,
            model,
        })
    }

    /// Log-likelihood per point of each of `n_folds` parts of the rows, under a model fitted to the others, in nats against
    /// the surface measure. The parts are drawn by the generator of the settings.
    ///
    /// # Errors
    /// There are fewer than two folds or more than rows, a setting is out of range, or a fit fails.
    pub fn cross_validate<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
        n_folds: usize,
    ) -> Result<Array1<f64>, MixtureError> {
        let n = rows.nrows();
        if n_folds < 2 || n_folds > n {
            return Err(MixtureError::Folds {
                n_folds,
                n_samples: n,
            });
        }
        let params = self.clone().check()?;
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut params.rng().clone());
        let score = |fold: usize| {
            let (own, others): (Vec<_>, Vec<_>) = (0..n).partition(|i| i % n_folds == fold);
            let pick = |places: Vec<usize>| -> Vec<usize> {
                places.into_iter().map(|i| order[i]).collect()
            };
            let (test, train) = (
                rows.select(Axis(0), &pick(own)),
                rows.select(Axis(0), &pick(others)),
            );
            let observations = params.place(InMemory::new(train.view(), None)?)?;
            params.fit_observations(&*observations)?.score(test.view())
        };
        (0..n_folds).map(score).collect()
    }

    /// How alike the assignments of single runs from `n_seeds` seeds are: the mean adjusted Rand index of all pairs, 1 where every
    /// seed finds the same groups.
    ///
    /// # Errors
    /// There are fewer than two seeds, a setting is out of range, or a fit fails.
    pub fn stability<F: Float>(
        &self,
        rows: ArrayView2<'_, F>,
        n_seeds: usize,
    ) -> Result<f64, MixtureError> {
        if n_seeds < 2 {
            return Err(MixtureError::Seeds { n_seeds });
        }
        let params = self.clone().check()?;
        let observations = params.place(InMemory::new(rows, None)?)?;
        let mut seeds = params.rng().clone();
        let labels = (0..n_seeds)
            .map(|_| {
                let rng = Xoshiro256Plus::seed_from_u64(seeds.r#gen());
                let model = Run::new(&params, &*observations, rng).fit(1)?;
                Ok(model.assign(rows)?.to_vec())
            })
            .collect::<Result<Vec<_>, MixtureError>>()?;
        let pairs = (0..n_seeds).flat_map(|i| (0..i).map(move |j| (i, j)));
        let indices = pairs.map(|(i, j)| adjusted_rand_index(&labels[i], &labels[j]));
        Ok(indices.sum::<f64>() / (n_seeds * (n_seeds - 1) / 2) as f64)
    }
}
