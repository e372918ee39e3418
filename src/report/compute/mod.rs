//! From a model and its rows to the numbers of a report, one file for each part of it.

mod components;
mod evaluation;
mod items;
mod labels;
mod maps;
mod memberships;
mod neighbourhoods;
mod odd;
mod projection;
mod similarity;
mod terms;
mod thumbnails;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::item::Item;
use super::summary::ShownItem;
use super::{ReportError, text};
use crate::mixture::{InMemory, Memberships, VonMisesFisherMixture};

pub(super) use components::{Descriptions, components};
pub(super) use evaluation::{Split, evaluation, modality_gap};
pub(super) use items::{items, stratified};
pub(super) use labels::label_table;
pub(super) use maps::{Limits, directions, maps};
pub(super) use memberships::memberships;
pub(super) use odd::{duplicates, outliers};
pub(super) use similarity::similarity;
pub(super) use thumbnails::add_thumbnails;

/// Rows whose responsibilities are held at once.
const BLOCK_ROWS: usize = 8192;
/// Most components of which every pair is compared.
const MOST_COMPARED: usize = 256;
/// Rows of a random or even sample on which what is slow is computed.
const SAMPLE_ROWS: usize = 20_000;
/// Characters of a name that is shown by itself.
const LONGEST_NAME: usize = 1_000;

/// A model, rows, and what the model says of each.
pub(super) struct Analysed<'a> {
    pub model: &'a VonMisesFisherMixture,
    pub embeddings: ArrayView2<'a, f32>,
    /// What is behind each row; empty where that is not known.
    pub items: &'a [Item],
    pub found: Memberships,
    /// Cosine to the mean direction of the likeliest component, per row.
    pub cosines: Vec<f64>,
    /// Sum of the responsibilities, per component.
    pub masses: Array1<f64>,
    /// The heaviest components, ascending.
    pub compared: Vec<usize>,
    /// Sums of the responsibilities of the compared components (columns) for the rows of each of them.
    pub shared: Array2<f64>,
    /// Rows of each component, ascending.
    pub members: Vec<Vec<usize>>,
}

impl<'a> Analysed<'a> {
    pub fn new(
        model: &'a VonMisesFisherMixture,
        embeddings: ArrayView2<'a, f32>,
        items: &'a [Item],
    ) -> Result<Self, ReportError> {
        let k = model.n_components();
        let found = model.memberships(embeddings)?;
        let members = by_component(found.components.iter().copied(), k);
        let mut compared: Vec<usize> = (0..k).collect();
        compared.sort_by(|&a, &b| model.weights()[b].total_cmp(&model.weights()[a]));
        compared.truncate(MOST_COMPARED);
        compared.sort_unstable();
        let shared = Array2::zeros((compared.len(), compared.len()));
        let mut out = Self {
            model,
            embeddings,
            items,
            found,
            cosines: Vec::with_capacity(embeddings.nrows()),
            masses: Array1::zeros(k),
            compared,
            shared,
            members,
        };
        out.sweep()?;
        Ok(out)
    }

    /// What needs all responsibilities of a row.
    fn sweep(&mut self) -> Result<(), ReportError> {
        let n = self.embeddings.nrows();
        let means = self.model.mean_directions();
        for start in (0..n).step_by(BLOCK_ROWS) {
            let block = self
                .embeddings
                .slice(s![start..n.min(start + BLOCK_ROWS), ..]);
            let responsibilities = self.model.predict_proba(block)?;
            self.masses += &responsibilities.sum_axis(Axis(0));
            let units = unit_rows(block);
            let rows = responsibilities.rows().into_iter().zip(units.rows());
            for (row, (shares, unit)) in (start..).zip(rows) {
                let own = self.found.components[row];
                self.cosines.push(unit.dot(&means.row(own)));
                if let Ok(place) = self.compared.binary_search(&own) {
                    let shares = self.compared.iter().map(|&other| shares[other]);
                    let sums = self.shared.row_mut(place).into_iter().zip(shares);
                    sums.for_each(|(sum, share)| *sum += share);
                }
            }
        }
        Ok(())
    }

    pub fn n_rows(&self) -> usize {
        self.embeddings.nrows()
    }

    /// What a row is known by.
    pub fn name(&self, row: usize) -> String {
        match self.items.get(row) {
            Some(item) => text::shortened(&item.name, LONGEST_NAME),
            None => format!("item {row}"),
        }
    }

    pub fn shown(&self, row: usize) -> ShownItem {
        ShownItem {
            row,
            name: self.name(row),
            thumbnail: None,
        }
    }

    pub fn label(&self, row: usize) -> Option<&'a str> {
        self.items.get(row)?.label.as_deref()
    }

    /// Rows at even steps, at most [`SAMPLE_ROWS`].
    pub fn even_sample(&self) -> Vec<usize> {
        let step = self.n_rows().div_ceil(SAMPLE_ROWS).max(1);
        (0..self.n_rows()).step_by(step).collect()
    }

    /// Some rows as unit vectors, shape `(rows.len(), dimension)`.
    pub fn units(&self, rows: &[usize]) -> Array2<f64> {
        unit_rows(self.embeddings.select(Axis(0), rows).view())
    }
}

/// The places of each of `k` components in a list of components, ascending.
fn by_component(components: impl Iterator<Item = usize>, k: usize) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new(); k];
    for (place, component) in components.enumerate() {
        places[component].push(place);
    }
    places
}

/// Refuses rows without a direction, naming them.
pub(super) fn check_rows(rows: ArrayView2<'_, f32>) -> Result<(), ReportError> {
    InMemory::new(rows, None)?;
    Ok(())
}

/// The rows as unit vectors.
pub(super) fn unit_rows(rows: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut units = rows.mapv(f64::from);
    for mut row in units.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    units
}

/// `part / whole`, 0 if there is no whole.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// A number with so many decimals, for lists as long as the items.
fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}
