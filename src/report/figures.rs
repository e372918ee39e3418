//! The figures: a [`Summary`] laid out as plotly traces.
//!
//! Nothing is computed here. Colours of text, grid and background are left to the page, which sets them
//! for a light or a dark theme.

use plotly::color::Rgba;
use plotly::common::{
    ColorBar, ColorScale, ColorScalePalette, Font, Line, Marker, Mode, Orientation, Position,
    ThicknessMode,
};
use plotly::layout::{
    Axis, AxisType, BarMode, HoverMode, ItemSizing, LayoutScene, Legend, Margin, RangeMode,
};
use plotly::{Bar, HeatMap, Layout, Plot, Scatter, Scatter3D};

use super::palette;
use super::summary::{Component, LabelTable, Summary};
use super::text;

/// Above this many points the map is drawn with WebGL.
const MOST_SVG_POINTS: usize = 3_000;
/// Heights in CSS pixels; figures that stand side by side share one.
const HEIGHT: usize = 520;
const MAP_HEIGHT: usize = 600;
const CONVERGENCE_HEIGHT: usize = 380;
/// Above this many components the markers of mean directions are not numbered.
const MOST_NUMBERS: usize = 30;
/// Width of a bar where there are few components, per component, and where there are many; 1 leaves no gap.
const BAR_WIDTH: f64 = 0.1;
const WIDEST_BAR: f64 = 0.8;
/// Least height of the axis of mean entropies, below which differences mean nothing.
const LEAST_ENTROPY: f64 = 0.01;
/// Height of a row of the label table, and of what surrounds the rows.
const LABEL_ROW: usize = 24;
const LABEL_MARGIN: usize = 220;
/// Characters of a component's name in a legend.
const LEGEND: usize = 30;

/// One figure with the words around it.
pub struct Figure {
    /// Name of its file, without ending, and of its place in the page.
    pub id: &'static str,
    /// Heading.
    pub title: &'static str,
    /// One plain sentence on how to read it.
    pub how_to_read: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    /// Height in CSS pixels.
    pub height: usize,
    /// Whether drawing it compiles shaders, which needs `unsafe-eval`.
    pub uses_webgl_shaders: bool,
    /// Whether it says nothing about a single component.
    pub compares_components: bool,
    /// Traces and layout.
    pub plot: Plot,
}

/// The figures that show the components, in reading order.
pub fn details(summary: &Summary) -> Vec<Figure> {
    let mut out = vec![
        assignments(summary),
        component_parameters(summary),
        mean_directions_2d(summary),
        mean_directions_3d(summary),
        similarity_matrix(summary),
        entropies(summary),
    ];
    out.extend(summary.labels.as_ref().map(|table| labels(summary, table)));
    out
}

