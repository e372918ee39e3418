//! Panels of two axes.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{Axis, Chart, Depth, Kind, Place, Trace, colour, numbers};
use super::pen::{At, FINENESS, GRID, INK, Pen, SOFT_INK, TEXT, colour_at, line_colour, pixels};
use super::scale::Scale;
use crate::report::ReportError;

/// Room around the panels, in CSS pixels: below for ticks and title, on top, at the right, and for a colour bar.
const BELOW: f64 = 54.0;
const ABOVE: f64 = 12.0;
const RIGHT: f64 = 20.0;
const COLOUR_BAR: f64 = 88.0;
/// Width of the colour bar itself.
const BAR: f64 = 12.0;
/// Room at the left for the title, and for each character of the longest tick.
const TITLE: f64 = 34.0;
const CHARACTER: f64 = 6.3;
/// CSS pixels from tick to tick.
const TICK_ACROSS: f64 = 90.0;
const TICK_DOWN: f64 = 32.0;
/// The least of them where categories have names.
const NAME_ACROSS: f64 = 26.0;
const NAME_DOWN: f64 = 15.0;
/// Steps of the colour bar.
const SHADES: i32 = 64;
/// Share of a category that its bars fill where no width is given.
const FILLED: f64 = 0.8;

/// The traces that share two axes.
struct Panel<'a> {
    traces: Vec<&'a Trace>,
    axes: [Axis; 2],
    scales: [Scale; 2],
    has_ticks_below: bool,
    across: [i32; 2],
    /// From the bottom to the top.
    up: [i32; 2],
}

/// Draws all panels of a figure.
pub(super) fn draw(pen: &Pen, chart: &Chart) -> Result<(), ReportError> {
    for panel in panels(pen, chart)? {
        panel.draw_axes(pen)?;
        let n_bars = panel
            .traces
            .iter()
            .filter(|trace| trace.kind == Kind::Bar)
            .count();
        let mut bars = 0..n_bars;
        for trace in &panel.traces {
            match trace.kind {
                Kind::Bar => panel.draw_bars(pen, trace, bars.next().unwrap_or(0), n_bars)?,
                Kind::Heatmap => panel.draw_heat_map(pen, trace)?,
                Kind::Scatter | Kind::Scatter3d => panel.draw_points(pen, trace)?,
            }
        }
    }
    Ok(())
}

fn panels<'a>(pen: &Pen, chart: &'a Chart) -> Result<Vec<Panel<'a>>, ReportError> {
    let mut names: Vec<[&str; 2]> = Vec::new();
    for trace in &chart.data {
        let pair = [trace.x_axis.as_str(), trace.y_axis.as_str()];
        if !names.contains(&pair) {
            names.push(pair);
        }
    }
    let free = [pen.across.len() as i32, pen.down.len() as i32];
    let mut panels = Vec::new();
    for [x, y] in names {
        let of = |trace: &&Trace| trace.x_axis == x && trace.y_axis == y;
        let traces: Vec<&Trace> = chart.data.iter().filter(of).collect();
        let axes = [chart.axis(x)?, chart.axis(y)?];
        let shares = [0, 1].map(|side: usize| {
            let [from, to] = axes[side].domain.unwrap_or([0.0, 1.0]);
            (to - from) * f64::from(free[side])
        });
        let scales = scales(&traces, &axes, shares);
        let has_ticks_below = axes[0].anchor.as_deref().unwrap_or(y) == y;
        panels.push(Panel {
            traces,
            axes,
            scales,
            has_ticks_below,
            across: [0; 2],
            up: [0; 2],
        });
    }
    place(pen, &mut panels);
    Ok(panels)
}

/// The scales of both axes, from what the traces say and how many pixels there are.
fn scales(traces: &[&Trace], axes: &[Axis; 2], pixels: [f64; 2]) -> [Scale; 2] {
    let mut places: [Vec<Option<Place>>; 2] = [Vec::new(), Vec::new()];
    let mut reach: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for trace in traces {
        places[0].extend(trace.x.iter().cloned());
        places[1].extend(trace.y.iter().cloned());
        if trace.kind == Kind::Bar {
            reach[1].push(0.0);
            let [left, right] = sides(trace, 0, 1);
            let ends = numbers(&trace.x).flat_map(|x| [x + left, x + right]);
            reach[0].extend(ends);
        }
        if let Some(whiskers) = &trace.error_y {
            let ends = numbers(&trace.y)
                .zip(&whiskers.array)
                .zip(&whiskers.array_minus);
            reach[1].extend(ends.flat_map(|((y, up), down)| [y + up, y - down]));
        }
    }
    let room = |side: usize, names: Option<&[String]>| {
        let longest = names.into_iter().flatten().map(|name| name.chars().count());
        let step = match (side, longest.max()) {
            (0, Some(longest)) => NAME_ACROSS.max(CHARACTER * (longest + 2) as f64),
            (0, None) => TICK_ACROSS,
            (_, Some(_)) => NAME_DOWN,
            (_, None) => TICK_DOWN,
        };
        (pixels[side] / (step * f64::from(FINENESS))).max(2.0) as usize
    };
    let [x, y] = [0, 1].map(|side: usize| {
        Scale::new(&axes[side], &places[side], &reach[side], |names| {
            room(side, names)
        })
    });
    if axes[1].scale_anchor.is_none() {
        return [x, y];
    }
    let [across, up] = [x.length() / pixels[0], y.length() / pixels[1]];
    match across > up {
        true => [x, y.stretched(across / up)],
        false => [x.stretched(up / across), y],
    }
}

