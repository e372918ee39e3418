//! What stands out: items that fit nowhere, and items that are there twice.

use std::cmp::Ordering;

use ndarray::Axis;

use super::Analysed;
use crate::encoder::to_unit_rows;
use crate::frame::nearest_earlier;
use crate::report::summary::{Duplicate, Duplicates, Outlier};

/// Outliers and pairs that are shown.
const MOST: usize = 24;

/// The rows that fit their component worst.
pub(crate) fn outliers(analysed: &Analysed<'_>) -> Vec<Outlier> {
    let found = &analysed.found;
    let mut rows: Vec<usize> = (0..analysed.n_rows()).collect();
    let worse = |&a: &usize, &b: &usize| -> Ordering {
        let scores = found.outlier_scores[b].total_cmp(&found.outlier_scores[a]);
        // Far out many scores round to 1.
        scores.then(found.log_likelihoods[a].total_cmp(&found.log_likelihoods[b]))
    };
    if rows.len() > MOST {
        rows.select_nth_unstable_by(MOST, worse);
        rows.truncate(MOST);
    }
    rows.sort_by(worse);
    let outlier = |row: usize| Outlier {
        item: analysed.shown(row),
        component: found.components[row],
        outlier_score: found.outlier_scores[row],
        log_likelihood: found.log_likelihoods[row],
    };
    rows.into_iter().map(outlier).collect()
}

/// Pairs of rows, among those at even steps, of at least this cosine.
pub(crate) fn duplicates(analysed: &Analysed<'_>, threshold: f64) -> Duplicates {
    let rows = analysed.even_sample();
    let mut units = analysed.embeddings.select(Axis(0), &rows);
    to_unit_rows(&mut units);
    let mut pairs: Vec<(usize, usize, f32)> = nearest_earlier(units.view())
        .into_iter()
        .enumerate()
        .map(|(at, (earlier, cosine))| (rows[earlier], rows[at], cosine.min(1.0)))
        .filter(|&(.., cosine)| f64::from(cosine) >= threshold)
        .collect();
    let n_duplicates = pairs.len();
    pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
    pairs.truncate(MOST);
    let pair = |(earlier, later, cosine): (usize, usize, f32)| Duplicate {
        items: [earlier, later].map(|row| analysed.shown(row)),
        cosine: f64::from(cosine),
    };
    Duplicates {
        threshold,
        n_compared: rows.len(),
        n_duplicates,
        pairs: pairs.into_iter().map(pair).collect(),
    }
}
