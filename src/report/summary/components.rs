//! What a report says of components.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ShownItem;

/// One component of the mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The concentration without the bias of small samples; null where it is not known on how many items it rests.
    pub bias_corrected_concentration: Option<f64>,
    /// What holds the concentration with a probability of 95 %; null where it is not known on how many items it rests.
    pub concentration_interval: Option<[f64; 2]>,
    /// Mean resultant length `A_d(kappa)`, from 0 (spread over the sphere) to 1 (one direction).
    pub mean_resultant_length: f64,
    /// Angle in degrees around the mean direction within which half of its probability lies.
    pub angle_50: f64,
    /// The same for 90 %.
    pub angle_90: f64,
    /// Differential entropy of the distribution, in nats, surface measure.
    pub entropy: f64,
    /// Mean over its items of their membership entropy divided by `ln n_components`; null if empty.
    pub mean_membership_entropy: Option<f64>,
    /// Captions whose embeddings lie nearest to the mean direction, nearest first.
    pub captions: Vec<NearestCaption>,
    /// Words that its texts have more often than the other texts, most distinctive first.
    pub terms: Vec<Term>,
    /// Its items of highest density, highest first: the most typical.
    pub exemplars: Vec<Exemplar>,
    /// Its items that might as well belong elsewhere, most ambiguous first.
    pub ambiguous: Vec<Ambiguous>,
    /// Labels of its items, most frequent first; empty without labels.
    pub labels: Vec<LabelShare>,
    /// The mean direction on the first three principal axes of the mean directions.
    pub direction: [f64; 3],
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

/// A caption near a mean direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NearestCaption {
    /// The caption.
    pub text: String,
    /// Cosine between its embedding and the mean direction.
    pub cosine: f64,
    /// Probability among all labels, where captions are labels to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// A word that tells a component's texts from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Term {
    /// The word, in lower case.
    pub term: String,
    /// Texts of the component that have it.
    pub count: usize,
    /// Log-odds ratio in standard deviations.
    pub score: f64,
}

/// An item that shows what a component holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exemplar {
    /// The item.
    pub item: ShownItem,
    /// Cosine between its embedding and the mean direction.
    pub cosine: f64,
    /// Responsibility of the component for it, from 0 to 1.
    pub responsibility: f64,
}

/// An item between two components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ambiguous {
    /// The item.
    pub item: ShownItem,
    /// Responsibility of the component for it, from 0 to 1.
    pub responsibility: f64,
    /// The next likeliest component.
    pub runner_up: usize,
    /// Responsibility of that one.
    pub runner_up_responsibility: f64,
}

/// How often a label occurs in a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelShare {
    /// The label.
    pub label: String,
    /// Items with it.
    pub count: usize,
    /// Share of the component's labelled items.
    pub share: f64,
}

/// Items by component and label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelTable {
    /// The labels, most frequent first; the last stands for all others if there are too many to show.
    pub labels: Vec<String>,
    /// Items, shape `(n_labels, n_components)`.
    pub counts: Vec<Vec<usize>>,
    /// `counts` divided by the size of the component among labelled items.
    pub shares: Vec<Vec<f64>>,
}

/// How alike components are; matrices have a row and a column for each of `components`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Similarity {
    /// The components compared, alike ones beside each other: the order of the hierarchy's leaves. Of very many, the heaviest.
    pub components: Vec<usize>,
    /// Cosine of every pair of mean directions.
    pub cosines: Vec<Vec<f64>>,
    /// Least and greatest cosine of two different components, to scale colours by.
    pub cosine_range: [f64; 2],
    /// Bhattacharyya distance of every pair of distributions, in nats: 0 where they are the same.
    pub bhattacharyya_distances: Vec<Vec<f64>>,
    /// Distance to which colours are scaled: a quarter of the pairs are nearer.
    pub distance_scale: f64,
    /// Mean responsibility of the component of a column for the items that are assigned to that of the row; null where there are
    /// no such items.
    pub responsibilities: Vec<Vec<Option<f64>>>,
    /// The steps that merge all components but noise into one, least loss first; empty where components are left out.
    pub merges: Vec<MergeStep>,
}

/// One step of the hierarchy. Clusters below the number of components are components; the cluster of step `i` is
/// `n_components + i`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MergeStep {
    /// The two clusters that become one.
    pub clusters: [usize; 2],
    /// Places of the two in the order of the leaves: the middle of their own.
    pub places: [f64; 2],
    /// Log-likelihood per item that is lost up to either cluster, at most, in nats.
    pub losses: [f64; 2],
    /// The same up to and with this step.
    pub loss: f64,
}
