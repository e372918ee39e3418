//! Key figures.

use std::borrow::Cow;

use super::summary::Summary;
use super::text;
use crate::frame::ModalityGap;

/// One key figure.
pub(super) struct Tile {
    pub name: Cow<'static, str>,
    pub value: String,
    pub note: String,
}

/// The key figures on top of the page.
pub(super) fn tiles(summary: &Summary) -> Vec<Tile> {
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
    if let Some(value) = summary.log_likelihood() {
        out.push(tile(
            "Gain over one group",
            text::fixed(value - evaluation.single_log_likelihood, 2),
            &format!(
                "nats per item; {} over no group at all",
                text::fixed(value - evaluation.uniform_log_likelihood, 2)
            ),
        ));
    }
    if let Some(silhouette) = evaluation.silhouette {
        out.push(tile(
            "Silhouette",
            text::fixed(silhouette, 3),
            "from −1 to 1, by cosine",
        ));
    }
    if let Some((nmi, ari)) = evaluation.nmi.zip(evaluation.ari) {
        out.push(tile(
            "Agreement with labels",
            text::fixed(nmi, 3),
            &format!("NMI, from 0 to 1; ARI {}", text::fixed(ari, 3)),
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
pub(super) fn gap_tiles(gap: &ModalityGap) -> Vec<Tile> {
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