/// The items as points, coloured by component.
pub fn map(summary: &Summary) -> Figure {
    let map = &summary.map;
    let webgl = summary.n_shown() > MOST_SVG_POINTS;
    let mut plot = Plot::new();
    for component in &summary.components {
        let k = component.index;
        let chosen: Vec<usize> = (0..map.rows.len())
            .filter(|&i| map.components[i] == k)
            .collect();
        let [red, green, blue] = palette::rgb(k);
        let colours = chosen
            .iter()
            .map(|&i| Rgba::new(red, green, blue, opacity(map.certainties[i])))
            .collect();
        let hover = chosen.iter().map(|&i| {
            let certainty = text::percent(f64::from(map.certainties[i]));
            format!(
                "{}<br>certainty {certainty}",
                text::for_plotly(&map.names[i])
            )
        });
        plot.add_trace(
            Scatter::new(
                chosen.iter().map(|&i| map.x[i]).collect(),
                chosen.iter().map(|&i| map.y[i]).collect(),
            )
            .web_gl_mode(webgl)
            .mode(Mode::Markers)
            .name(legend_name(component))
            .legend_group(k.to_string())
            .show_legend(false)
            .marker(
                Marker::new()
                    .color_array(colours)
                    .symbol(palette::symbol(k))
                    .size(6),
            )
            .hover_text_array(hover.collect())
            .hover_template("%{hovertext}<extra>%{fullData.name}</extra>"),
        );
    }
    for component in &summary.components {
        let [x, y] = component.centre;
        plot.add_trace(
            Scatter::new(vec![x], vec![y])
                .web_gl_mode(webgl)
                .mode(Mode::Markers)
                .name(legend_name(component))
                .legend_group(component.index.to_string())
                .marker(
                    Marker::new()
                        .color(palette::colour(component.index))
                        .symbol(palette::symbol(component.index))
                        .size(15)
                        .line(Line::new().width(2.0).color("#ffffff")),
                )
                .hover_template("centre of %{fullData.name}<extra></extra>"),
        );
    }
    let legend = Legend::new()
        .item_sizing(ItemSizing::Constant)
        .font(Font::new().size(12));
    plot.set_layout(
        layout(MAP_HEIGHT)
            .x_axis(plain_axis(&axis_title(summary, 0)))
            .y_axis(plain_axis(&axis_title(summary, 1)).scale_anchor("x"))
            .hover_mode(HoverMode::Closest)
            .show_legend(summary.n_components() > 1)
            .legend(legend),
    );
    let shown = if summary.n_shown() < summary.n_items {
        format!(
            " A random sample of {} of {} items is drawn.",
            text::count(summary.n_shown()),
            text::count(summary.n_items)
        )
    } else {
        String::new()
    };
    Figure {
        id: "map",
        title: "Map of the items",
        how_to_read: format!(
            "Each point is an item, coloured by its component and fainter where membership is less \
             certain; large outlined markers are the centres of the components. The map keeps only the \
             two directions along which the items differ most, so groups that overlap here may be \
             apart in the full space.{shown}"
        ),
        alt: format!(
            "Scatter plot of {} in {}.",
            text::counted(summary.n_shown(), "item"),
            text::counted(summary.n_components(), "component")
        ),
        height: MAP_HEIGHT,
        uses_webgl_shaders: webgl,
        compares_components: false,
        plot,
    }
}

/// Weight, concentration and mean resultant length of each component.
pub fn component_parameters(summary: &Summary) -> Figure {
    type Row = (&'static str, &'static str, fn(&Component) -> f64);
    let rows: [Row; 3] = [
        ("weight", "y3", |c| c.weight),
        ("concentration κ", "y2", |c| c.concentration),
        ("tightness", "y", |c| c.mean_resultant_length),
    ];
    let mut plot = Plot::new();
    for (name, axis, value) in rows {
        let values = summary.components.iter().map(value).collect();
        plot.add_trace(
            component_bars(summary, values)
                .y_axis(axis)
                .hover_template(format!(
                    "%{{hovertext}}<br>{name} %{{y:.4~g}}<extra></extra>"
                )),
        );
    }
    let [weight, concentration, tightness] =
        rows.map(|(name, ..)| Axis::new().title(name).range_mode(RangeMode::ToZero));
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(summary).anchor("y"))
            .y_axis(tightness.domain(&[0.0, 0.28]).range(vec![0.0, 1.0]))
            .y_axis2(concentration.domain(&[0.36, 0.64]))
            .y_axis3(weight.domain(&[0.72, 1.0])),
    );
    Figure {
        id: "component_parameters",
        title: "Weight and tightness of each component",
        how_to_read: "A taller bar on top is a larger component; taller bars below are tighter ones, \
            whose items point more nearly the same way. Tightness is the mean resultant length: 1 is a \
            single direction, 0 none at all."
            .to_owned(),
        alt: "Bar charts of weight, concentration and tightness by component.".to_owned(),
        height: HEIGHT,
        uses_webgl_shaders: false,
        compares_components: false,
        plot,
    }
}