/// Gives the panels their pixels.
fn place(pen: &Pen, panels: &mut [Panel]) {
    let longest = |panel: &Panel| {
        let lengths = panel.scales[1]
            .ticks
            .iter()
            .map(|(_, words)| words.chars().count());
        lengths.max().unwrap_or(0)
    };
    let characters = panels.iter().map(longest).max().unwrap_or(0);
    let has_colours = panels.iter().flat_map(|panel| &panel.traces);
    let right = match has_colours
        .into_iter()
        .any(|trace| trace.kind == Kind::Heatmap)
    {
        true => COLOUR_BAR,
        false => RIGHT,
    };
    let across = pen.across.start + pixels(TITLE + CHARACTER * characters as f64)
        ..pen.across.end - pixels(right);
    let down = pen.down.start + pixels(ABOVE)..pen.down.end - pixels(BELOW);
    let part = |range: &Range<i32>, share: f64| {
        range.start + (share * f64::from(range.end - range.start)).round() as i32
    };
    for panel in panels {
        let [x, y] = [0, 1].map(|side: usize| panel.axes[side].domain.unwrap_or([0.0, 1.0]));
        panel.across = x.map(|share| part(&across, share));
        panel.up = y.map(|share| part(&down, 1.0 - share));
    }
}

/// From a bar's place to its left and right side, where it is one of `n` side by side.
fn sides(trace: &Trace, at: usize, n: usize) -> [f64; 2] {
    let width = trace.width.unwrap_or(FILLED / n as f64);
    let left = trace.offset.unwrap_or(match trace.width {
        Some(width) => -width / 2.0,
        None => width * (at as f64 - n as f64 / 2.0),
    });
    [left, left + width]
}

