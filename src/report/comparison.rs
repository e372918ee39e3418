//! Several mixtures side by side.

use std::cmp::Ordering;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::summary::{Items, Summary};
use super::{ReportError, html, write};
use crate::mixture::metrics;

/// What sets mixtures apart: their measures, and where they agree on items.
///
/// # Example
/// ```no_run
/// use vmfmix::report::{Comparison, Summary};
///
/// # fn example(a: Summary, b: Summary) -> Result<(), Box<dyn std::error::Error>> {
/// let comparison = Comparison::new("Five groups or ten?", [("five", a), ("ten", b)])?;
/// comparison.write_html("comparison.html")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Title of the page.
    pub title: String,
    /// The mixtures, in the order given.
    pub models: Vec<Compared>,
    /// The first mixture against each of the others, where they are of the same items.
    pub agreements: Vec<Agreement>,
}

/// One of the mixtures.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// What it is called.
    pub name: String,
    /// What its own report says.
    pub summary: Summary,
}

/// How far two mixtures put the same items together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Places of the two among the mixtures.
    pub models: [usize; 2],
    /// Items looked at.
    pub n_items: usize,
    /// Normalised mutual information of the two assignments, from 0 to 1.
    pub nmi: f64,
    /// Adjusted Rand index of the two assignments; 1 is the same partition.
    pub ari: f64,
    /// Components of the second mixture, those beside each other that go into the same component of the first.
    pub columns: Vec<usize>,
    /// Share of the items of a component of the first mixture (row) that a component of the second (column) has.
    pub shares: Vec<Vec<f64>>,
}

impl Comparison {
    /// Compares mixtures by their summaries, each with a name.
    ///
    /// # Errors
    /// [`ReportError::Inconsistent`] for a summary that no report has.
    pub fn new<N: Into<String>>(
        title: impl Into<String>,
        models: impl IntoIterator<Item = (N, Summary)>,
    ) -> Result<Self, ReportError> {
        let models: Vec<Compared> = models
            .into_iter()
            .map(|(name, summary)| Compared {
                name: name.into(),
                summary,
            })
            .collect();
        for Compared { name, summary } in &models {
            if let Some(what) = summary.inconsistency() {
                let name = name.clone();
                return Err(ReportError::Inconsistent { name, what });
            }
        }
        let agreements = (1..models.len())
            .filter_map(|second| agreement(&models, [0, second]))
            .collect();
        Ok(Self {
            title: title.into(),
            models,
            agreements,
        })
    }

    /// The comparison as one self-contained page.
    ///
    /// # Errors
    /// The page cannot be rendered.
    pub fn to_html(&self) -> Result<String, ReportError> {
        html::comparison_page(self)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// The page cannot be rendered or written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), self.to_html()?.as_bytes())
    }

    /// Writes measures and agreements as JSON, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), self.to_json()?.as_bytes())
    }
}

/// `None` where the two are not of the same items.
fn agreement(models: &[Compared], pair: [usize; 2]) -> Option<Agreement> {
    let [first, second] = pair.map(|at| &models[at].summary);
    if first.n_items != second.n_items {
        return None;
    }
    let common = common(&first.items, &second.items);
    let same = |&(a, b): &(usize, usize)| first.items.names[a] == second.items.names[b];
    if common.is_empty() || !common.iter().all(same) {
        return None;
    }
    let (own, other): (Vec<usize>, Vec<usize>) = common
        .iter()
        .map(|&(a, b)| (first.items.components[a], second.items.components[b]))
        .unzip();
    let mut counts = vec![vec![0.0; second.n_components()]; first.n_components()];
    own.iter()
        .zip(&other)
        .for_each(|(&a, &b)| counts[a][b] += 1.0);
    let columns = aligned(&counts, second.n_components());
    let shares = counts.iter().map(|row| {
        let size = row.iter().sum::<f64>().max(1.0);
        columns.iter().map(|&column| row[column] / size).collect()
    });
    Some(Agreement {
        models: pair,
        n_items: common.len(),
        nmi: metrics::normalized_mutual_information(&own, &other),
        ari: metrics::adjusted_rand_index(&own, &other),
        shares: shares.collect(),
        columns,
    })
}

/// Places in both tables of the rows that both have.
fn common(first: &Items, second: &Items) -> Vec<(usize, usize)> {
    let (mut a, mut b, mut out) = (0, 0, Vec::new());
    while a < first.rows.len() && b < second.rows.len() {
        match first.rows[a].cmp(&second.rows[b]) {
            Ordering::Less => a += 1,
            Ordering::Greater => b += 1,
            Ordering::Equal => {
                out.push((a, b));
                (a, b) = (a + 1, b + 1);
            }
        }
    }
    out
}

/// The columns in the order of the rows that hold most of each.
fn aligned(counts: &[Vec<f64>], n_columns: usize) -> Vec<usize> {
    let best = |column: usize| {
        let rows = counts
            .iter()
            .enumerate()
            .map(|(row, counts)| (row, counts[column]));
        let most = rows.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        most.unwrap_or((0, 0.0))
    };
    let mut columns: Vec<usize> = (0..n_columns).collect();
    columns.sort_by(|&a, &b| {
        let (a, b) = (best(a), best(b));
        a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))
    });
    columns
}
