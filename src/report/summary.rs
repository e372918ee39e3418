//! Everything a report shows, as plain data.
//!
//! A [`Summary`] is computed once by [`SummaryBuilder`](super::SummaryBuilder); the page, the figures,
//! the JSON files and the plot only display it. Components are numbered from 0, as `predict` does.

use serde::{Deserialize, Serialize};

use crate::frame::ModalityGap;

/// What a fitted mixture has found in a set of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Title of the report.
    pub title: String,
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
    /// Cosine of every pair of mean directions, shape `(n_components, n_components)`.
    pub similarity: Vec<Vec<f64>>,
    /// Least and greatest cosine between two different mean directions, to scale colours by; from 0 or
    /// below to 1 with fewer than three components.
    pub similarity_range: [f64; 2],
    /// How well the model fits.
    pub evaluation: Evaluation,
    /// How the fit went.
    pub convergence: ConvergenceInfo,
    /// The items in two dimensions.
    pub map: Map,
    /// How sharply items belong to one component.
    pub entropies: Entropies,
    /// Components against the labels that came with the items; `None` without labels.
    pub labels: Option<LabelTable>,
    /// How far apart texts and images lie; `None` where the items are not of both kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality_gap: Option<ModalityGap>,
    /// Inputs that have no embedding, and why.
    pub skipped: Vec<Skipped>,
    /// How many inputs could not be used: more than are named, where there are very many.
    #[serde(default)]
    pub n_skipped: usize,
    /// What was used: model, seed, device, versions, timings.
    pub settings: Vec<Setting>,
}

/// One component of the mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Position in the model, from 0.
    pub index: usize,
    /// Mixing weight; weights sum to 1.
    pub weight: f64,
    /// Number of items assigned to it.
    pub size: usize,
    /// Sum of its responsibilities: items it is expected to hold.
    pub expected_size: f64,
    /// Concentration (kappa).
    pub concentration: f64,
    /// Mean resultant length `A_d(kappa)`, from 0 (spread over the sphere) to 1 (one direction).
    pub mean_resultant_length: f64,
    /// Differential entropy of the distribution, in nats, surface measure.
    pub entropy: f64,
    /// Mean over its items of their membership entropy divided by `ln n_components`; `None` if empty.
    pub mean_membership_entropy: Option<f64>,
    /// Captions whose embeddings lie nearest to the mean direction, nearest first.
    pub captions: Vec<NearestCaption>,
    /// Its items of highest density, highest first.
    pub exemplars: Vec<Exemplar>,
    /// Labels of its items, most frequent first; empty without labels.
    pub labels: Vec<LabelShare>,
    /// The mean direction on the first three principal axes of the embeddings.
    pub direction: [f64; 3],
    /// The component's mean `A_d(kappa) mu` on the axes of the map.
    pub centre: [f64; 2],
}

/// A caption near a mean direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearestCaption {
    /// The caption.
    pub text: String,
    /// Cosine between its embedding and the mean direction.
    pub cosine: f64,
    /// Probability among all labels, where captions are labels to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// An item that shows what a component holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exemplar {
    /// Row of the embeddings.
    pub row: usize,
    /// Name, or the text itself.
    pub name: String,
    /// A small picture as a `data:` address, for images.
    pub thumbnail: Option<String>,
    /// Cosine between its embedding and the mean direction.
    pub cosine: f64,
    /// Responsibility of the component for it, from 0 to 1.
    pub responsibility: f64,
}

/// How often a label occurs in a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelShare {
    /// The label.
    pub label: String,
    /// Items with it.
    pub count: usize,
    /// Share of the component's labelled items.
    pub share: f64,
}

/// How well the model fits; log-likelihoods are means per item in nats, surface measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean log-likelihood of the items the model was fitted to; `None` if all are held out.
    pub train_log_likelihood: Option<f64>,
    /// Mean log-likelihood of the items held out; `None` if none were.
    pub test_log_likelihood: Option<f64>,
    /// `train_log_likelihood - test_log_likelihood`; `None` without one of them.
    #[serde(default)]
    pub generalisation_gap: Option<f64>,
    /// Free parameters of the model.
    pub n_parameters: usize,
    /// Bayesian information criterion on the training items; lower is better; `None` if all are held out.
    pub bic: Option<f64>,
    /// Akaike information criterion on the training items; lower is better; `None` if all are held out.
    pub aic: Option<f64>,
    /// Mean cosine silhouette, from -1 to 1; `None` with fewer than two non-empty components.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvergenceInfo {
    /// Whether the tolerance was reached before the last allowed iteration.
    pub converged: bool,
    /// Iterations of the best run.
    pub n_iterations: usize,
    /// Mean log-likelihood per item after each iteration.
    pub log_likelihoods: Vec<f64>,
    /// Whatever the fit wants known.
    pub warnings: Vec<String>,
}

/// Items on the first two principal axes of their embeddings; one entry per shown item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// Share of the variance along the first three principal axes; fewer where data has fewer.
    pub explained_variance_ratio: Vec<f64>,
    /// Row of the embeddings.
    pub rows: Vec<usize>,
    /// First coordinate.
    pub x: Vec<f32>,
    /// Second coordinate.
    pub y: Vec<f32>,
    /// Component of highest responsibility.
    pub components: Vec<usize>,
    /// That responsibility, from 0 to 1.
    pub certainties: Vec<f32>,
    /// Name, or the text itself.
    pub names: Vec<String>,
}

/// Entropies of the responsibilities of each item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entropies {
    /// Mean entropy, in nats.
    pub mean: f64,
    /// The highest entropy there can be, `ln n_components`.
    pub maximum: f64,
    /// Edges of the histogram bins, of entropy divided by the maximum; one more than `counts`.
    pub edges: Vec<f64>,
    /// Width of a bin.
    pub bin_width: f64,
    /// Items in each bin.
    pub counts: Vec<usize>,
}

/// Items by component and label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelTable {
    /// The labels, most frequent first; the last stands for all others if there are too many to show.
    pub labels: Vec<String>,
    /// Items, shape `(n_labels, n_components)`.
    pub counts: Vec<Vec<usize>>,
    /// `counts` divided by the size of the component among labelled items.
    pub shares: Vec<Vec<f64>>,
}

/// An input without an embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// Which input.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One thing worth knowing to repeat the analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// What.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Component {
    /// A short name: the number, and the nearest caption where captions are known.
    pub fn label(&self) -> String {
        match self.captions.first() {
            Some(caption) => format!("{} · {}", self.index, caption.text),
            None => format!("Component {}", self.index),
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

    /// Items on the map, which may be a sample.
    pub fn n_shown(&self) -> usize {
        self.map.rows.len()
    }
}
