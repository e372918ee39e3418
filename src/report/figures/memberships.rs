//! Where the items belong, and how surely.

use plotly::common::{Line, Marker, MarkerSymbol, Mode};
use plotly::layout::{Axis, BarMode, RangeMode};
use plotly::{Plot, Scatter};

use super::Figure;
use super::layout::{
    HEIGHT, LOW, QUIET, component_axis, component_bars, component_matrix, downwards_axis, heat_map,
    histogram_bars, hover_name, in_order, layout, named, ticks,
};
use crate::report::summary::{Component, Summary};
use crate::report::{Section, palette, text};

/// Least height of the axis of mean entropies, below which differences mean nothing.
const LEAST_ENTROPY: f64 = 0.01;
/// Height of a row of the label table, and of what surrounds the rows.
const LABEL_ROW: usize = 24;
const LABEL_MARGIN: usize = 220;

/// Items per component.
pub fn assignments(summary: &Summary) -> Figure {
    let sizes = summary.components.iter().map(|c| c.size as f64).collect();
    let expected = summary.components.iter().map(|c| c.expected_size).collect();
    let order = in_order(summary);
    let mut plot = Plot::new();
    plot.add_trace(
        component_bars(summary, sizes)
            .name("assigned")
            .hover_template("%{hovertext}<br>%{y} items<extra></extra>"),
    );
    plot.add_trace(
        Scatter::new(ticks(&order), expected)
            .mode(Mode::Markers)
            .name("expected")
            .marker(
                Marker::new()
                    .symbol(MarkerSymbol::LineEWOpen)
                    .size(16)
                    .color(QUIET)
                    .line(Line::new().width(3.0)),
            )
            .hover_template("%{y:.1f} items expected<extra></extra>"),
    );
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(&order))
            .y_axis(Axis::new().title("items").range_mode(RangeMode::ToZero)),
    );
    figure(
        plot,
        "assignments",
        Section::Assignments,
        "Items in each component",
        "A bar counts the items for which the component is the most likely one; the grey tick is the number expected when every \
         item is shared out by its probabilities.",
        "Bar chart of the number of items by component.",
    )
}

/// Mean responsibilities of all components for the items of each.
pub fn responsibilities(summary: &Summary) -> Figure {
    let similarity = &summary.similarity;
    let compared = &similarity.components;
    let mut plot = Plot::new();
    plot.add_trace(
        component_matrix(summary, &similarity.responsibilities, "share")
            .zmin(0.0)
            .zmax(1.0)
            .hover_template("%{hovertext}<br>mean responsibility %{z:.3f}<extra></extra>"),
    );
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(compared))
            .y_axis(downwards_axis(compared.len()).title("items of component")),
    );
    figure(
        plot,
        "responsibilities",
        Section::Assignments,
        "Who else answers for the items",
        "A row is about the items of one component, and shows how their memberships are shared out on average: all on the \
         diagonal means that no other component explains them.",
        "Heat map of the mean responsibility of each component for the items of each.",
    )
}

/// Labels against components; `None` without labels.
pub fn labels(summary: &Summary) -> Option<Figure> {
    let table = summary.labels.as_ref()?;
    let names = table
        .labels
        .iter()
        .map(|label| text::for_plotly_line(label, 24));
    let hover = table
        .labels
        .iter()
        .zip(&table.counts)
        .map(|(label, counts)| {
            let cell = |(component, &n): (&Component, &usize)| {
                let (label, items) = (text::for_plotly(label), text::counted(n, "item"));
                format!("{label}<br>{}<br>{items}", hover_name(component))
            };
            summary.components.iter().zip(counts).map(cell).collect()
        });
    let order = in_order(summary);
    // By their places: shortened labels may be the same.
    let rows: Vec<usize> = (0..table.labels.len()).collect();
    let height = LABEL_MARGIN + LABEL_ROW * table.labels.len();
    let mut plot = Plot::new();
    plot.add_trace(
        heat_map(ticks(&order), ticks(&rows), table.shares.clone(), "share")
            .zmin(0.0)
            .zmax(1.0)
            .hover_text_matrix(hover.collect())
            .hover_template("%{hovertext}<br>%{z:.1%} of the component<extra></extra>"),
    );
    plot.set_layout(
        layout(height)
            .x_axis(component_axis(&order))
            .y_axis(named(downwards_axis(rows.len()), names.collect()).auto_margin(true)),
    );
    Some(Figure {
        height,
        is_wide: true,
        ..figure(
            plot,
            "labels",
            Section::Assignments,
            "Components and labels",
            "Each column shows how the labels of one component's items are shared out: one bright cell means the component \
             agrees with one label.",
            "Heat map of the share of each label in each component.",
        )
    })
}

