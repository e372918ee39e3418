//! What plotly's JSON says of a figure, as far as this crate's figures use it.

use plotters::style::{RGBAColor, RGBColor};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A figure.
#[derive(Deserialize)]
pub(super) struct Chart {
    pub(super) data: Vec<Trace>,
    layout: Map<String, Value>,
}

impl Chart {
    pub(super) fn is_in_space(&self) -> bool {
        self.data.iter().any(|trace| trace.kind == Kind::Scatter3d)
    }

    /// The axis that traces name `x`, `y2` and so on.
    pub(super) fn axis(&self, name: &str) -> Result<Axis, serde_json::Error> {
        let (letter, number) = name.split_at(1);
        part(self.layout.get(&format!("{letter}axis{number}")))
    }

    /// The three axes of the scene.
    pub(super) fn scene(&self) -> Result<Scene, serde_json::Error> {
        part(self.layout.get("scene"))
    }

    /// The traces that the legend names.
    pub(super) fn legend(&self) -> Vec<&Trace> {
        let is_shown = self.layout.get("showlegend").and_then(Value::as_bool);
        let named = |trace: &&Trace| trace.show_legend && !trace.name.is_empty();
        match is_shown {
            Some(true) => self.data.iter().filter(named).collect(),
            _ => Vec::new(),
        }
    }
}

fn part<T: DeserializeOwned + Default>(value: Option<&Value>) -> Result<T, serde_json::Error> {
    value.map_or_else(|| Ok(T::default()), T::deserialize)
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    #[serde(alias = "scattergl")]
    Scatter,
    Scatter3d,
    Bar,
    Heatmap,
}

#[derive(Deserialize)]
pub(super) struct Trace {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default = "yes", rename = "showlegend")]
    pub(super) show_legend: bool,
    #[serde(default = "x", rename = "xaxis")]
    pub(super) x_axis: String,
    #[serde(default = "y", rename = "yaxis")]
    pub(super) y_axis: String,
    #[serde(default)]
    pub(super) x: Vec<Option<Place>>,
    #[serde(default)]
    pub(super) y: Vec<Option<Place>>,
    #[serde(default)]
    pub(super) z: Depth,
    #[serde(default)]
    pub(super) mode: String,
    #[serde(default)]
    pub(super) text: Many<String>,
    #[serde(default)]
    pub(super) marker: Marker,
    #[serde(default)]
    pub(super) line: Line,
    pub(super) error_y: Option<Whiskers>,
    /// Of a bar.
    pub(super) width: Option<f64>,
    pub(super) offset: Option<f64>,
    /// Of a heat map.
    pub(super) zmin: Option<f64>,
    pub(super) zmax: Option<f64>,
    #[serde(default, rename = "reversescale")]
    pub(super) is_reversed: bool,
    #[serde(default, rename = "colorbar")]
    pub(super) colour_bar: ColourBar,
}

fn yes() -> bool {
    true
}

fn x() -> String {
    "x".to_owned()
}

fn y() -> String {
    "y".to_owned()
}

/// A number, or the name of a category.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Place {
    Number(f64),
    Name(String),
}

/// The numbers among places, and NaN for what is none.
pub(super) fn numbers(places: &[Option<Place>]) -> impl Iterator<Item = f64> {
    places.iter().map(|place| match place {
        Some(Place::Number(value)) => *value,
        _ => f64::NAN,
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Depth {
    Points(Vec<Option<f64>>),
    Matrix(Vec<Vec<Option<f64>>>),
}

impl Default for Depth {
    fn default() -> Self {
        Self::Points(Vec::new())
    }
}

/// One value for all points, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Many<T> {
    One(T),
    Each(Vec<T>),
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl<T> Many<T> {
    pub(super) fn at(&self, point: usize) -> Option<&T> {
        match self {
            Self::One(value) => Some(value),
            Self::Each(values) => values.get(point),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Marker {
    pub(super) color: Many<String>,
    /// Diameters in CSS pixels.
    pub(super) size: Many<f64>,
    pub(super) symbol: String,
    pub(super) line: Line,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    pub(super) color: Option<String>,
    pub(super) width: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Whiskers {
    /// Lengths upwards and downwards.
    pub(super) array: Vec<f64>,
    #[serde(rename = "arrayminus")]
    pub(super) array_minus: Vec<f64>,
    pub(super) color: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ColourBar {
    pub(super) title: Title,
}

#[derive(Default, Deserialize)]
pub(super) struct Title {
    pub(super) text: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Scene {
    pub(super) xaxis: Axis,
    pub(super) yaxis: Axis,
    pub(super) zaxis: Axis,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Axis {
    pub(super) title: Title,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(rename = "categoryarray")]
    pub(super) categories: Vec<String>,
    pub(super) range: Option<[f64; 2]>,
    pub(super) domain: Option<[f64; 2]>,
    pub(super) anchor: Option<String>,
    #[serde(rename = "tickformat")]
    pub(super) tick_format: String,
    #[serde(rename = "tickvals")]
    pub(super) tick_values: Vec<f64>,
    #[serde(rename = "ticktext")]
    pub(super) tick_text: Vec<String>,
    #[serde(rename = "showgrid")]
    pub(super) has_grid: Option<bool>,
    #[serde(rename = "showticklabels")]
    pub(super) has_tick_labels: Option<bool>,
    #[serde(rename = "rangemode")]
    pub(super) range_mode: String,
    #[serde(rename = "scaleanchor")]
    pub(super) scale_anchor: Option<String>,
}

/// `#rrggbb` or `rgba(r, g, b, a)`, the forms in which this crate's figures give colours.
pub(super) fn colour(text: &str) -> Option<RGBAColor> {
    if let Some(hex) = text.strip_prefix('#') {
        let value = u32::from_str_radix(hex, 16).ok()?;
        let [_, red, green, blue] = value.to_be_bytes();
        return Some(RGBColor(red, green, blue).into());
    }
    let inner = text.strip_prefix("rgba(")?.strip_suffix(')')?;
    let mut parts = inner.split(',').map(str::trim);
    let mut byte = || parts.next()?.parse().ok();
    let (red, green, blue) = (byte()?, byte()?, byte()?);
    Some(RGBAColor(red, green, blue, parts.next()?.parse().ok()?))
}

/// Text that was escaped for plotly, as it was before.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_colours_that_figures_give() {
        assert_eq!(colour("#0a64ff"), Some(RGBAColor(10, 100, 255, 1.0)));
        assert_eq!(
            colour("rgba(10, 100,255,0.5)"),
            Some(RGBAColor(10, 100, 255, 0.5))
        );
        assert_eq!(colour("red"), None);
    }
}