impl Panel<'_> {
    fn x(&self, value: f64) -> i32 {
        self.scales[0].pixel(value, self.across)
    }

    fn y(&self, value: f64) -> i32 {
        self.scales[1].pixel(value, self.up)
    }

    /// Where the points of a trace lie; `None` where a number is missing.
    fn places(&self, trace: &Trace) -> Vec<Option<[f64; 2]>> {
        let [x, y] = &self.scales;
        let pairs = trace.x.iter().zip(&trace.y);
        let place = |(across, up): (&Option<Place>, &Option<Place>)| {
            Some([x.value(across.as_ref())?, y.value(up.as_ref())?])
        };
        pairs.map(place).collect()
    }

    fn pixel(&self, [x, y]: [f64; 2]) -> At {
        (self.x(x), self.y(y))
    }

    fn draw_axes(&self, pen: &Pen) -> Result<(), ReportError> {
        let [[left, right], [bottom, top]] = [self.across, self.up];
        let [x, y] = &self.axes;
        let gap = pixels(6.0);
        for (value, words) in &self.scales[0].ticks {
            let at = self.x(*value);
            if x.has_grid != Some(false) {
                pen.path(vec![(at, top), (at, bottom)], 1.0, GRID.into())?;
            }
            if self.has_ticks_below {
                let place = (HPos::Center, VPos::Top);
                pen.text(words, (at, bottom + gap), TEXT - 1.0, &INK, place)?;
            }
        }
        for (value, words) in &self.scales[1].ticks {
            let at = self.y(*value);
            if y.has_grid != Some(false) {
                pen.path(vec![(left, at), (right, at)], 1.0, GRID.into())?;
            }
            let place = (HPos::Right, VPos::Center);
            pen.text(words, (left - gap, at), TEXT - 1.0, &INK, place)?;
        }
        pen.path(
            vec![(left, top), (left, bottom), (right, bottom)],
            1.0,
            GRID.into(),
        )?;
        if self.has_ticks_below {
            let at = ((left + right) / 2, bottom + pixels(28.0));
            pen.text(
                &x.title.text,
                at,
                TEXT,
                &SOFT_INK,
                (HPos::Center, VPos::Top),
            )?;
        }
        pen.upright(
            &y.title.text,
            (pen.across.start + pixels(8.0), (top + bottom) / 2),
        )
    }

    fn draw_bars(&self, pen: &Pen, trace: &Trace, at: usize, n: usize) -> Result<(), ReportError> {
        let [left, right] = sides(trace, at, n);
        for (point, place) in self.places(trace).into_iter().enumerate() {
            let Some([x, y]) = place else { continue };
            let corners = [
                (self.x(x + left), self.y(y)),
                (self.x(x + right), self.y(0.0)),
            ];
            pen.rectangle(corners, colour_at(&trace.marker, point))?;
            if let Some(whiskers) = &trace.error_y {
                let ends = [
                    whiskers.array.get(point).copied(),
                    whiskers.array_minus.get(point).map(|down| -down),
                ];
                let [high, low] = ends.map(|end| self.y(y + end.unwrap_or(0.0)));
                let (at, arm) = (self.x(x), pixels(4.0));
                let colour = colour(&whiskers.color).unwrap_or(INK.into());
                pen.path(vec![(at, low), (at, high)], 1.5, colour)?;
                for end in [low, high] {
                    pen.path(vec![(at - arm, end), (at + arm, end)], 1.5, colour)?;
                }
            }
        }
        Ok(())
    }

    fn draw_points(&self, pen: &Pen, trace: &Trace) -> Result<(), ReportError> {
        let places: Vec<Option<At>> = self
            .places(trace)
            .into_iter()
            .map(|place| place.map(|place| self.pixel(place)))
            .collect();
        if trace.mode.contains("lines") {
            for run in places.split(Option::is_none) {
                let run = run.iter().flatten().copied().collect();
                pen.path(run, trace.line.width.unwrap_or(2.0), line_colour(trace))?;
            }
        }
        for (point, place) in places.into_iter().enumerate() {
            let Some(at) = place else { continue };
            if trace.mode.contains("markers") {
                pen.marker(&trace.marker, point, at, colour_at(&trace.marker, point))?;
            }
            if let (true, Some(words)) = (trace.mode.contains("text"), trace.text.at(point)) {
                pen.above(words, &trace.marker, point, at)?;
            }
        }
        Ok(())
    }

    fn draw_heat_map(&self, pen: &Pen, trace: &Trace) -> Result<(), ReportError> {
        let Depth::Matrix(rows) = &trace.z else {
            return Ok(());
        };
        let values = || rows.iter().flatten().flatten().copied();
        let low = trace
            .zmin
            .unwrap_or_else(|| values().fold(f64::INFINITY, f64::min));
        let high = trace
            .zmax
            .unwrap_or_else(|| values().fold(f64::NEG_INFINITY, f64::max));
        let shade = |value: f64| {
            let share = ((value - low) / (high - low).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
            let share = if trace.is_reversed {
                1.0 - share
            } else {
                share
            };
            RGBAColor::from(ViridisRGB.get_color(share))
        };
        let [across, up] = [(&trace.x, 0), (&trace.y, 1)].map(|(places, side): (_, usize)| {
            let values = places
                .iter()
                .map(|place| self.scales[side].value(place.as_ref()));
            values.collect::<Vec<_>>()
        });
        for (row, y) in rows.iter().zip(up) {
            for (value, x) in row.iter().zip(&across) {
                if let (Some(value), Some(x), Some(y)) = (value, x, y) {
                    let corners = [
                        self.pixel([x - 0.5, y - 0.5]),
                        self.pixel([x + 0.5, y + 0.5]),
                    ];
                    pen.rectangle(corners, shade(*value))?;
                }
            }
        }
        self.draw_colour_bar(pen, trace, [low, high], shade)
    }

    fn draw_colour_bar(
        &self,
        pen: &Pen,
        trace: &Trace,
        [low, high]: [f64; 2],
        shade: impl Fn(f64) -> RGBAColor,
    ) -> Result<(), ReportError> {
        let [bottom, top] = self.up;
        let left = self.across[1] + pixels(16.0);
        let right = left + pixels(BAR);
        let top = top + pixels(20.0);
        let at = |step: i32| bottom + (top - bottom) * step / SHADES;
        for step in 0..SHADES {
            let value = low + (high - low) * f64::from(step) / f64::from(SHADES - 1);
            pen.rectangle([(left, at(step)), (right, at(step + 1))], shade(value))?;
        }
        let axis = Axis {
            range: Some([low, high]),
            ..Axis::default()
        };
        let scale = Scale::new(&axis, &[], &[], |_| 6);
        for (value, words) in &scale.ticks {
            let at = (right + pixels(5.0), scale.pixel(*value, [bottom, top]));
            pen.text(words, at, TEXT - 2.0, &INK, (HPos::Left, VPos::Center))?;
        }
        let title = (left, self.up[1]);
        pen.text(
            &trace.colour_bar.title.text,
            title,
            TEXT - 1.0,
            &SOFT_INK,
            (HPos::Left, VPos::Top),
        )
    }
}
