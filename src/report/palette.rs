//! One colour and one marker symbol for each component.
//!
//! The first six colours are those of Okabe and Ito (2008), "Color Universal Design"; the others were added one at a time, each the
//! farthest in OKLab (Ottosson 2020) from those before it under normal vision, protanopia and deuteranopia (simulated after
//! Machado, Oliveira & Fernandes 2009). Lightness stays between 0.45 and 0.84, so that every colour shows on white and on near-black.
//! Symbols change every eight components, so that few need be told apart by a shade alone.

use plotly::common::MarkerSymbol;

const COLOURS: [&str; 40] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#86465b", "#4bdba0",
    "#7e79f5", "#ba2d1f", "#89b27b", "#b0378b", "#fc7dd1", "#394fc1", "#5e7755", "#bdc668",
    "#5787ce", "#5b64db", "#f96d47", "#6e9bfb", "#a26b95", "#366478", "#5d631f", "#d2736e",
    "#1e00fa", "#82d7ff", "#b9dc00", "#870f96", "#e6b9d7", "#d2374b", "#73b9a5", "#7dc3ff",
    "#1e50fa", "#00f091", "#32a0af", "#a546aa", "#d25ad7", "#82aac8", "#5f05dc", "#556496",
];

/// How many neighbours in the palette share a symbol.
const PER_SYMBOL: usize = 8;

const SYMBOLS: [MarkerSymbol; 8] = [
    MarkerSymbol::Circle,
    MarkerSymbol::Square,
    MarkerSymbol::TriangleUp,
    MarkerSymbol::Diamond,
    MarkerSymbol::TriangleDown,
    MarkerSymbol::Cross,
    MarkerSymbol::X,
    MarkerSymbol::Pentagon,
];

/// The colour of a component, as `#rrggbb`.
pub(crate) fn colour(component: usize) -> &'static str {
    COLOURS[component % COLOURS.len()]
}

/// The colour of a component as red, green and blue bytes.
pub(crate) fn rgb(component: usize) -> [u8; 3] {
    let hex = colour(component);
    [1, 3, 5].map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or(0))
}

/// The marker symbol of a component.
pub(crate) fn symbol(component: usize) -> MarkerSymbol {
    SYMBOLS[component / PER_SYMBOL % SYMBOLS.len()].clone()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Least distance of two colours in OKLab: twice what is just noticed side by side.
    const LEAST: f64 = 0.045;

    type Matrix = [[f64; 3]; 3];

    const NORMAL: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    const PROTANOPIA: Matrix = [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ];
    const DEUTERANOPIA: Matrix = [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ];
    const TO_CONES: Matrix = [
        [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
        [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
        [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
    ];
    const FROM_CONES: Matrix = [
        [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
        [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
        [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
    ];

    fn times(matrix: &Matrix, v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    fn oklab(component: usize, vision: &Matrix) -> [f64; 3] {
        let linear = rgb(component).map(|byte| match f64::from(byte) / 255.0 {
            low if low <= 0.040_45 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        });
        let seen = times(vision, linear).map(|x| x.clamp(0.0, 1.0));
        times(&FROM_CONES, times(&TO_CONES, seen).map(f64::cbrt))
    }

    #[test]
    fn colours_of_forty_components_are_told_apart_by_the_colour_blind_too() {
        for vision in [NORMAL, PROTANOPIA, DEUTERANOPIA] {
            let colours: Vec<_> = (0..40).map(|k| oklab(k, &vision)).collect();
            for (i, a) in colours.iter().enumerate() {
                for (j, b) in colours[..i].iter().enumerate() {
                    let distance = a
                        .iter()
                        .zip(b)
                        .map(|(a, b)| (a - b).powi(2))
                        .sum::<f64>()
                        .sqrt();
                    assert!(distance > LEAST, "{i} and {j}: {distance}");
                }
            }
        }
    }

    #[test]
    fn colours_show_on_white_and_on_near_black() {
        assert!((0..40).all(|k| (0.45..=0.84).contains(&oklab(k, &NORMAL)[0])));
    }

    #[test]
    fn a_component_keeps_its_colour_and_symbol_apart_from_the_next_319() {
        let looks: HashSet<_> = (0..320)
            .map(|k| (colour(k), format!("{:?}", symbol(k))))
            .collect();
        assert_eq!(looks.len(), 320);
        assert_eq!(colour(0), colour(40));
    }

    #[test]
    fn bytes_agree_with_the_hexadecimal_form() {
        assert_eq!(rgb(0), [0x00, 0x72, 0xb2]);
        assert!((0..40).all(|k| rgb(k) != [0, 0, 0]));
    }
}
