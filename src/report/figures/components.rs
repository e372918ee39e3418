//! Weights and concentrations.

use plotly::Plot;
use plotly::common::{ErrorData, ErrorType};
use plotly::layout::{Axis, RangeMode};

use super::Figure;
use super::layout::{HIGH, QUIET, component_axis, component_bars, in_order, layout};
use crate::report::Section;
use crate::report::summary::{Component, Summary};

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
        let bars = component_bars(summary, values)
            .y_axis(axis)
            .hover_template(format!(
                "%{{hovertext}}<br>{name} %{{y:.4~g}}<extra></extra>"
            ));
        plot.add_trace(match axis {
            "y2" => bars.error_y(interval(summary)),
            _ => bars,
        });
    }
    let [weight, concentration, tightness] =
        rows.map(|(name, ..)| Axis::new().title(name).range_mode(RangeMode::ToZero));
    plot.set_layout(
        layout(HIGH)
            .x_axis(component_axis(&in_order(summary)).anchor("y"))
            .y_axis(tightness.domain(&[0.0, 0.28]).range(vec![0.0, 1.0]))
            .y_axis2(concentration.domain(&[0.36, 0.64]))
            .y_axis3(weight.domain(&[0.72, 1.0])),
    );
    Figure {
        id: "component_parameters".to_owned(),
        title: "Weight and tightness of each component".to_owned(),
        how_to_read: "A taller bar on top is a larger component; taller bars below are tighter ones, whose items point more \
            nearly the same way. Whiskers are 95 % intervals, which leave out that small samples look tighter than they are: they \
            may lie below the bar. Tightness is the mean resultant length: 1 is a single direction, 0 none at all."
            .to_owned(),
        alt: "Bar charts of weight, concentration and tightness by component.".to_owned(),
        height: HIGH,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Weights,
        plot,
    }
}

/// From each concentration to the ends of its interval.
fn interval(summary: &Summary) -> ErrorData {
    let to = |end: usize, sign: f64| {
        let of = |c: &Component| {
            let end = c
                .concentration_interval
                .map_or(c.concentration, |ends| ends[end]);
            sign * (end - c.concentration)
        };
        summary.components.iter().map(of).collect()
    };
    ErrorData::new(ErrorType::Data)
        .symmetric(false)
        .array(to(1, 1.0))
        .array_minus(to(0, -1.0))
        .color(QUIET)
        .thickness(1.5)
        .width(4)
}
