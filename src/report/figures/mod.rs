//! The figures: a [`Summary`] laid out as plotly traces.
//!
//! Nothing is computed here. Colours of text, grid and background are left to the page, which sets them for a light or a dark
//! theme. A figure's `plot` is plotly's own, for a notebook or whatever else shows one:
//!
//! ```no_run
//! # fn example(report: &vmfmix::report::Report) {
//! let figure = vmfmix::report::figures::similarity_matrix(report.summary());
//! figure.plot.write_html("similarity.html");
//! # }
//! ```

mod compare;
mod components;
mod directions;
mod fit;
mod layout;
mod map;
mod memberships;
mod similarity;

use plotly::Plot;

use super::Section;
use super::summary::Summary;

pub use compare::{criteria, matching, weights};
pub use components::component_parameters;
pub use directions::{mean_directions_2d, mean_directions_3d};
pub use fit::{convergence, selection};
pub use map::{map_2d, map_3d};
pub use memberships::{
    assignments, calibration, certainties, entropies, labels, outlier_scores, responsibilities,
};
pub use similarity::{bhattacharyya_distances, hierarchy, similarity_matrix};

/// One figure with the words around it.
pub struct Figure {
    /// Name of its file, without ending, and of its place in the page.
    pub id: String,
    /// Heading.
    pub title: String,
    /// One plain sentence on how to read it.
    pub how_to_read: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    /// Height in CSS pixels.
    pub height: usize,
    /// Whether it asks for the width of two.
    pub is_wide: bool,
    /// Whether drawing it compiles shaders, which needs `unsafe-eval`.
    pub uses_webgl_shaders: bool,
    /// The section it belongs to.
    pub section: Section,
    /// Traces and layout.
    pub plot: Plot,
}

/// The figures of the sections that the summary wants, in reading order. One component alone has none that compare components.
pub fn all(summary: &Summary) -> Vec<Figure> {
    let mut out = Vec::new();
    for map in &summary.maps {
        out.push(map_2d(summary, map));
        out.extend(map_3d(summary, map));
    }
    out.push(component_parameters(summary));
    let several = summary.n_components() > 1;
    if several {
        out.push(mean_directions_2d(summary));
        out.push(mean_directions_3d(summary));
        out.push(similarity_matrix(summary));
        out.push(bhattacharyya_distances(summary));
        out.extend(hierarchy(summary));
    }
    out.push(assignments(summary));
    if several {
        out.push(responsibilities(summary));
    }
    out.extend(labels(summary));
    if several {
        out.push(entropies(summary));
        out.push(certainties(summary));
        out.extend(calibration(summary));
    }
    out.push(outlier_scores(summary));
    out.push(convergence(summary));
    out.extend(selection(summary));
    out.retain(|figure| summary.sections.contains(&figure.section));
    out
}
