//! Everything a report shows, as plain data.
//!
//! A [`Summary`] is computed once by [`ReportBuilder`](super::ReportBuilder); the page, the figures, the JSON files and the
//! pictures only display it. Components are numbered from 0, as `predict` does; rows are rows of the embeddings.

mod components;
mod items;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Section;
use crate::frame::ModalityGap;
use crate::mixture::{Candidate, Criterion};

pub use components::{
    Ambiguous, Component, Exemplar, LabelShare, LabelTable, MergeStep, NearestCaption, Similarity,
    Term,
};
pub use items::{
    Calibration, Duplicate, Duplicates, Histogram, Items, Map, MapKind, Memberships, Outlier,
    ShownItem,
};

/// What a fitted mixture has found in a set of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Title of the report.
    pub title: String,
    /// Version of vmfmix that computed this.
    pub vmfmix_version: String,
    /// The sections that are wanted, in the order of the page.
    pub sections: Vec<Section>,
    /// Number of items, one per embedding row.
    pub n_items: usize,
    /// How many of them are texts.
    pub n_texts: usize,
    /// How many of them are images.
    pub n_images: usize,
    /// Dimension of the embedding space.
    pub dimension: usize,
    /// The components, in the model's order.
    pub components: Vec<Component>,
    /// Indices into `components`, largest weight first.
    pub by_weight: Vec<usize>,
    /// How alike the components are.
    pub similarity: Similarity,
    /// How well the model fits.
    pub evaluation: Evaluation,
    /// How the fit went.
    pub convergence: ConvergenceInfo,
    /// The items that the table lists.
    pub items: Items,
    /// Some of them in two and three dimensions, by several projections; the first is shown first.
    pub maps: Vec<Map>,
    /// How sharply items belong to one component.
    pub memberships: Memberships,
    /// Components against the labels that came with the items; absent without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelTable>,
    /// The items that fit their component worst, worst first.
    pub outliers: Vec<Outlier>,
    /// Pairs of items that are nearly the same; absent where none were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Duplicates>,
    /// The numbers of components that were tried; absent where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionInfo>,
    /// How far apart texts and images lie; absent where the items are not of both kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality_gap: Option<ModalityGap>,
    /// Inputs that have no embedding, and why.
    pub skipped: Vec<Skipped>,
    /// How many inputs could not be used: more than are named, where there are very many.
    pub n_skipped: usize,
    /// What was used: model, seed, device, versions, timings.
    pub settings: Vec<Setting>,
    /// Files beside the report, by the path from it.
    pub files: Vec<Setting>,
    /// Small pictures of items as `data:` addresses, each once; items refer to them by their place.
    pub thumbnails: Vec<String>,
}

/// How well the model fits; log-likelihoods are means per item in nats, surface measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// Mean log-likelihood of the items the model was fitted to; null if all are held out.
    pub train_log_likelihood: Option<f64>,
    /// Mean log-likelihood of the items held out; null if none were.
    pub test_log_likelihood: Option<f64>,
    /// `train_log_likelihood - test_log_likelihood`; null without one of them.
    #[serde(default)]
    pub generalisation_gap: Option<f64>,
    /// Mean log-likelihood under the one von Mises-Fisher distribution that is nearest to the mixture, of the items held out, or
    /// of those fitted where none are.
    pub single_log_likelihood: f64,
    /// Log-likelihood of any item under the uniform distribution.
    pub uniform_log_likelihood: f64,
    /// Free parameters of the model.
    pub n_parameters: usize,
    /// Bayesian information criterion on the training items; lower is better; null if all are held out.
    pub bic: Option<f64>,
    /// Akaike information criterion on the training items; lower is better; null if all are held out.
    pub aic: Option<f64>,
    /// Mean cosine silhouette, from -1 to 1; null with fewer than two non-empty components.
    pub silhouette: Option<f64>,
    /// Items the model was fitted to.
    pub n_train: usize,
    /// Items held out.
    pub n_test: usize,
    /// Items that all but the log-likelihoods and criteria rests on, where they are a random sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_sampled: Option<usize>,
    /// Normalised mutual information with the labels; absent without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nmi: Option<f64>,
    /// Adjusted Rand index with the labels; absent without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ari: Option<f64>,
}

/// How the fit went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConvergenceInfo {
    /// Whether the tolerance was reached before the last allowed iteration.
    pub converged: bool,
    /// Iterations of the best run.
    pub n_iterations: usize,
    /// Mean log-likelihood per item after each iteration.
    pub log_likelihoods: Vec<f64>,
    /// The same of every run, of which the likeliest was kept.
    pub runs: Vec<Vec<f64>>,
    /// Whatever the fit wants known.
    pub warnings: Vec<String>,
}

/// The numbers of components that were tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelectionInfo {
    /// By what the number was chosen.
    pub criterion: Criterion,
    /// The number chosen.
    pub chosen: usize,
    /// How each number did.
    pub candidates: Vec<Candidate>,
}

/// An input without an embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Which input.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One thing worth knowing to repeat the analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// What.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Setting {
    pub(super) fn new(name: impl Into<String>, value: impl ToString) -> Self {
        Self {
            name: name.into(),
            value: value.to_string(),
        }
    }
}

impl Summary {
    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.components.len()
    }

    /// Items that the mixture was fitted to or tried on, of which the rest may be a sample.
    pub fn n_population(&self) -> usize {
        let evaluation = &self.evaluation;
        match evaluation.n_sampled {
            Some(_) => evaluation.n_train + evaluation.n_test,
            None => self.n_items,
        }
    }

    /// Mean log-likelihood of the items held out, or of those fitted where none are.
    pub fn log_likelihood(&self) -> Option<f64> {
        let evaluation = &self.evaluation;
        evaluation
            .test_log_likelihood
            .or(evaluation.train_log_likelihood)
    }

    /// The first of its parts that do not fit together, where a summary comes from a file.
    pub(super) fn inconsistency(&self) -> Option<&'static str> {
        let n_components = self.n_components();
        let items = &self.items;
        let n_items = items.rows.len();
        if self.by_weight.len() != n_components || self.by_weight.iter().any(|&k| k >= n_components)
        {
            return Some("components");
        }
        let are_items = items.names.len() == n_items
            && items.components.len() == n_items
            && items.components.iter().all(|&k| k < n_components);
        (!are_items).then_some("items")
    }

    /// All items that are shown one by one, outside the table.
    pub(super) fn shown_items_mut(&mut self) -> impl Iterator<Item = &mut ShownItem> {
        let of_components = self.components.iter_mut().flat_map(|component| {
            let exemplars = component.exemplars.iter_mut().map(|x| &mut x.item);
            exemplars.chain(component.ambiguous.iter_mut().map(|x| &mut x.item))
        });
        let outliers = self.outliers.iter_mut().map(|outlier| &mut outlier.item);
        let pairs = self
            .duplicates
            .iter_mut()
            .flat_map(|found| &mut found.pairs);
        of_components
            .chain(outliers)
            .chain(pairs.flat_map(|pair| &mut pair.items))
    }
}
