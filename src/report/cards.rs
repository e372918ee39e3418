//! Components and single items in the words of the page.

use super::palette;
use super::summary::{Ambiguous, Component, Exemplar, Outlier, ShownItem, Summary};
use super::text;

/// Components that have a card.
const MOST_CARDS: usize = 200;
/// Labels of a component that are named on its card.
const LABELS: usize = 3;
/// Characters of a text on a card.
const LONGEST: usize = 140;

/// One component.
pub(super) struct Card {
    pub index: usize,
    pub colour: &'static str,
    pub title: String,
    pub also: Vec<String>,
    pub facts: Vec<Fact>,
    /// Mean resultant length in per cent, for a bar.
    pub length_share: String,
    pub terms: Vec<String>,
    pub pictures: Vec<Shown>,
    pub texts: Vec<Shown>,
    pub ambiguous: Vec<Shown>,
    pub labels: Vec<Portion>,
    pub is_empty: bool,
}

/// A number on a card.
pub(super) struct Fact {
    pub name: &'static str,
    pub value: String,
    pub note: String,
}

/// An item on a card.
pub(super) struct Shown {
    pub name: String,
    pub thumbnail: Option<usize>,
    pub note: String,
}

/// Two items that are nearly the same.
pub(super) struct Pair {
    pub items: [Shown; 2],
    pub cosine: String,
}

/// A label's portion of a component.
pub(super) struct Portion {
    pub label: String,
    pub share: String,
    pub width: String,
}

/// The components, largest first.
pub(super) fn cards(summary: &Summary) -> Vec<Card> {
    let components = summary.by_weight.iter().take(MOST_CARDS);
    components.map(|&k| card(&summary.components[k])).collect()
}

fn card(component: &Component) -> Card {
    let exemplars = component.exemplars.iter().map(exemplar);
    let (pictures, texts) = exemplars.partition(|shown| shown.thumbnail.is_some());
    let mut captions = component.captions.iter().map(|caption| {
        let text = text::shortened(&caption.text, LONGEST);
        match caption.probability {
            Some(probability) => format!("{text} ({})", text::percent(probability)),
            None => text,
        }
    });
    Card {
        index: component.index,
        colour: palette::colour(component.index),
        title: captions
            .next()
            .unwrap_or_else(|| format!("Component {}", component.index)),
        also: captions.collect(),
        facts: facts(component),
        length_share: format!("{:.1}%", 100.0 * component.mean_resultant_length),
        terms: component
            .terms
            .iter()
            .map(|term| text::shortened(&term.term, LONGEST))
            .collect(),
        pictures,
        texts,
        ambiguous: component.ambiguous.iter().map(ambiguous).collect(),
        labels: component
            .labels
            .iter()
            .take(LABELS)
            .map(|label| Portion {
                label: text::shortened(&label.label, LONGEST),
                share: text::percent(label.share),
                width: format!("{:.1}%", 100.0 * label.share),
            })
            .collect(),
        is_empty: component.size == 0,
    }
}

fn facts(component: &Component) -> Vec<Fact> {
    let fact = |name, value, note: String| Fact { name, value, note };
    let mut out = vec![
        fact(
            "Weight",
            text::percent(component.weight),
            "share of all items".to_owned(),
        ),
        fact(
            "Items",
            text::count(component.size),
            "items that belong here most".to_owned(),
        ),
        fact(
            "Tightness",
            text::fixed(component.mean_resultant_length, 3),
            "mean resultant length: 1 is a single direction, 0 none at all".to_owned(),
        ),
        fact(
            "κ",
            text::concentration(component.concentration),
            "concentration (kappa), the likeliest".to_owned(),
        ),
    ];
    if let (Some(corrected), Some([low, high])) = (
        component.bias_corrected_concentration,
        component.concentration_interval,
    ) {
        out.push(fact(
            "κ, unbiased",
            text::concentration(corrected),
            "small samples look tighter than they are; this is corrected for it".to_owned(),
        ));
        out.push(fact(
            "κ, 95 %",
            format!("{}–{}", text::concentration(low), text::concentration(high)),
            "holds κ with a probability of 95 %".to_owned(),
        ));
    }
    out.push(fact(
        "Half within",
        format!("{}°", text::fixed(component.angle_50, 1)),
        "angle around the centre that holds half of the component".to_owned(),
    ));
    out.push(fact(
        "90 % within",
        format!("{}°", text::fixed(component.angle_90, 1)),
        "angle around the centre that holds nine tenths of the component".to_owned(),
    ));
    out
}

fn shown(item: &ShownItem, note: String) -> Shown {
    Shown {
        name: text::shortened(&item.name, LONGEST),
        thumbnail: item.thumbnail,
        note,
    }
}

fn exemplar(exemplar: &Exemplar) -> Shown {
    let note = format!(
        "row {}, cosine {}, membership {}",
        exemplar.item.row,
        text::fixed(exemplar.cosine, 3),
        text::percent(exemplar.responsibility)
    );
    shown(&exemplar.item, note)
}

fn ambiguous(ambiguous: &Ambiguous) -> Shown {
    let note = format!(
        "{} here, {} in component {}",
        text::percent(ambiguous.responsibility),
        text::percent(ambiguous.runner_up_responsibility),
        ambiguous.runner_up
    );
    shown(&ambiguous.item, note)
}

/// The items that fit worst.
pub(super) fn outliers(summary: &Summary) -> Vec<Shown> {
    let outlier = |outlier: &Outlier| {
        let note = format!(
            "row {}, component {}, score {}, {} nats",
            outlier.item.row,
            outlier.component,
            text::score(outlier.outlier_score),
            text::fixed(outlier.log_likelihood, 1)
        );
        shown(&outlier.item, note)
    };
    summary.outliers.iter().map(outlier).collect()
}

/// The pairs of items that are nearly the same.
pub(super) fn pairs(summary: &Summary) -> Vec<Pair> {
    let pairs = summary.duplicates.iter().flat_map(|found| &found.pairs);
    let pair = |pair: &super::summary::Duplicate| Pair {
        items: pair
            .items
            .each_ref()
            .map(|item| shown(item, format!("row {}", item.row))),
        cosine: text::fixed(pair.cosine, 4),
    };
    pairs.map(pair).collect()
}
