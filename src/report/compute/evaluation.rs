//! How well the model fits.

use std::collections::HashMap;

use super::Analysed;
use crate::frame::ModalityGap;
use crate::mixture::metrics;
use crate::report::ReportError;
use crate::report::item::Modality;
use crate::report::population::Population;
use crate::report::summary::Evaluation;
use crate::vmf::ln_sphere_area;

/// Which rows the model was fitted to.
pub(crate) enum Split {
    AllFitted,
    AllHeldOut,
    /// Rows fitted, rows held out.
    Rows(Vec<usize>, Vec<usize>),
    /// All rows are drawn from more.
    Sample(Population),
}

pub(crate) fn evaluation(
    analysed: &Analysed<'_>,
    split: &Split,
) -> Result<Evaluation, ReportError> {
    let model = analysed.model;
    let population = population(analysed, split)?;
    let rows = analysed.n_rows();
    let train = population.train_log_likelihood;
    let gap = |test| train.map(|train| train - test);
    let n_train = population.n_train as f64;
    let criterion = |penalty: f64| train.map(|train| penalty - 2.0 * n_train * train);
    let n_parameters = model.n_parameters();
    let (rows_known, known) = labelled(analysed);
    let components = &analysed.found.components;
    let assigned: Vec<usize> = rows_known.iter().map(|&row| components[row]).collect();
    let compare = |metric: fn(&[usize], &[usize]) -> f64| {
        (!known.is_empty()).then(|| metric(&known, &assigned))
    };
    Ok(Evaluation {
        train_log_likelihood: train,
        test_log_likelihood: population.test_log_likelihood,
        generalisation_gap: population.test_log_likelihood.and_then(gap),
        single_log_likelihood: population.single_log_likelihood,
        uniform_log_likelihood: -ln_sphere_area(model.dimension()),
        n_parameters,
        bic: criterion(n_parameters as f64 * n_train.ln()),
        aic: criterion(2.0 * n_parameters as f64),
        silhouette: metrics::cosine_silhouette(
            analysed.embeddings,
            &analysed.found.components.to_vec(),
        )?,
        n_train: population.n_train,
        n_test: population.n_test,
        n_sampled: (rows < population.n_train + population.n_test).then_some(rows),
        nmi: compare(metrics::normalized_mutual_information),
        ari: compare(metrics::adjusted_rand_index),
    })
}

/// The rows that have a label, and numbers for their labels.
pub(super) fn labelled(analysed: &Analysed<'_>) -> (Vec<usize>, Vec<usize>) {
    let mut numbers = HashMap::new();
    let labelled = (0..analysed.items.len()).filter_map(|row| {
        let label = analysed.label(row)?;
        let next = numbers.len();
        let number = *numbers.entry(label).or_insert(next);
        Some((row, number))
    });
    labelled.unzip()
}

fn population(analysed: &Analysed<'_>, split: &Split) -> Result<Population, ReportError> {
    let all: Vec<usize> = (0..analysed.n_rows()).collect();
    let (train, test): (&[usize], &[usize]) = match split {
        Split::AllFitted => (&all, &[]),
        Split::AllHeldOut => (&[], &all),
        Split::Rows(train, test) => (train, test),
        Split::Sample(population) => return Ok(*population),
    };
    let mean = |rows: &[usize]| {
        let densities = rows.iter().map(|&row| analysed.found.log_likelihoods[row]);
        (!rows.is_empty()).then(|| densities.sum::<f64>() / rows.len() as f64)
    };
    let judged = if test.is_empty() { train } else { test };
    let single = analysed
        .model
        .collapse()
        .score_samples(analysed.embeddings)?;
    Ok(Population {
        n_train: train.len(),
        n_test: test.len(),
        train_log_likelihood: mean(train),
        test_log_likelihood: mean(test),
        single_log_likelihood: judged.iter().map(|&row| single[row]).sum::<f64>()
            / judged.len() as f64,
    })
}

pub(crate) fn modality_gap(analysed: &Analysed<'_>) -> Option<ModalityGap> {
    let [texts, images] = [Modality::Text, Modality::Image].map(|modality| {
        let items = analysed.items.iter().enumerate();
        let rows = items.filter(|(_, item)| item.modality == modality);
        rows.map(|(row, _)| row).collect::<Vec<_>>()
    });
    ModalityGap::new(
        analysed.embeddings,
        [("texts", &texts), ("images", &images)],
    )
}