/// The mean directions on two principal axes.
pub fn mean_directions_2d(summary: &Summary) -> Figure {
    let mut plot = Plot::new();
    for component in &summary.components {
        let [x, y, _] = component.direction;
        plot.add_trace(
            Scatter::new(vec![x], vec![y])
                .mode(direction_mode(summary))
                .name(legend_name(component))
                .text(component.index.to_string())
                .text_position(Position::TopCenter)
                .marker(direction_marker(component))
                .hover_text(hover_name(component))
                .hover_template("%{hovertext}<extra></extra>"),
        );
    }
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(plain_axis(&axis_title(summary, 0)))
            .y_axis(plain_axis(&axis_title(summary, 1)).scale_anchor("x"))
            .hover_mode(HoverMode::Closest)
            .show_legend(false),
    );
    Figure {
        id: "mean_directions_2d",
        title: "Mean directions",
        how_to_read:
            "Each marker is the direction in which a component points, larger for a heavier \
            component; markers that lie close together stand for alike groups."
                .to_owned(),
        alt: "Scatter plot of the mean directions on two principal axes.".to_owned(),
        height: HEIGHT,
        uses_webgl_shaders: false,
        compares_components: true,
        plot,
    }
}

/// The mean directions on three principal axes.
pub fn mean_directions_3d(summary: &Summary) -> Figure {
    let mut plot = Plot::new();
    for component in &summary.components {
        let [x, y, z] = component.direction;
        plot.add_trace(
            Scatter3D::new(vec![x], vec![y], vec![z])
                .mode(direction_mode(summary))
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
        id: "mean_directions_3d",
        title: "Mean directions in space",
        how_to_read: "The same directions with a third axis: drag to turn, scroll to come closer."
            .to_owned(),
        alt: "Three-dimensional scatter plot of the mean directions.".to_owned(),
        height: HEIGHT,
        uses_webgl_shaders: false,
        compares_components: true,
        plot,
    }
}

/// Cosines between mean directions.
pub fn similarity_matrix(summary: &Summary) -> Figure {
    let names: Vec<String> = summary.components.iter().map(tick).collect();
    let hover = summary.components.iter().map(|row| {
        let pair = |column: &Component| format!("{}<br>{}", hover_name(row), hover_name(column));
        summary.components.iter().map(pair).collect()
    });
    let [low, high] = summary.similarity_range;
    let mut plot = Plot::new();
    plot.add_trace(
        HeatMap::new(names.clone(), names, summary.similarity.clone())
            .color_scale(ColorScale::Palette(ColorScalePalette::Viridis))
            .zmin(low)
            .zmax(high)
            .hover_text_matrix(hover.collect())
            .hover_template("%{hovertext}<br>cosine %{z:.3f}<extra></extra>")
            .color_bar(colour_bar("cosine")),
    );
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(summary))
            .y_axis(downwards_axis(summary.n_components()).title("component")),
    );
    Figure {
        id: "similarity_matrix",
        title: "How alike the components are",
        how_to_read: "Each cell compares two components: the brighter, the more alike their \
            directions (cosine 1 is the same direction, 0 a right angle)."
            .to_owned(),
        alt: "Heat map of the cosine between every two mean directions.".to_owned(),
        height: HEIGHT,
        uses_webgl_shaders: false,
        compares_components: true,
        plot,
    }
}

/// Items per component.
pub fn assignments(summary: &Summary) -> Figure {
    let sizes = summary.components.iter().map(|c| c.size as f64).collect();
    let ticks = summary.components.iter().map(tick).collect();
    let expected = summary.components.iter().map(|c| c.expected_size).collect();
    let mut plot = Plot::new();
    plot.add_trace(
        component_bars(summary, sizes)
            .name("assigned")
            .hover_template("%{hovertext}<br>%{y} items<extra></extra>"),
    );
    plot.add_trace(
        Scatter::new(ticks, expected)
            .mode(Mode::Markers)
            .name("expected")
            .marker(
                Marker::new()
                    .symbol(plotly::common::MarkerSymbol::LineEWOpen)
                    .size(16)
                    .color("#808890")
                    .line(Line::new().width(3.0)),
            )
            .hover_template("%{y:.1f} items expected<extra></extra>"),
    );
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(summary))
            .y_axis(Axis::new().title("items").range_mode(RangeMode::ToZero))
            .show_legend(false),
    );
    Figure {
        id: "assignments",
        title: "Items in each component",
        how_to_read: "A bar counts the items for which the component is the most likely one; the \
            grey tick is the number expected when every item is shared out by its probabilities."
            .to_owned(),
        alt: "Bar chart of the number of items by component.".to_owned(),
        height: HEIGHT,
        uses_webgl_shaders: false,
        compares_components: false,
        plot,
    }
}