/// How sharply items belong to their components.
pub fn entropies(summary: &Summary) -> Figure {
    let memberships = &summary.memberships;
    let mut plot = Plot::new();
    plot.add_trace(
        histogram_bars(&memberships.entropies)
            .hover_template("entropy from %{x:.2f}<br>%{y} items<extra></extra>")
            .x_axis("x2")
            .y_axis("y2"),
    );
    let means = summary.components.iter();
    let means = means.map(|c| c.mean_membership_entropy.unwrap_or(f64::NAN));
    let highest = means.clone().fold(LEAST_ENTROPY, f64::max);
    plot.add_trace(
        component_bars(summary, means.collect())
            .hover_template("%{hovertext}<br>mean entropy %{y:.3f}<extra></extra>"),
    );
    plot.set_layout(
        layout(HEIGHT)
            .bar_mode(BarMode::Overlay)
            .x_axis(component_axis(&in_order(summary)).anchor("y"))
            .y_axis(
                Axis::new()
                    .title("mean entropy")
                    .domain(&[0.0, 0.38])
                    .range(vec![0.0, highest]),
            )
            .x_axis2(
                Axis::new()
                    .title("entropy (share of maximum)")
                    .anchor("y2")
                    .range(vec![0.0, 1.0]),
            )
            .y_axis2(Axis::new().title("items").anchor("x2").domain(&[0.6, 1.0])),
    );
    let reading = format!(
        "Items on the left of the upper chart belong clearly to one component, items on the right are torn between many (mean {} \
         of at most {} nats); the lower chart shows which components share their items with others.",
        text::fixed(memberships.mean_entropy, 3),
        text::fixed(memberships.maximum_entropy, 3)
    );
    figure(
        plot,
        "entropies",
        Section::Entropies,
        "How torn the items are",
        &reading,
        "Histogram of membership entropy, and its mean by component.",
    )
}

/// Items by their largest responsibility.
pub fn certainties(summary: &Summary) -> Figure {
    let mut plot = Plot::new();
    plot.add_trace(
        histogram_bars(&summary.memberships.responsibilities)
            .hover_template("certainty from %{x:.2f}<br>%{y} items<extra></extra>"),
    );
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(
                Axis::new()
                    .title("certainty (largest responsibility)")
                    .range(vec![0.0, 1.0]),
            )
            .y_axis(Axis::new().title("items")),
    );
    figure(
        plot,
        "certainties",
        Section::Entropies,
        "How sure the likeliest component is",
        "Items far on the right are given to one component with near certainty; with a tall bar on the left, many could as well \
         be elsewhere.",
        "Histogram of the largest responsibility of each item.",
    )
}

/// Certainties against how often they are right; `None` without labels.
pub fn calibration(summary: &Summary) -> Option<Figure> {
    let calibration = summary.memberships.calibration.as_ref()?;
    let counts = calibration.counts.iter();
    let hover = counts.map(|&n| text::counted(n, "item")).collect();
    let mut plot = Plot::new();
    plot.add_trace(
        Scatter::new(vec![0.0, 1.0], vec![0.0, 1.0])
            .mode(Mode::Lines)
            .line(Line::new().color(QUIET).width(1.0))
            .hover_template("as often right as it says<extra></extra>"),
    );
    plot.add_trace(
        Scatter::new(
            calibration.confidences.clone(),
            calibration.accuracies.clone(),
        )
        .mode(Mode::LinesMarkers)
        .line(Line::new().color(palette::colour(0)).width(2.0))
        .marker(Marker::new().color(palette::colour(0)).size(8))
        .hover_text_array(hover)
        .hover_template("%{hovertext}<br>certainty %{x:.1%}<br>right %{y:.1%}<extra></extra>"),
    );
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(share_axis("certainty"))
            .y_axis(share_axis("right")),
    );
    let reading = format!(
        "An item counts as right where its component's most frequent label is its own. Points on the grey line are as often right \
         as they say, points below it are too sure of themselves (mean distance {}, over {}).",
        text::fixed(calibration.expected_calibration_error, 3),
        text::counted(calibration.n_items, "labelled item")
    );
    Some(figure(
        plot,
        "calibration",
        Section::Entropies,
        "Whether certainty can be believed",
        &reading,
        "Line chart of the share of right items by certainty.",
    ))
}

fn share_axis(title: &str) -> Axis {
    Axis::new()
        .title(title)
        .tick_format(".0%")
        .range(vec![0.0, 1.04])
}

/// Items by outlier score.
pub fn outlier_scores(summary: &Summary) -> Figure {
    let scores = &summary.memberships.outlier_scores;
    let mut plot = Plot::new();
    plot.add_trace(
        histogram_bars(scores)
            .hover_template("outlier score from %{x:.2f}<br>%{y} items<extra></extra>"),
    );
    plot.set_layout(
        layout(LOW)
            .x_axis(Axis::new().title("outlier score").range(vec![0.0, 1.0]))
            .y_axis(Axis::new().title("items")),
    );
    Figure {
        height: LOW,
        is_wide: true,
        ..figure(
            plot,
            "outlier_scores",
            Section::Outliers,
            "How far out the items lie",
            "The score of an item is the share of its component that lies nearer to the component's mean direction. Where the \
             components describe their items well, all bars are alike; a tall bar at the right is a crowd that fits nowhere, one \
             at the left items closer together than any component tells.",
            "Histogram of outlier scores.",
        )
    }
}

fn figure(
    plot: Plot,
    id: &str,
    section: Section,
    title: &str,
    how_to_read: &str,
    alt: &str,
) -> Figure {
    Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        how_to_read: how_to_read.to_owned(),
        alt: alt.to_owned(),
        height: HEIGHT,
        is_wide: false,
        uses_webgl_shaders: false,
        section,
        plot,
    }
}
