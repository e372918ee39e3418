//! Text, markers, lines and the legend, in pixels of the whole drawing; sizes are CSS pixels.

use std::ops::Range;
use std::sync::LazyLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Chart, Marker, Trace, colour, unescaped};
use crate::report::ReportError;

/// Pixels drawn for a CSS pixel.
pub(super) const FINENESS: i32 = 3;
pub(super) const INK: RGBColor = RGBColor(38, 42, 51);
pub(super) const SOFT_INK: RGBColor = RGBColor(96, 104, 118);
pub(super) const GRID: RGBColor = RGBColor(228, 231, 236);
/// What is drawn where a trace names no colour.
const PLAIN: RGBAColor = RGBAColor(0, 114, 178, 1.0);
pub(super) const TEXT: f64 = 13.0;
const TITLE: f64 = 20.0;
/// Height of the title with the room about it.
pub(super) const HEAD: usize = 48;
const FONT: &str = "vmfmix";
/// Diameter where a trace gives none, and of what stands in the legend.
const MARKER: f64 = 6.0;
const LEGEND_MARKER: f64 = 9.0;
const LEGEND_WIDTH: i32 = 220 * FINENESS;
const LEGEND_ROW: i32 = 20 * FINENESS;

static HAS_FONT: LazyLock<bool> = LazyLock::new(|| {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok()
});

pub(super) type Root<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
pub(super) type At = (i32, i32);

/// Draws on a drawing; `across` and `down` are the part of it that is still free.
pub(super) struct Pen<'a> {
    root: Root<'a>,
    pub(super) across: Range<i32>,
    pub(super) down: Range<i32>,
}

impl<'a> Pen<'a> {
    pub(super) fn new(root: Root<'a>) -> Result<Self, ReportError> {
        if !*HAS_FONT {
            return Err(ReportError::Plot {
                reason: "the embedded font cannot be read".to_owned(),
            });
        }
        let (across, down) = root.get_pixel_range();
        Ok(Self { root, across, down })
    }

    /// Text that begins or ends at a place, or has it at its middle.
    pub(super) fn text(
        &self,
        text: &str,
        at: At,
        size: f64,
        colour: &RGBColor,
        (across, down): (HPos, VPos),
    ) -> Result<(), ReportError> {
        let style = font(size, colour).pos(Pos::new(across, down));
        Ok(self.root.draw(&Text::new(unescaped(text), at, style))?)
    }

    /// A line through all places.
    pub(super) fn path(
        &self,
        places: Vec<At>,
        width: f64,
        colour: RGBAColor,
    ) -> Result<(), ReportError> {
        let style = colour.stroke_width(pixels(width).max(1) as u32);
        Ok(self.root.draw(&PathElement::new(places, style))?)
    }

    pub(super) fn rectangle(&self, corners: [At; 2], colour: RGBAColor) -> Result<(), ReportError> {
        let [(left, top), (right, bottom)] = corners;
        let corners = [
            (left.min(right), top.min(bottom)),
            (left.max(right), top.max(bottom)),
        ];
        Ok(self.root.draw(&Rectangle::new(corners, colour.filled()))?)
    }

    /// Text that runs upwards.
    pub(super) fn upright(&self, text: &str, at: At) -> Result<(), ReportError> {
        let style = font(TEXT, &SOFT_INK)
            .transform(FontTransform::Rotate270)
            .pos(Pos::new(HPos::Center, VPos::Top));
        Ok(self.root.draw(&Text::new(unescaped(text), at, style))?)
    }

    /// Text above the marker of a point.
    pub(super) fn above(
        &self,
        text: &str,
        marker: &Marker,
        point: usize,
        at: At,
    ) -> Result<(), ReportError> {
        let at = (at.0, at.1 - pixels(diameter(marker, point) / 2.0 + 2.0));
        self.text(text, at, TEXT, &INK, (HPos::Center, VPos::Bottom))
    }

    /// The marker of a point.
    pub(super) fn marker(
        &self,
        marker: &Marker,
        point: usize,
        at: At,
        fill: RGBAColor,
    ) -> Result<(), ReportError> {
        self.shape(marker, at, diameter(marker, point), fill)
    }

    fn shape(
        &self,
        marker: &Marker,
        at: At,
        size: f64,
        fill: RGBAColor,
    ) -> Result<(), ReportError> {
        let radius = f64::from(FINENESS) * size / 2.0;
        let from = |middle: i32, share: f64| middle + (radius * share).round() as i32;
        let corners = outline(&marker.symbol).into_iter();
        let outline: Vec<At> = corners
            .map(|(x, y)| (from(at.0, x), from(at.1, y)))
            .collect();
        let edge_width = marker.line.width.unwrap_or(1.0);
        if marker.symbol.ends_with("-open") {
            return self.path(outline, edge_width.max(2.0), fill);
        }
        self.root
            .draw(&Polygon::new(outline.clone(), fill.filled()))?;
        match marker.line.color.as_deref().and_then(colour) {
            Some(edge) => self.path(outline, edge_width, edge),
            None => Ok(()),
        }
    }