/// How sharply items belong to their components.
pub fn entropies(summary: &Summary) -> Figure {
    let entropies = &summary.entropies;
    let starts: Vec<f64> = entropies.edges[..entropies.counts.len()].to_vec();
    let mut plot = Plot::new();
    plot.add_trace(
        Bar::new(starts, entropies.counts.clone())
            .offset(0.0)
            .width(entropies.bin_width)
            .marker(Marker::new().color(palette::colour(0)))
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
            .x_axis(component_axis(summary).anchor("y"))
            .y_axis(
                Axis::new()
                    .title("mean entropy")
                    .domain(&[0.0, 0.38])
                    .range(vec![0.0, highest]),
            )
            .x_axis2(
                Axis::new()
                    .title("membership entropy (share of the maximum)")
                    .anchor("y2")
                    .range(vec![0.0, 1.0]),
            )
            .y_axis2(Axis::new().title("items").anchor("x2").domain(&[0.6, 1.0])),
    );
    Figure {
        id: "entropies",
        title: "How sure each membership is",
        how_to_read: format!(
            "Items on the left of the upper chart belong clearly to one component, items on the right \
             are torn between many (mean {} of at most {} nats); the lower chart shows which components \
             share their items with others.",
            text::fixed(entropies.mean, 3),
            text::fixed(entropies.maximum, 3)
        ),
        alt: "Histogram of membership entropy, and its mean by component.".to_owned(),
        height: HEIGHT,
        uses_webgl_shaders: false,
        compares_components: true,
        plot,
    }
}

/// Labels against components.
pub fn labels(summary: &Summary, table: &LabelTable) -> Figure {
    let names = table
        .labels
        .iter()
        .map(|label| text::for_plotly_line(label, 24));
    let ticks = summary.components.iter().map(tick).collect();
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
    let height = LABEL_MARGIN + LABEL_ROW * table.labels.len();
    let mut plot = Plot::new();
    plot.add_trace(
        HeatMap::new(ticks, names.collect(), table.shares.clone())
            .color_scale(ColorScale::Palette(ColorScalePalette::Viridis))
            .zmin(0.0)
            .zmax(1.0)
            .hover_text_matrix(hover.collect())
            .hover_template("%{hovertext}<br>%{z:.1%} of the component<extra></extra>")
            .color_bar(colour_bar("share").tick_format(".0%")),
    );
    plot.set_layout(
        layout(height)
            .x_axis(component_axis(summary))
            .y_axis(downwards_axis(table.labels.len()).auto_margin(true)),
    );
    Figure {
        id: "labels",
        title: "Components and labels",
        how_to_read:
            "Each column shows how the labels of one component's items are shared out: one \
            bright cell means the component agrees with one label."
                .to_owned(),
        alt: "Heat map of the share of each label in each component.".to_owned(),
        height,
        uses_webgl_shaders: false,
        compares_components: false,
        plot,
    }
}

