//! Where the components point.

use plotly::common::{Line, Marker, Mode, Position};
use plotly::layout::{HoverMode, LayoutScene};
use plotly::{Plot, Scatter, Scatter3D};

use super::Figure;
use super::layout::{HEIGHT, hover_name, layout, legend_name, plain_axis};
use crate::report::summary::Summary;
use crate::report::{Section, palette};

/// Above this many components the markers of mean directions are not numbered.
const MOST_NUMBERS: usize = 30;

/// The mean directions on their first two axes.
pub fn mean_directions_2d(summary: &Summary) -> Figure {
    let mut plot = Plot::new();
    for component in &summary.components {
        let [x, y, _] = component.direction;
        plot.add_trace(
            Scatter::new(vec![x], vec![y])
                .mode(mode(summary))
                .name(legend_name(component))
                .text(component.index.to_string())
                .text_position(Position::TopCenter)
                .marker(
                    Marker::new()
                        .color(palette::colour(component.index))
                        .symbol(palette::symbol(component.index))
                        .size(marker_size(component.weight))
                        .line(Line::new().width(1.0).color("#ffffff")),
                )
                .hover_text(hover_name(component))
                .hover_template("%{hovertext}<extra></extra>"),
        );
    }
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(plain_axis("axis 1"))
            .y_axis(plain_axis("axis 2").scale_anchor("x"))
            .hover_mode(HoverMode::Closest)
            .show_legend(false),
    );
    Figure {
        id: "mean_directions_2d".to_owned(),
        title: "Mean directions".to_owned(),
        how_to_read:
            "Each marker is the direction in which a component points, larger for a heavier component; markers that lie close \
             together stand for alike groups."
                .to_owned(),
        alt: "Scatter plot of the mean directions on two principal axes.".to_owned(),
        height: HEIGHT,
        is_wide: false,
        uses_webgl_shaders: false,
        section: Section::Directions,
        plot,
    }
}

/// The mean directions on their first three axes.
pub fn mean_directions_3d(summary: &Summary) -> Figure {
    let mut plot = Plot::new();
    for component in &summary.components {
        let [x, y, z] = component.direction;
        plot.add_trace(
            Scatter3D::new(vec![x], vec![y], vec![z])
                .mode(mode(summary))
                .name(legend_name(component))
                .text(component.index.to_string())
                .marker(
                    Marker::new()
                        .color(palette::colour(component.index))
                        .size(marker_size(component.weight) / 2),
                )
                .hover_text(hover_name(component))
                .hover_template("%{hovertext}<extra></extra>"),
        );
    }
    let scene = LayoutScene::new()
        .x_axis(plain_axis("axis 1"))
        .y_axis(plain_axis("axis 2"))
        .z_axis(plain_axis("axis 3"));
    plot.set_layout(layout(HEIGHT).scene(scene).show_legend(false));
    Figure {
        id: "mean_directions_3d".to_owned(),
        title: "Mean directions in space".to_owned(),
        how_to_read: "The same directions with a third axis: drag to turn.".to_owned(),
        alt: "Three-dimensional scatter plot of the mean directions.".to_owned(),
        height: HEIGHT,
        is_wide: false,
        uses_webgl_shaders: false,
        section: Section::Directions,
        plot,
    }
}

/// Numbers beside the markers, as long as there is room for them.
fn mode(summary: &Summary) -> Mode {
    match summary.n_components() <= MOST_NUMBERS {
        true => Mode::MarkersText,
        false => Mode::Markers,
    }
}

/// Diameter in pixels, so that area grows with weight.
fn marker_size(weight: f64) -> usize {
    (10.0 + 40.0 * weight.sqrt()).round() as usize
}
