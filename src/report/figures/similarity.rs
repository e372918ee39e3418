//! How alike the components are.

use plotly::common::{Line, Mode};
use plotly::layout::{Axis, RangeMode};
use plotly::{Plot, Scatter};

use super::Figure;
use super::layout::{HEIGHT, LOW, component_axis, component_matrix, downwards_axis, layout, ticks};
use crate::report::summary::{MergeStep, Summary};
use crate::report::{Section, palette, text};

/// Cosines between mean directions.
pub fn similarity_matrix(summary: &Summary) -> Figure {
    let [low, high] = summary.similarity.cosine_range;
    let mut plot = Plot::new();
    plot.add_trace(
        component_matrix(summary, &summary.similarity.cosines, "cosine")
            .zmin(low)
            .zmax(high)
            .hover_template("%{hovertext}<br>cosine %{z:.3f}<extra></extra>"),
    );
    matrix(
        summary,
        plot,
        "similarity_matrix",
        "How alike the mean directions are",
        "Each cell compares two components: the brighter, the more alike their directions (cosine 1 is the same direction, 0 a \
         right angle).",
        "Heat map of the cosine between every two mean directions.",
    )
}

/// Bhattacharyya distances between the components.
pub fn bhattacharyya_distances(summary: &Summary) -> Figure {
    let distances = &summary.similarity.bhattacharyya_distances;
    let mut plot = Plot::new();
    plot.add_trace(
        component_matrix(summary, distances, "nats")
            .reverse_scale(true)
            .zmin(0.0)
            .zmax(summary.similarity.distance_scale)
            .hover_template("%{hovertext}<br>Bhattacharyya distance %{z:.4~g} nats<extra></extra>"),
    );
    matrix(
        summary,
        plot,
        "bhattacharyya_distances",
        "How much the components overlap",
        "The brighter a cell, the more two components share of the sphere, their tightness counted too: a Bhattacharyya distance \
         of 0 nats is the same distribution, beyond about 3 hardly an item could be of both. The darkest colour stands for all distances of \
         the farther three quarters.",
        "Heat map of the Bhattacharyya distance between every two components.",
    )
}

fn matrix(
    summary: &Summary,
    mut plot: Plot,
    id: &str,
    title: &str,
    how_to_read: &str,
    alt: &str,
) -> Figure {
    let compared = &summary.similarity.components;
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(compared))
            .y_axis(downwards_axis(compared.len()).title("component")),
    );
    let order = match summary.similarity.merges.is_empty() {
        true => String::new(),
        false => " Alike components stand beside each other.".to_owned(),
    };
    let left_out = match summary.n_components() - compared.len() {
        0 => String::new(),
        _ => format!(
            " Only the {} heaviest components are compared.",
            text::count(compared.len())
        ),
    };
    Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        how_to_read: format!("{how_to_read}{order}{left_out}"),
        alt: alt.to_owned(),
        height: HEIGHT,
        is_wide: false,
        uses_webgl_shaders: false,
        section: Section::Similarity,
        plot,
    }
}

/// The steps that merge all components into one, as a dendrogram; `None` where there are none.
pub fn hierarchy(summary: &Summary) -> Option<Figure> {
    let similarity = &summary.similarity;
    if similarity.merges.is_empty() {
        return None;
    }
    let mut plot = Plot::new();
    for step in &similarity.merges {
        let (x, y) = bracket(step);
        let loss = text::significant(step.loss, 3);
        plot.add_trace(
            Scatter::new(x, y)
                .mode(Mode::Lines)
                .line(Line::new().color(palette::colour(0)).width(2.0))
                .hover_template(format!(
                    "{loss} nats per item are lost up to here<extra></extra>"
                )),
        );
    }
    let directed = similarity.merges.len() + 1;
    let places = (0..directed).map(|place| place as f64).collect();
    plot.set_layout(
        layout(LOW)
            .x_axis(
                Axis::new()
                    .title("component")
                    .show_grid(false)
                    .zero_line(false)
                    .tick_values(places)
                    .tick_text(ticks(&similarity.components[..directed]))
                    .range(vec![-0.5, directed as f64 - 0.5]),
            )
            .y_axis(
                Axis::new()
                    .title("lost (nats per item)")
                    .range_mode(RangeMode::ToZero),
            ),
    );
    Some(Figure {
        id: "hierarchy".to_owned(),
        title: "Which components are nearly one".to_owned(),
        how_to_read: "From the bottom up, the two components are joined that lose the least by being one; the height is how much \
            less likely an item becomes, so what joins low down could as well be one component."
            .to_owned(),
        alt: "Dendrogram of the components by the log-likelihood lost when they are merged.".to_owned(),
        height: LOW,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Similarity,
        plot,
    })
}

/// Up from one cluster, across, and down to the other.
fn bracket(step: &MergeStep) -> (Vec<f64>, Vec<f64>) {
    let [left, right] = step.places;
    let [from, to] = step.losses;
    (
        vec![left, left, right, right],
        vec![from, step.loss, step.loss, to],
    )
}
