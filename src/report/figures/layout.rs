//! What the figures have in common.

use plotly::color::Rgba;
use plotly::common::{
    ColorBar, ColorScale, ColorScalePalette, Font, Marker, Orientation, ThicknessMode,
};
use plotly::layout::{Axis, AxisType, Margin};
use plotly::{Bar, HeatMap, Layout};

use crate::report::palette;
use crate::report::summary::{Component, Histogram, Summary};
use crate::report::text;

/// Heights in CSS pixels; figures that stand side by side share one.
pub(super) const HEIGHT: usize = 460;
pub(super) const LOW: usize = 360;
pub(super) const HIGH: usize = 600;
/// Width of a bar where there are few components, per component, and where there are many; 1 leaves no gap.
const BAR_WIDTH: f64 = 0.1;
const WIDEST_BAR: f64 = 0.8;
/// Characters of a component's name in a legend.
const LEGEND: usize = 30;
/// What stands beside the data: a run that was not kept, an expectation.
pub(super) const QUIET: &str = "#808890";

pub(super) fn layout(height: usize) -> Layout {
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
pub(super) fn plain_axis(title: &str) -> Axis {
    Axis::new()
        .title(title)
        .show_tick_labels(false)
        .zero_line(false)
}

/// An axis of components, in this order.
pub(super) fn component_axis(components: &[usize]) -> Axis {
    Axis::new()
        .title("component")
        .type_(AxisType::Category)
        .show_grid(false)
        .tick_angle(0.0)
        .tick_font(Font::new().size(11))
        .category_array(ticks(components))
}

/// An axis of `n` categories that runs from top to bottom.
pub(super) fn downwards_axis(n: usize) -> Axis {
    Axis::new()
        .type_(AxisType::Category)
        .show_grid(false)
        .tick_font(Font::new().size(11))
        .range(vec![n as f64 - 0.5, -0.5])
}

/// The axis with categories `0`, `1`, ... that are called by names, of which several may be the same.
pub(super) fn named(axis: Axis, names: Vec<String>) -> Axis {
    let places = (0..names.len()).map(|place| place as f64);
    axis.type_(AxisType::Category)
        .tick_values(places.collect())
        .tick_text(names)
}

pub(super) fn ticks(components: &[usize]) -> Vec<String> {
    components.iter().map(usize::to_string).collect()
}

/// The components in the model's order.
pub(super) fn in_order(summary: &Summary) -> Vec<usize> {
    (0..summary.n_components()).collect()
}

/// A bar for each component.
pub(super) fn component_bars(summary: &Summary, values: Vec<f64>) -> Box<Bar<String, f64>> {
    let components = &summary.components;
    let colours = components.iter().map(|c| palette::colour(c.index));
    Bar::new(ticks(&in_order(summary)), values)
        .width((BAR_WIDTH * components.len() as f64).min(WIDEST_BAR))
        .marker(Marker::new().color_array(colours.collect()))
        .hover_text_array(components.iter().map(hover_name).collect())
}

/// The bars of a histogram.
pub(super) fn histogram_bars(histogram: &Histogram) -> Box<Bar<f64, usize>> {
    let starts = histogram.edges[..histogram.counts.len()].to_vec();
    Bar::new(starts, histogram.counts.clone())
        .offset(0.0)
        .width(histogram.bin_width)
        .marker(Marker::new().color(palette::colour(0)))
}

/// A map of numbers, the higher the brighter.
pub(super) fn heat_map<Z: serde::Serialize + Clone + Default>(
    across: Vec<String>,
    down: Vec<String>,
    values: Vec<Vec<Z>>,
    title: &str,
) -> Box<HeatMap<String, String, Vec<Z>>> {
    HeatMap::new(across, down, values)
        .color_scale(ColorScale::Palette(ColorScalePalette::Viridis))
        .color_bar(colour_bar(title))
}

/// A map of a number for every pair of the compared components.
pub(super) fn component_matrix<Z: serde::Serialize + Clone + Default>(
    summary: &Summary,
    values: &[Vec<Z>],
    title: &str,
) -> Box<HeatMap<String, String, Vec<Z>>> {
    let compared = &summary.similarity.components;
    heat_map(ticks(compared), ticks(compared), values.to_vec(), title)
        .hover_text_matrix(hover_pairs(summary, compared))
}

fn colour_bar(title: &str) -> ColorBar {
    ColorBar::new()
        .title(title)
        .outline_width(0)
        .thickness_mode(ThicknessMode::Pixels)
        .thickness(12)
        .orientation(Orientation::Vertical)
}

pub(super) fn legend_name(component: &Component) -> String {
    text::for_plotly_line(&component.label(), LEGEND)
}

pub(super) fn hover_name(component: &Component) -> String {
    text::for_plotly(&component.label())
}

/// For each cell of a matrix of components the names of both.
fn hover_pairs(summary: &Summary, components: &[usize]) -> Vec<Vec<String>> {
    let names: Vec<String> = components
        .iter()
        .map(|&k| text::for_plotly_line(&summary.components[k].label(), LEGEND))
        .collect();
    let pair = |row: &String| {
        let cell = |column: &String| format!("{row}<br>{column}");
        names.iter().map(cell).collect()
    };
    names.iter().map(pair).collect()
}

/// From certainty to opacity, so that the least certain item still shows.
fn opacity(certainty: f64) -> f64 {
    ((0.15 + 0.6 * certainty) * 100.0).round() / 100.0
}

pub(super) fn faded(component: usize, certainty: f64) -> Rgba {
    let [red, green, blue] = palette::rgb(component);
    Rgba::new(red, green, blue, opacity(certainty))
}

/// The same in space, where plotly.js blends colours as if their opacity had been multiplied in.
pub(super) fn faded_in_space(component: usize, certainty: f64) -> Rgba {
    let opacity = opacity(certainty);
    let [red, green, blue] =
        palette::rgb(component).map(|byte| (f64::from(byte) * opacity).round() as u8);
    Rgba::new(red, green, blue, opacity)
}
