//! What a component is and holds.

use std::collections::HashSet;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::labels::label_shares;
use super::terms::distinctive_terms;
use super::{Analysed, check_rows, share, unit_rows};
use crate::encoder::ZeroShotLabels;
use crate::report::ReportError;
use crate::report::summary::{Ambiguous, Component, Exemplar, NearestCaption};
use crate::vmf::concentration::{bias_corrected, confidence_interval};

/// Captions that describe a component.
const CAPTIONS: usize = 3;
/// Ambiguous items of a component.
const AMBIGUOUS: usize = 4;
/// From this responsibility on an item is not ambiguous.
const CERTAIN: f64 = 0.9;
/// Probability with which the interval holds the concentration.
const LEVEL: f64 = 0.95;

/// By what components are described, beside their own numbers.
pub(crate) struct Descriptions<'a> {
    /// Texts, and their embeddings.
    pub captions: Option<(Vec<String>, ArrayView2<'a, f32>)>,
    /// Labels, of which the captions are the names.
    pub zero_shot: Option<&'a ZeroShotLabels>,
    /// Exemplars of each component.
    pub n_exemplars: usize,
}

pub(crate) fn components(
    analysed: &Analysed<'_>,
    descriptions: &Descriptions<'_>,
    directions: &[[f64; 3]],
) -> Result<Vec<Component>, ReportError> {
    let model = analysed.model;
    let captions = nearest_captions(model.mean_directions(), descriptions)?;
    let terms = distinctive_terms(analysed);
    let maximum = (model.n_components() as f64).ln();
    let component = |(k, (captions, terms)): (usize, (_, _))| {
        let members = &analysed.members[k];
        let entropies = members.iter().map(|&row| analysed.found.entropies[row]);
        let mean_entropy = entropies.sum::<f64>() / members.len() as f64;
        let distribution = model.component(k);
        let radial = distribution.radial();
        let (corrected, interval) = estimate(analysed, k).unzip();
        Ok(Component {
            index: k,
            weight: model.weights()[k],
            size: members.len(),
            expected_size: analysed.masses[k],
            concentration: model.concentrations()[k],
            bias_corrected_concentration: corrected,
            concentration_interval: interval,
            mean_resultant_length: distribution.mean_resultant_length(),
            angle_50: radial.angle(0.5).to_degrees(),
            angle_90: radial.angle(0.9).to_degrees(),
            entropy: distribution.entropy(),
            mean_membership_entropy: (!members.is_empty()).then(|| share(mean_entropy, maximum)),
            captions,
            terms,
            exemplars: exemplars(analysed, members, descriptions.n_exemplars),
            ambiguous: ambiguous(analysed, k)?,
            labels: label_shares(analysed, members),
            direction: directions[k],
        })
    };
    captions
        .into_iter()
        .zip(terms)
        .enumerate()
        .map(component)
        .collect()
}

/// The concentration without bias and its interval, if it rests on a known number of points.
fn estimate(analysed: &Analysed<'_>, k: usize) -> Option<(f64, [f64; 2])> {
    let (model, d) = (analysed.model, analysed.model.dimension());
    let n = model.effective_sizes()[k];
    if model.noise_component() == Some(k) || n <= 1.0 {
        return None;
    }
    let r = model.component(k).mean_resultant_length();
    let (low, high) = confidence_interval(d, r, n, LEVEL);
    let found = (bias_corrected(d, r, n), [low, high]);
    (found.0.is_finite() && high.is_finite()).then_some(found)
}

/// The items of highest density, each name once: within a component density grows with the cosine to its mean.
fn exemplars(analysed: &Analysed<'_>, members: &[usize], n: usize) -> Vec<Exemplar> {
    let mut members = members.to_vec();
    members.sort_by(|&a, &b| analysed.cosines[b].total_cmp(&analysed.cosines[a]));
    let mut seen = HashSet::new();
    let exemplar = |row: usize| Exemplar {
        item: analysed.shown(row),
        cosine: analysed.cosines[row],
        responsibility: analysed.found.probabilities[row],
    };
    let distinct = members
        .into_iter()
        .filter(|&row| seen.insert(analysed.name(row)));
    distinct.take(n).map(exemplar).collect()
}

/// The items of a component that are the least sure to belong to it.
fn ambiguous(analysed: &Analysed<'_>, k: usize) -> Result<Vec<Ambiguous>, ReportError> {
    let probabilities = &analysed.found.probabilities;
    let members = analysed.members[k].iter().copied();
    let mut rows: Vec<usize> = members
        .filter(|&row| probabilities[row] < CERTAIN)
        .collect();
    rows.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    rows.truncate(AMBIGUOUS);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let embeddings = analysed.embeddings.select(Axis(0), &rows);
    let responsibilities = analysed.model.predict_proba(embeddings.view())?;
    let item = |(&row, shares): (&usize, ArrayView1<'_, f64>)| {
        let others = shares.iter().enumerate().filter(|&(other, _)| other != k);
        let (runner_up, &runner_up_responsibility) = others
            .max_by(|a, b| a.1.total_cmp(b.1))
            .expect("with one component every item is certain");
        Ambiguous {
            item: analysed.shown(row),
            responsibility: probabilities[row],
            runner_up,
            runner_up_responsibility,
        }
    };
    Ok(rows.iter().zip(responsibilities.rows()).map(item).collect())
}

fn nearest_captions(
    means: &Array2<f64>,
    descriptions: &Descriptions<'_>,
) -> Result<Vec<Vec<NearestCaption>>, ReportError> {
    let Some((texts, embeddings)) = &descriptions.captions else {
        return Ok(vec![Vec::new(); means.nrows()]);
    };
    check_rows(*embeddings)?;
    let cosines = unit_rows(*embeddings).dot(&means.t());
    let probabilities = descriptions
        .zero_shot
        .map(|labels| labels.probabilities(means.view()));
    let nearest = |(k, column): (usize, ArrayView1<'_, f64>)| {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by(|&a, &b| column[b].total_cmp(&column[a]));
        let mut seen = HashSet::new();
        let fresh = order.into_iter().filter(|&i| seen.insert(&texts[i]));
        let caption = |i: usize| NearestCaption {
            text: texts[i].clone(),
            cosine: column[i],
            probability: probabilities.as_ref().map(|of| of[[k, i]]),
        };
        fresh.take(CAPTIONS).map(caption).collect()
    };
    Ok(cosines
        .columns()
        .into_iter()
        .enumerate()
        .map(nearest)
        .collect())
}
