//! Components against labels known beforehand.

use std::collections::HashMap;

use super::{Analysed, share};
use crate::report::summary::{LabelShare, LabelTable};

/// Labels shown by name; the others are counted together.
const MOST_LABELS: usize = 30;
/// What stands for the labels beyond [`MOST_LABELS`].
const OTHER_LABELS: &str = "(all other labels)";

/// The labels of some rows, most frequent first.
pub(super) fn label_shares(analysed: &Analysed<'_>, rows: &[usize]) -> Vec<LabelShare> {
    let counts = most_frequent(rows.iter().filter_map(|&row| analysed.label(row)));
    let labelled: usize = counts.iter().map(|(_, count)| count).sum();
    let shared = |(label, count): (&str, usize)| LabelShare {
        label: label.to_owned(),
        count,
        share: count as f64 / labelled as f64,
    };
    counts.into_iter().map(shared).collect()
}

/// Items by label and component; `None` without labels.
pub(crate) fn label_table(analysed: &Analysed<'_>) -> Option<LabelTable> {
    let rows = 0..analysed.items.len();
    let frequent = most_frequent(rows.clone().filter_map(|row| analysed.label(row)));
    if frequent.is_empty() {
        return None;
    }
    let mut labels: Vec<String> = frequent
        .iter()
        .take(MOST_LABELS)
        .map(|&(label, _)| label.to_owned())
        .collect();
    if frequent.len() > MOST_LABELS {
        labels.push(OTHER_LABELS.to_owned());
    }
    let row_of: HashMap<&str, usize> = frequent
        .iter()
        .enumerate()
        .map(|(i, &(label, _))| (label, i.min(MOST_LABELS)))
        .collect();
    let k = analysed.model.n_components();
    let mut counts = vec![vec![0; k]; labels.len()];
    let mut totals = vec![0_usize; k];
    for row in rows {
        if let Some(label) = analysed.label(row) {
            let component = analysed.found.components[row];
            counts[row_of[label]][component] += 1;
            totals[component] += 1;
        }
    }
    let shares = counts.iter().map(|row: &Vec<usize>| {
        let columns = row.iter().zip(&totals);
        columns
            .map(|(&n, &total)| share(n as f64, total as f64))
            .collect()
    });
    Some(LabelTable {
        shares: shares.collect(),
        labels,
        counts,
    })
}

/// Labels with their counts, most frequent first, equal counts by name.
fn most_frequent<'l>(labels: impl Iterator<Item = &'l str>) -> Vec<(&'l str, usize)> {
    let mut counts = HashMap::new();
    labels.for_each(|label| *counts.entry(label).or_insert(0) += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_ordered_by_count_then_name() {
        let order = most_frequent(["b", "a", "c", "c"].into_iter());
        assert_eq!(order, [("c", 2), ("a", 1), ("b", 1)]);
    }
}
