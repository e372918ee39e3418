//! The sections of the page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the page that can be left out, in the order of the page.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// The items in two and three dimensions.
    Map,
    /// The table of items.
    Items,
    /// A card for each component.
    Components,
    /// Weights and concentrations.
    Weights,
    /// Mean directions.
    Directions,
    /// How alike the components are.
    Similarity,
    /// Items per component, responsibilities, labels.
    Assignments,
    /// How sure memberships are.
    Entropies,
    /// What fits nowhere.
    Outliers,
    /// What is there twice.
    Duplicates,
    /// How the fit went.
    Convergence,
    /// The numbers of components that were tried.
    Selection,
    /// Texts against images.
    ModalityGap,
    /// Inputs that could not be used.
    Skipped,
    /// How to repeat it.
    Settings,
}

impl Section {
    /// All sections, in order.
    pub const ALL: [Self; 15] = [
        Self::Map,
        Self::Items,
        Self::Components,
        Self::Weights,
        Self::Directions,
        Self::Similarity,
        Self::Assignments,
        Self::Entropies,
        Self::Outliers,
        Self::Duplicates,
        Self::Convergence,
        Self::Selection,
        Self::ModalityGap,
        Self::Skipped,
        Self::Settings,
    ];
}
