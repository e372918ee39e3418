//! Which items are shown, and what the table says of them.

use rand::Rng;
use rand::seq::index::sample;

use super::{Analysed, LONGEST_NAME, rounded};
use crate::report::summary::Items;
use crate::report::text;

/// Rows that a component has at least in a sample, if it has so many.
const LEAST_OF_COMPONENT: usize = 25;
/// Bytes of all names in the table together, so that a page stays small.
const NAME_BYTES: usize = 6_000_000;

/// `wanted` of the rows, or all where there are fewer, ascending: of each component a random sample in proportion to its size,
/// and at least [`LEAST_OF_COMPONENT`].
pub(crate) fn stratified(members: &[Vec<usize>], wanted: usize, rng: &mut impl Rng) -> Vec<usize> {
    let n: usize = members.iter().map(Vec::len).sum();
    if n <= wanted {
        let mut all: Vec<usize> = members.concat();
        all.sort_unstable();
        return all;
    }
    let share = wanted as f64 / n as f64;
    let least = LEAST_OF_COMPONENT.min(wanted / members.len().max(1));
    let mut rows = Vec::with_capacity(wanted);
    for members in members {
        let of_it = (share * members.len() as f64).ceil() as usize;
        let of_it = of_it.max(least).min(members.len());
        rows.extend(
            sample(rng, members.len(), of_it)
                .iter()
                .map(|at| members[at]),
        );
    }
    // What components were given beyond their share is taken from all.
    if rows.len() > wanted {
        let kept = sample(rng, rows.len(), wanted);
        rows = kept.iter().map(|at| rows[at]).collect();
    }
    rows.sort_unstable();
    rows
}

/// The table of these rows.
pub(crate) fn items(analysed: &Analysed<'_>, rows: Vec<usize>) -> Items {
    let found = &analysed.found;
    let of = |value: &dyn Fn(usize) -> f64, decimals| -> Vec<f64> {
        let values = rows.iter().map(|&row| rounded(value(row), decimals));
        values.collect()
    };
    let labelled = analysed.items.iter().any(|item| item.label.is_some());
    let labels = rows.iter().filter(|_| labelled);
    Items {
        names: names(analysed, &rows),
        labels: labels
            .map(|&row| analysed.label(row).map(str::to_owned))
            .collect(),
        components: rows.iter().map(|&row| found.components[row]).collect(),
        responsibilities: of(&|row| found.probabilities[row], 4),
        entropies: of(&|row| found.entropies[row], 4),
        log_likelihoods: of(&|row| found.log_likelihoods[row], 3),
        outlier_scores: of(&|row| found.outlier_scores[row], 4),
        thumbnails: vec![None; rows.len()],
        rows,
    }
}

/// Names of at most [`LONGEST_NAME`] characters, or of fewer where all are to fit into [`NAME_BYTES`].
fn names(analysed: &Analysed<'_>, rows: &[usize]) -> Vec<String> {
    let names: Vec<String> = rows.iter().map(|&row| analysed.name(row)).collect();
    let bytes = |longest: usize| {
        names
            .iter()
            .map(|name| name.len().min(longest))
            .sum::<usize>()
    };
    let (mut fits, mut longest) = (1, LONGEST_NAME);
    if bytes(longest) <= NAME_BYTES {
        return names;
    }
    while longest - fits > 1 {
        let middle = (fits + longest) / 2;
        match bytes(middle) <= NAME_BYTES {
            true => fits = middle,
            false => longest = middle,
        }
    }
    names
        .iter()
        .map(|name| text::shortened(name, fits))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256Plus;

    use super::*;

    #[test]
    fn a_sample_keeps_shares_and_leaves_no_small_component_out() {
        let members: Vec<Vec<usize>> = vec![
            (0..90_000).collect(),
            (90_000..99_990).collect(),
            (99_990..100_000).collect(),
        ];
        let rows = stratified(&members, 1_000, &mut Xoshiro256Plus::seed_from_u64(1));
        assert!(rows.is_sorted() && rows.len() == 1_000);
        let of = |from, to| rows.iter().filter(|row| (from..to).contains(*row)).count();
        assert!((880..=900).contains(&of(0, 90_000)));
        assert!((90..=100).contains(&of(90_000, 99_990)));
        assert!((8..=10).contains(&of(99_990, 100_000)));
        assert_eq!(
            stratified(&members, 200_000, &mut Xoshiro256Plus::seed_from_u64(1)).len(),
            100_000
        );
    }
}
