//! What a report says of items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An item with what a reader sees of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShownItem {
    /// Row of the embeddings.
    pub row: usize,
    /// Name, or the text itself, shortened where it is very long.
    pub name: String,
    /// Its place among the thumbnails; null where it has none.
    pub thumbnail: Option<usize>,
}

/// The items of the table, column by column; all lists are as long as `rows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Items {
    /// Rows of the embeddings, ascending: all, or a sample that is random within each component.
    pub rows: Vec<usize>,
    /// Name, or the text itself, shortened where it is very long.
    pub names: Vec<String>,
    /// Labels known beforehand; empty without labels.
    pub labels: Vec<Option<String>>,
    /// Component of highest responsibility.
    pub components: Vec<usize>,
    /// That responsibility, from 0 to 1.
    pub responsibilities: Vec<f64>,
    /// Entropy of the responsibilities, in nats.
    pub entropies: Vec<f64>,
    /// Log-density in nats, surface measure.
    pub log_likelihoods: Vec<f64>,
    /// Probability that a point of the component lies nearer to its mean direction.
    pub outlier_scores: Vec<f64>,
    /// Place among the thumbnails.
    pub thumbnails: Vec<Option<usize>>,
}

/// How a map brings many dimensions down to three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// Principal axes of the items in the space that touches the sphere at their mean direction.
    Pca,
    /// Principal axes of the mean directions, weighted: Fisher's discriminant where groups are round, as von Mises-Fisher
    /// distributions are.
    Discriminant,
    /// t-distributed stochastic neighbour embedding: neighbours stay neighbours, distances mean nothing.
    Tsne,
}

/// Items in two or three dimensions; one entry of each list for each item shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// How it was made.
    pub kind: MapKind,
    /// Share of the variance along the axes, of the items or of the mean directions; empty where axes mean nothing.
    pub explained_variance_ratio: Vec<f64>,
    /// Places in the lists of [`Items`].
    pub items: Vec<usize>,
    /// First coordinate.
    pub x: Vec<f64>,
    /// Second coordinate.
    pub y: Vec<f64>,
    /// Third coordinate; empty where the map has two.
    pub z: Vec<f64>,
    /// The mean directions on the map, by component; empty where it has no place for them.
    pub centres: Vec<[f64; 3]>,
}

/// How many items lie in each of some intervals of equal width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// Edges of the intervals; one more than `counts`.
    pub edges: Vec<f64>,
    /// Width of an interval.
    pub bin_width: f64,
    /// Items in each interval.
    pub counts: Vec<usize>,
}

/// How sharply items belong to their components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memberships {
    /// Mean entropy of the responsibilities of an item, in nats.
    pub mean_entropy: f64,
    /// The highest entropy there can be, `ln n_components`.
    pub maximum_entropy: f64,
    /// Items by entropy divided by the maximum.
    pub entropies: Histogram,
    /// Items by the largest responsibility.
    pub responsibilities: Histogram,
    /// Items by outlier score; even where items follow the model.
    pub outlier_scores: Histogram,
    /// Whether responsibilities are as often right as they say; absent without labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// Largest responsibilities against how often they are right: an item is where most items of its component have its label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Labelled items looked at.
    pub n_items: usize,
    /// Mean of the largest responsibilities, by bin.
    pub confidences: Vec<f64>,
    /// Share of right ones, by bin.
    pub accuracies: Vec<f64>,
    /// Items, by bin.
    pub counts: Vec<usize>,
    /// Mean distance between the two, weighted by items.
    pub expected_calibration_error: f64,
}

/// An item that fits its component badly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outlier {
    /// The item.
    pub item: ShownItem,
    /// Its component.
    pub component: usize,
    /// Probability that a point of the component lies nearer to its mean direction.
    pub outlier_score: f64,
    /// Log-density in nats, surface measure.
    pub log_likelihood: f64,
}

/// Items that are nearly the same as an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Duplicates {
    /// Least cosine of two embeddings that count as nearly the same.
    pub threshold: f64,
    /// Items compared, each with all others.
    pub n_compared: usize,
    /// How many of them are nearly the same as an earlier one.
    pub n_duplicates: usize,
    /// The nearest pairs, nearest first.
    pub pairs: Vec<Duplicate>,
}

/// Two items that are nearly the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Duplicate {
    /// The two, the earlier row first.
    pub items: [ShownItem; 2],
    /// Cosine of their embeddings.
    pub cosine: f64,
}