    /// Writes the title on top, and leaves the rest free.
    pub(super) fn with_title(mut self, title: &str) -> Result<Self, ReportError> {
        let at = (
            self.across.start + pixels(16.0),
            self.down.start + pixels(14.0),
        );
        self.text(title, at, TITLE, &INK, (HPos::Left, VPos::Top))?;
        self.down.start += pixels(HEAD as f64);
        Ok(self)
    }

    /// Names the traces at the right, and leaves the rest free.
    pub(super) fn with_legend(mut self, chart: &Chart) -> Result<Self, ReportError> {
        let named = chart.legend();
        if named.is_empty() {
            return Ok(self);
        }
        self.across.end -= LEGEND_WIDTH;
        let rows = (self.down.len() as i32 / LEGEND_ROW - 1).max(1) as usize;
        let (left, top) = (
            self.across.end + 2 * LEGEND_ROW / 3,
            self.down.start + LEGEND_ROW,
        );
        let more = match named.len() > rows {
            true => named.len() - rows + 1,
            false => 0,
        };
        let middle = |row: usize| top + row as i32 * LEGEND_ROW;
        let beside = |text: &str, row: usize| {
            let at = (left + LEGEND_ROW / 2, middle(row));
            self.text(text, at, TEXT - 1.0, &INK, (HPos::Left, VPos::Center))
        };
        for (row, trace) in named[..named.len() - more].iter().enumerate() {
            let at = (left, middle(row));
            match trace.mode.contains("lines") {
                true => self.path(
                    vec![(left - 15, at.1), (left + 15, at.1)],
                    2.0,
                    line_colour(trace),
                )?,
                false => {
                    let RGBAColor(red, green, blue, _) = colour_at(&trace.marker, 0);
                    let fill = RGBAColor(red, green, blue, 1.0);
                    self.shape(&trace.marker, at, LEGEND_MARKER, fill)?;
                }
            }
            beside(&trace.name, row)?;
        }
        if more > 0 {
            beside(&format!("and {more} more"), named.len() - more)?;
        }
        Ok(self)
    }
}

/// So many CSS pixels.
pub(super) fn pixels(css: f64) -> i32 {
    (css * f64::from(FINENESS)).round() as i32
}

fn font(size: f64, colour: &RGBColor) -> TextStyle<'static> {
    (FONT, pixels(size)).into_font().color(colour)
}

pub(super) fn colour_at(marker: &Marker, point: usize) -> RGBAColor {
    let named = marker.color.at(point);
    named.and_then(|text| colour(text)).unwrap_or(PLAIN)
}

pub(super) fn line_colour(trace: &Trace) -> RGBAColor {
    let named = trace.line.color.as_deref();
    named.and_then(colour).unwrap_or(PLAIN)
}

/// The diameter of a point in CSS pixels.
fn diameter(marker: &Marker, point: usize) -> f64 {
    marker.size.at(point).copied().unwrap_or(MARKER)
}

/// A symbol of plotly's as a polygon in a circle of radius one.
fn outline(symbol: &str) -> Vec<(f64, f64)> {
    let regular = |n: usize, radius: f64, turn: f64| {
        let corner = |i: usize| {
            let angle = std::f64::consts::TAU * (i as f64 / n as f64 + turn);
            (radius * angle.sin(), -radius * angle.cos())
        };
        (0..=n).map(corner).collect::<Vec<_>>()
    };
    const ARM: f64 = 0.4;
    let cross = vec![
        (-ARM, -1.0),
        (ARM, -1.0),
        (ARM, -ARM),
        (1.0, -ARM),
        (1.0, ARM),
        (ARM, ARM),
        (ARM, 1.0),
        (-ARM, 1.0),
        (-ARM, ARM),
        (-1.0, ARM),
        (-1.0, -ARM),
        (-ARM, -ARM),
        (-ARM, -1.0),
    ];
    match symbol.trim_end_matches("-open") {
        "square" => regular(4, 1.25, 0.125),
        "triangle-up" => regular(3, 1.25, 0.0),
        "triangle-down" => regular(3, 1.25, 0.5),
        "diamond" => regular(4, 1.3, 0.0),
        "pentagon" => regular(5, 1.1, 0.0),
        "cross" => cross,
        "x" => {
            let turned = |(x, y): (f64, f64)| {
                let half = std::f64::consts::FRAC_1_SQRT_2;
                (half * (x - y), half * (x + y))
            };
            cross.into_iter().map(turned).collect()
        }
        "line-ew" => vec![(-1.0, 0.0), (1.0, 0.0)],
        _ => regular(24, 1.0, 0.0),
    }
}
