//! Range and ticks of an axis.

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;

use super::chart::{Axis, Place, unescaped};
use crate::report::text;

/// Share of the range left free on either side of the values.
const HEADROOM: f64 = 0.05;
/// Relative distance at which two numbers are the same tick.
const SAME: f64 = 1e-9;

/// From the places along an axis to pixels.
#[derive(Clone)]
pub(super) struct Scale {
    /// What lies at the left or the bottom, and what at the right or the top.
    ends: [f64; 2],
    names: Option<Vec<String>>,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// The scale of an axis along which these places lie; numbers that it must reach besides; and for how many ticks there is room, of
    /// names if there are any.
    pub(super) fn new(
        axis: &Axis,
        places: &[Option<Place>],
        reach: &[f64],
        room: impl FnOnce(Option<&[String]>) -> usize,
    ) -> Self {
        let names = categories(axis, places);
        let mut scale = Self {
            ends: [0.0, 1.0],
            names,
            ticks: Vec::new(),
        };
        let own: Vec<f64> = places
            .iter()
            .filter_map(|place| scale.value(place.as_ref()))
            .collect();
        scale.ends = match (axis.range, &scale.names) {
            (Some(range), _) => range,
            (None, Some(names)) => [-0.5, names.len() as f64 - 0.5],
            (None, None) => extent(
                own.into_iter().chain(reach.iter().copied()),
                &axis.range_mode,
            ),
        };
        let most = room(scale.names.as_deref());
        scale.ticks = scale.ticks_of(axis, most);
        scale
    }

    /// The number that stands for a place.
    pub(super) fn value(&self, place: Option<&Place>) -> Option<f64> {
        match (place?, &self.names) {
            (Place::Number(value), _) => Some(*value),
            (Place::Name(name), Some(names)) => names
                .iter()
                .position(|other| other == name)
                .map(|at| at as f64),
            (Place::Name(_), None) => None,
        }
    }

    /// Where a number lies between the pixels of both ends.
    pub(super) fn pixel(&self, value: f64, [start, end]: [i32; 2]) -> i32 {
        let share = (value - self.ends[0]) / (self.ends[1] - self.ends[0]);
        start + (share * f64::from(end - start)).round() as i32
    }

    pub(super) fn length(&self) -> f64 {
        (self.ends[1] - self.ends[0]).abs()
    }

    /// The same middle, so much longer.
    pub(super) fn stretched(mut self, factor: f64) -> Self {
        let middle = (self.ends[0] + self.ends[1]) / 2.0;
        self.ends = self.ends.map(|end| middle + factor * (end - middle));
        self
    }

    fn ticks_of(&self, axis: &Axis, most: usize) -> Vec<(f64, String)> {
        if !axis.tick_values.is_empty() {
            let texts = axis.tick_text.iter().map(|text| unescaped(text));
            return axis.tick_values.iter().copied().zip(texts).collect();
        }
        if let Some(names) = &self.names {
            let step = names.len().div_ceil(most.max(1)).max(1);
            let named = names.iter().enumerate().step_by(step);
            return named
                .map(|(at, name)| (at as f64, unescaped(name)))
                .collect();
        }
        let [low, high] = [
            self.ends[0].min(self.ends[1]),
            self.ends[0].max(self.ends[1]),
        ];
        let mut values = RangedCoordf64::from(low..high).key_points(most);
        if axis.tick_format == "d" {
            values.retain(|value| (value - value.round()).abs() < SAME);
        }
        let step = match values[..] {
            [first, second, ..] => second - first,
            _ => high - low,
        };
        let words = |value: f64| match axis.has_tick_labels {
            Some(false) => String::new(),
            _ => words(value, step, &axis.tick_format),
        };
        values
            .into_iter()
            .map(|value| (value, words(value)))
            .collect()
    }
}

/// The names along an axis of categories.
fn categories(axis: &Axis, places: &[Option<Place>]) -> Option<Vec<String>> {
    let mut names = axis.categories.clone();
    for place in places.iter().flatten() {
        if let Place::Name(name) = place
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    let is_named = axis.kind.as_deref() == Some("category") || !names.is_empty();
    is_named.then_some(names)
}

/// Range of the values, never empty.
fn extent(values: impl Iterator<Item = f64>, mode: &str) -> [f64; 2] {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return [0.0, 1.0];
    }
    let room = (HEADROOM * (high - low)).max(1e-6 * high.abs()).max(SAME);
    match mode {
        "tozero" if low >= 0.0 => [0.0, high + room],
        _ => [low - room, high + room],
    }
}

/// A number with the decimals that tell neighbouring ticks apart.
fn words(value: f64, step: f64, format: &str) -> String {
    let decimals =
        |step: f64| (-(step.abs() * (1.0 + SAME)).log10().floor()).clamp(0.0, 9.0) as usize;
    match format {
        ".0%" => format!("{} %", text::fixed(100.0 * value, decimals(100.0 * step))),
        _ if step >= 1.0 => text::whole(value),
        _ => text::fixed(value, decimals(step)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scale(axis: serde_json::Value, places: serde_json::Value) -> Scale {
        let axis: Axis = serde_json::from_value(axis).unwrap();
        let places: Vec<Option<Place>> = serde_json::from_value(places).unwrap();
        Scale::new(&axis, &places, &[], |_| 6)
    }

    fn words(scale: &Scale) -> Vec<&str> {
        scale
            .ticks
            .iter()
            .map(|(_, words)| words.as_str())
            .collect()
    }

    #[test]
    fn numbers_get_round_ticks() {
        let numbers = scale(json!({}), json!([0.0, null, 1.0]));
        assert_eq!(words(&numbers), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let whole = scale(json!({"tickformat": "d"}), json!([1, 2]));
        assert_eq!(words(&whole), ["1", "2"]);
        let shares = scale(json!({"tickformat": ".0%", "range": [0.0, 1.0]}), json!([]));
        assert_eq!(words(&shares)[..2], ["0 %", "20 %"]);
        let large = scale(json!({"rangemode": "tozero"}), json!([1000.0, 4000.0]));
        assert_eq!(words(&large), ["0", "1,000", "2,000", "3,000", "4,000"]);
    }

    #[test]
    fn names_lie_in_their_order_at_whole_numbers() {
        let names = scale(
            json!({"type": "category", "categoryarray": ["b", "a"]}),
            json!(["a", "c &lt; d"]),
        );
        assert_eq!(words(&names), ["b", "a", "c < d"]);
        assert_eq!(names.value(Some(&Place::Name("a".to_owned()))), Some(1.0));
        assert_eq!(names.pixel(-0.5, [10, 310]), 10);
        assert_eq!(names.pixel(2.5, [10, 310]), 310);
        let many: Vec<String> = (0..23).map(|name| name.to_string()).collect();
        let thinned = scale(json!({"type": "category"}), json!(many));
        assert_eq!(words(&thinned), ["0", "4", "8", "12", "16", "20"]);
    }

    #[test]
    fn nothing_and_one_number_have_a_range_too() {
        for places in [json!([]), json!([null]), json!([-3.0]), json!([0.0])] {
            assert!(scale(json!({}), places).length() > 0.0);
        }
    }
}
