//! One colour and one marker symbol for each component.
//!
//! The first six colours are those of Okabe and Ito (2008), "Color Universal Design"; the others were
//! added one at a time, each the farthest in OKLab from those before it under normal vision,
//! protanopia and deuteranopia (simulated after Machado et al. 2009). Lightness stays between 0.48
//! and 0.80, so that every colour shows on white and on near-black. Symbols change every eight
//! components, so that no two of the first 24 need be told apart by a fine shade alone.

use plotly::common::MarkerSymbol;

const COLOURS: [&str; 24] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#86465b", "#4bdba0",
    "#7e79f5", "#ba2d1f", "#89b27b", "#b0378b", "#fc7dd1", "#394fc1", "#5e7755", "#bdc668",
    "#5787ce", "#5b64db", "#f96d47", "#6e9bfb", "#a26b95", "#366478", "#5d631f", "#d2736e",
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

    #[test]
    fn a_component_keeps_its_colour_and_symbol_apart_from_the_next_191() {
        let looks: HashSet<_> = (0..192)
            .map(|k| (colour(k), format!("{:?}", symbol(k))))
            .collect();
        assert_eq!(looks.len(), 192);
        assert_eq!(colour(0), colour(24));
    }

    #[test]
    fn bytes_agree_with_the_hexadecimal_form() {
        assert_eq!(rgb(0), [0x00, 0x72, 0xb2]);
        assert!((0..24).all(|k| rgb(k) != [0, 0, 0]));
    }
}
