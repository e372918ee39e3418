//! Components and key figures in the words of the page.

use std::borrow::Cow;

use super::palette;
use super::summary::{Component, Exemplar, Summary};
use super::text;
use crate::frame::ModalityGap;

/// Labels of a component that are named on its card.
const LABELS: usize = 3;
/// Characters of a text on a card.
const LONGEST: usize = 140;

/// One key figure.
pub(crate) struct Tile {
    pub name: Cow<'static, str>,
    pub value: String,
    pub note: String,
}

/// One component.
pub(crate) struct Card<'a> {
    pub index: usize,
    pub colour: &'static str,
    pub title: String,
    pub also: Vec<String>,
    pub weight: String,
    pub size: String,
    pub concentration: String,
    pub length: String,
    /// Mean resultant length in per cent, for a bar.
    pub length_share: String,
    pub pictures: Vec<Shown<'a>>,
    pub texts: Vec<Shown<'a>>,
    pub labels: Vec<Portion>,
    pub is_empty: bool,
}

/// An exemplar on a card.
pub(crate) struct Shown<'a> {
    pub name: String,
    pub thumbnail: &'a str,
    pub note: String,
}

/// A label's portion of a component.
pub(crate) struct Portion {
    pub label: String,
    pub share: String,
    pub width: String,
}

/// The components, largest first.
pub(crate) fn cards(summary: &Summary) -> Vec<Card<'_>> {
    let components = summary.by_weight.iter();
    components.map(|&k| card(&summary.components[k])).collect()
}

fn card(component: &Component) -> Card<'_> {
    let (pictures, texts) = component
        .exemplars
        .iter()
        .map(shown)
        .partition(|shown: &Shown<'_>| !shown.thumbnail.is_empty());
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
        weight: text::percent(component.weight),
        size: text::count(component.size),
        concentration: text::concentration(component.concentration),
        length: text::fixed(component.mean_resultant_length, 3),
        length_share: format!("{:.1}%", 100.0 * component.mean_resultant_length),
        pictures,
        texts,
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

fn shown(exemplar: &Exemplar) -> Shown<'_> {
    Shown {
        name: text::shortened(&exemplar.name, LONGEST),
        thumbnail: exemplar.thumbnail.as_deref().unwrap_or_default(),
        note: format!(
            "row {}, cosine {}, membership {}",
            exemplar.row,
            text::fixed(exemplar.cosine, 3),
            text::percent(exemplar.responsibility)
        ),
    }
}

/// The key figures on top of the page.
pub(crate) fn tiles(summary: &Summary) -> Vec<Tile> {
    let evaluation = &summary.evaluation;
    let tile = |name: &'static str, value, note: &str| Tile {
        name: name.into(),
        value,
        note: note.to_owned(),
    };
    let mut out = vec![
        tile(
            "Items",
            text::count(summary.n_population()),
            &format!("in {} dimensions", text::count(summary.dimension)),
        ),
        tile(
            "Components",
            text::count(summary.n_components()),
            &text::counted(evaluation.n_parameters, "free parameter"),
        ),
    ];
    let fitted = evaluation
        .train_log_likelihood
        .map(|value| text::fixed(value, 2));
    match (evaluation.test_log_likelihood, fitted) {
        (Some(test), fitted) => out.push(tile(
            "Held-out log-likelihood",
            text::fixed(test, 2),
            &fitted.map_or_else(
                || "nats per item".to_owned(),
                |fitted| format!("nats per item; {fitted} on fitted items"),
            ),
        )),
        (None, Some(fitted)) => out.push(tile(
            "Log-likelihood",
            fitted,
            "nats per item, on fitted items",
        )),
        (None, None) => {}
    }
    if let Some(silhouette) = evaluation.silhouette {
        out.push(tile(
            "Silhouette",
            text::fixed(silhouette, 3),
            "from −1 to 1, by cosine",
        ));
    }
    if let Some(nmi) = evaluation.nmi {
        out.push(tile(
            "Agreement with labels",
            text::fixed(nmi, 3),
            "NMI, from 0 to 1",
        ));
    }
    if let Some(ari) = evaluation.ari {
        out.push(tile(
            "Adjusted Rand index",
            text::fixed(ari, 3),
            "1 is full agreement",
        ));
    }
    if let Some(bic) = evaluation.bic {
        out.push(tile(
            "Bayesian criterion",
            text::whole(bic),
            "BIC; lower is better on the same items",
        ));
    }
    out
}

/// How far apart texts and images lie.
pub(crate) fn gap_tiles(gap: &ModalityGap) -> Vec<Tile> {
    let tile = |name: String, value: Option<f64>, note: String| Tile {
        name: name.into(),
        value: text::fixed(value.unwrap_or(f64::NAN), 3),
        note,
    };
    let [first, second] = &gap.sides;
    let mut out = vec![
        tile(
            "Distance of the means".to_owned(),
            Some(gap.distance),
            "0 is no gap, 2 the most there can be".to_owned(),
        ),
        tile(
            "Cosine of the means".to_owned(),
            gap.cosine_of_means,
            "1 is the same direction".to_owned(),
        ),
        tile(
            format!("Between {} and {}", first.name, second.name),
            Some(gap.cosine_between),
            "mean cosine of a pair".to_owned(),
        ),
    ];
    out.extend(gap.sides.iter().map(|side| {
        tile(
            format!("Among {}", side.name),
            side.cosine_within,
            format!(
                "mean cosine of a pair; {}",
                text::counted(side.size, "item")
            ),
        )
    }));
    out
}
