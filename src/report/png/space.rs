//! A scene of three axes, seen from the side that plotly shows first.

use plotters::style::RGBAColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{Chart, Depth, Trace, numbers};
use super::pen::{At, GRID, Pen, SOFT_INK, TEXT, colour_at, pixels};
use crate::report::ReportError;

/// Turn about the upright axis and tilt towards the viewer, in radians.
const TURN: f64 = std::f64::consts::FRAC_PI_4;
const TILT: f64 = 0.6155;
/// Half the longest diagonal of the cube of half side one, which must fit.
const REACH: f64 = 1.75;

/// From the scene to the drawing.
struct View {
    /// Middle of the data and half of its longest side.
    middle: [f64; 3],
    half: f64,
    /// Pixels.
    centre: At,
    scale: f64,
}

impl View {
    /// Where a place of the cube from -1 to 1 lies, and how near it is to the viewer.
    fn cube(&self, [x, y, z]: [f64; 3]) -> (At, f64) {
        let (sin, cos) = TURN.sin_cos();
        let (right, away) = (y * cos - x * sin, -(x * cos + y * sin));
        let (sin, cos) = TILT.sin_cos();
        let (up, near) = (z * cos + away * sin, z * sin - away * cos);
        let at = (
            self.centre.0 + (self.scale * right).round() as i32,
            self.centre.1 - (self.scale * up).round() as i32,
        );
        (at, near)
    }

    fn place(&self, place: [f64; 3]) -> (At, f64) {
        self.cube([0, 1, 2].map(|axis: usize| (place[axis] - self.middle[axis]) / self.half))
    }
}

/// Draws a scene.
pub(super) fn draw(pen: &Pen, chart: &Chart) -> Result<(), ReportError> {
    let traces: Vec<Vec<[f64; 3]>> = chart.data.iter().map(places).collect();
    let ends = |axis: usize| {
        let values = traces.iter().flatten().map(|place| place[axis]);
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
            [low.min(value), high.max(value)]
        })
    };
    let ends = [ends(0), ends(1), ends(2)];
    let (across, down) = (&pen.across, &pen.down);
    let longest = ends
        .iter()
        .map(|[low, high]| high - low)
        .fold(1e-9, f64::max);
    let view = View {
        middle: ends.map(|[low, high]| (low + high) / 2.0),
        half: 0.55 * longest,
        centre: ((across.start + across.end) / 2, (down.start + down.end) / 2),
        scale: f64::from((across.len() as i32).min(down.len() as i32)) / (2.0 * REACH),
    };
    draw_cube(pen, &view, chart)?;
    let mut points = Vec::new();
    for (trace, places) in chart.data.iter().zip(&traces) {
        for (point, place) in places.iter().enumerate() {
            let (at, near) = view.place(*place);
            points.push((near, at, trace, point));
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, at, trace, point) in points {
        pen.marker(
            &trace.marker,
            point,
            at,
            unmultiplied(colour_at(&trace.marker, point)),
        )?;
        if let (true, Some(words)) = (trace.mode.contains("text"), trace.text.at(point)) {
            pen.above(words, &trace.marker, point, at)?;
        }
    }
    Ok(())
}

fn places(trace: &Trace) -> Vec<[f64; 3]> {
    let Depth::Points(depths) = &trace.z else {
        return Vec::new();
    };
    let pairs = numbers(&trace.x).zip(numbers(&trace.y));
    let places = pairs
        .zip(depths)
        .map(|((x, y), z)| [x, y, z.unwrap_or(f64::NAN)]);
    places.collect()
}

/// The three faces at the back, and the names of the axes.
fn draw_cube(pen: &Pen, view: &View, chart: &Chart) -> Result<(), ReportError> {
    let line = |from: [f64; 3], to: [f64; 3]| {
        let places = vec![view.cube(from).0, view.cube(to).0];
        pen.path(places, 1.0, RGBAColor::from(GRID))
    };
    for step in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        line([step, -1.0, -1.0], [step, 1.0, -1.0])?;
        line([-1.0, step, -1.0], [1.0, step, -1.0])?;
        line([-1.0, step, -1.0], [-1.0, step, 1.0])?;
        line([-1.0, -1.0, step], [-1.0, 1.0, step])?;
        line([step, -1.0, -1.0], [step, -1.0, 1.0])?;
        line([-1.0, -1.0, step], [1.0, -1.0, step])?;
    }
    let scene = chart.scene()?;
    let titles = [
        (scene.xaxis, [0.0, 1.15, -1.0], HPos::Left),
        (scene.yaxis, [1.15, 0.0, -1.0], HPos::Right),
        (scene.zaxis, [-1.0, 1.15, 0.0], HPos::Left),
    ];
    for (axis, place, side) in titles {
        let at = view.cube(place).0;
        pen.text(
            &axis.title.text,
            (at.0, at.1 + pixels(4.0)),
            TEXT,
            &SOFT_INK,
            (side, VPos::Center),
        )?;
    }
    Ok(())
}

/// A colour into which its opacity was multiplied for plotly.js, as it is meant to be seen.
fn unmultiplied(RGBAColor(red, green, blue, opacity): RGBAColor) -> RGBAColor {
    let [red, green, blue] =
        [red, green, blue].map(|byte| (f64::from(byte) / opacity).round() as u8);
    RGBAColor(red, green, blue, opacity)
}