/// Log-likelihood over the iterations of the fit.
pub fn convergence(summary: &Summary) -> Figure {
    let values = summary.convergence.log_likelihoods.clone();
    let iterations: Vec<usize> = (1..=values.len()).collect();
    let mut plot = Plot::new();
    plot.add_trace(
        Scatter::new(iterations, values)
            .mode(Mode::LinesMarkers)
            .line(Line::new().color(palette::colour(0)).width(2.0))
            .marker(Marker::new().color(palette::colour(0)).size(5))
            .hover_template("iteration %{x}<br>%{y:.6f} nats<extra></extra>"),
    );
    plot.set_layout(
        layout(CONVERGENCE_HEIGHT)
            .x_axis(Axis::new().title("iteration").tick_format("d"))
            .y_axis(Axis::new().title("log-likelihood per item (nats)"))
            .show_legend(false),
    );
    Figure {
        id: "convergence_plot",
        title: "Progress of the fit",
        how_to_read:
            "The curve rises as the model comes to describe the items better, and flattens \
            when nothing more is to be gained."
                .to_owned(),
        alt: "Line chart of the log-likelihood by iteration.".to_owned(),
        height: CONVERGENCE_HEIGHT,
        uses_webgl_shaders: false,
        compares_components: false,
        plot,
    }
}

fn layout(height: usize) -> Layout {
    Layout::new()
        .height(height)
        .auto_size(true)
        .font(Font::new().size(13).family(
            "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif",
        ))
        .margin(Margin::new().left(64).right(16).top(32).bottom(52))
        .paper_background_color("rgba(0,0,0,0)")
        .plot_background_color("rgba(0,0,0,0)")
        .show_legend(false)
}

/// An axis whose numbers mean nothing by themselves.
fn plain_axis(title: &str) -> Axis {
    Axis::new()
        .title(title)
        .show_tick_labels(false)
        .zero_line(false)
}

fn component_axis(summary: &Summary) -> Axis {
    Axis::new()
        .title("component")
        .type_(AxisType::Category)
        .show_grid(false)
        .tick_angle(0.0)
        .tick_font(Font::new().size(11))
        .category_array(summary.components.iter().map(tick).collect::<Vec<_>>())
}

fn downwards_axis(n: usize) -> Axis {
    Axis::new()
        .type_(AxisType::Category)
        .show_grid(false)
        .tick_font(Font::new().size(11))
        .range(vec![n as f64 - 0.5, -0.5])
}

fn component_bars(summary: &Summary, values: Vec<f64>) -> Box<Bar<String, f64>> {
    let components = &summary.components;
    let colours = components.iter().map(|c| palette::colour(c.index));
    Bar::new(components.iter().map(tick).collect(), values)
        .width((BAR_WIDTH * components.len() as f64).min(WIDEST_BAR))
        .marker(Marker::new().color_array(colours.collect()))
        .hover_text_array(components.iter().map(hover_name).collect())
}

/// Numbers beside the markers, as long as there is room for them.
fn direction_mode(summary: &Summary) -> Mode {
    match summary.n_components() <= MOST_NUMBERS {
        true => Mode::MarkersText,
        false => Mode::Markers,
    }
}

fn direction_marker(component: &Component) -> Marker {
    Marker::new()
        .color(palette::colour(component.index))
        .symbol(palette::symbol(component.index))
        .size(marker_size(component.weight))
        .line(Line::new().width(1.0).color("#ffffff"))
}

fn colour_bar(title: &str) -> ColorBar {
    ColorBar::new()
        .title(title)
        .outline_width(0)
        .thickness_mode(ThicknessMode::Pixels)
        .thickness(12)
        .orientation(Orientation::Vertical)
}

fn axis_title(summary: &Summary, axis: usize) -> String {
    match summary.map.explained_variance_ratio.get(axis) {
        Some(&share) => format!(
            "axis {} ({} of the variance)",
            axis + 1,
            text::percent(share)
        ),
        None => format!("axis {}", axis + 1),
    }
}

fn tick(component: &Component) -> String {
    component.index.to_string()
}

fn legend_name(component: &Component) -> String {
    text::for_plotly_line(&component.label(), LEGEND)
}

fn hover_name(component: &Component) -> String {
    text::for_plotly(&component.label())
}

/// From certainty to opacity, so that the least certain item still shows.
fn opacity(certainty: f32) -> f64 {
    0.15 + 0.6 * f64::from(certainty)
}

/// Diameter in pixels, so that area grows with weight.
fn marker_size(weight: f64) -> usize {
    (10.0 + 40.0 * weight.sqrt()).round() as usize
}
