//! The page `report.html` and the light pages of single figures.
//!
//! Whatever a user wrote reaches a page in one of three ways: through askama, which escapes it for HTML;
//! through `text::for_plotly`, which escapes it for plotly's labels; or inside the JSON of the figures,
//! which `text::json_for_script` keeps from ending its element. The pages allow no script but their own
//! two, by hash, and no request at all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plotly::Plot;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::cards::{Card, Tile, cards, gap_tiles, tiles};
use super::figures::{self, Figure};
use super::summary::{Setting, Skipped, Summary};
use super::{ReportError, text, words};

const STYLE: &str = include_str!("templates/report.css");
const SCRIPT: &str = include_str!("templates/report.js");
/// Opening words of plotly.js, by which its script is told from others.
const PLOTLY_MARK: &str = "plotly.js v";

static PLOTLY: LazyLock<Option<(String, String)>> = LazyLock::new(|| {
    let script = plotly_among(&Plot::offline_js_sources())?.to_owned();
    let hash = source_hash(&script);
    Some((script, hash))
});

/// The text of plotly.js, without MathJax.
///
/// # Errors
/// The plotly crate does not carry it as expected.
pub fn plotly_js() -> Result<&'static str, ReportError> {
    plotly_and_hash().map(|(script, _)| script)
}

fn plotly_and_hash() -> Result<(&'static str, &'static str), ReportError> {
    let found = PLOTLY.as_ref().ok_or(ReportError::PlotlyMissing)?;
    Ok((&found.0, &found.1))
}

/// The script that opens with plotly's banner, among `<script>` elements.
fn plotly_among(elements: &str) -> Option<&str> {
    elements
        .split("<script")
        .filter_map(|element| {
            let (_, body) = element.split_once('>')?;
            let (script, _) = body.split_once("</script>")?;
            Some(script)
        })
        .find(|script| {
            let opening = script
                .char_indices()
                .nth(200)
                .map_or(script.len(), |(i, _)| i);
            script[..opening].contains(PLOTLY_MARK)
        })
}

/// A script as a source expression of a Content-Security-Policy.
fn source_hash(script: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)))
}

#[derive(Template)]
#[template(path = "report.html", config = "src/report/askama.toml")]
struct Page<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    plotly: &'static str,
    data: String,
    title: &'a str,
    headline: String,
    explanation: String,
    verdicts: Vec<String>,
    tiles: Vec<Tile>,
    map: &'a Figure,
    cards: Vec<Card<'a>>,
    gap: Option<Vec<Tile>>,
    gap_reading: &'static str,
    figures: &'a [Figure],
    convergence: &'a Figure,
    warnings: &'a [String],
    skipped: &'a [Skipped],
    n_skipped: String,
    settings: &'a [Setting],
    version: &'static str,
}

#[derive(Template)]
#[template(path = "figure.html", config = "src/report/askama.toml")]
struct FigurePage<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    plotly_path: &'a str,
    data: String,
    title: &'a str,
    heading: &'a str,
    figures: &'a [&'a Figure],
}

/// The whole report as one page that needs nothing but a browser.
///
/// # Errors
/// plotly.js is missing, or a template fails.
pub fn page(summary: &Summary) -> Result<String, ReportError> {
    let (plotly, plotly_hash) = plotly_and_hash()?;
    let map = figures::map(summary);
    let convergence = figures::convergence(summary);
    let mut others = figures::details(summary);
    others.retain(|figure| summary.n_components() > 1 || !figure.compares_components);
    let all: Vec<&Figure> = [&map, &convergence].into_iter().chain(&others).collect();
    let page = Page {
        policy: policy(&format!("{plotly_hash} {}", source_hash(SCRIPT)), &all),
        style: STYLE,
        script: SCRIPT,
        plotly,
        data: data(&all)?,
        title: &summary.title,
        headline: words::headline(summary),
        explanation: words::explanation(summary),
        verdicts: words::verdicts(summary),
        tiles: tiles(summary),
        map: &map,
        cards: cards(summary),
        gap: summary.modality_gap.as_ref().map(gap_tiles),
        gap_reading: words::GAP,
        figures: &others,
        convergence: &convergence,
        warnings: &summary.convergence.warnings,
        skipped: &summary.skipped,
        n_skipped: text::counted(summary.n_skipped, "input"),
        settings: &summary.settings,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

/// A light page of some figures that loads plotly.js from `plotly_path`, relative to the page.
///
/// # Errors
/// plotly.js is missing, or a template fails.
pub fn figure_page(
    summary: &Summary,
    heading: &str,
    figures: &[&Figure],
    plotly_path: &str,
) -> Result<String, ReportError> {
    let own = source_hash(SCRIPT);
    let page = FigurePage {
        policy: policy(&format!("'self' file: {own}"), figures),
        style: STYLE,
        script: SCRIPT,
        plotly_path,
        data: data(figures)?,
        title: &summary.title,
        heading,
        figures,
    };
    Ok(page.render()?)
}

fn policy(scripts: &str, figures: &[&Figure]) -> String {
    let eval = match figures.iter().any(|figure| figure.uses_webgl_shaders) {
        true => " 'unsafe-eval'",
        false => "",
    };
    format!(
        "default-src 'none'; script-src {scripts}{eval}; style-src 'unsafe-inline'; \
         img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
}

/// The traces and layouts of the figures by name, safe inside a script element.
fn data(figures: &[&Figure]) -> Result<String, ReportError> {
    let mut plots = BTreeMap::new();
    for figure in figures {
        plots.insert(figure.id, RawValue::from_string(figure.plot.to_json())?);
    }
    Ok(text::json_for_script(&serde_json::to_string(&plots)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plotly_is_found_wherever_it_stands_and_without_mathjax() {
        let script = plotly_js().unwrap();
        assert!(script.contains("window.Plotly"));
        assert!(!script.contains("</script"));
        assert!(script.len() < 5_000_000);
        let shuffled = "<script>mathjax</script>\n<script type=\"x\">/* plotly.js v9 */ p</script>";
        assert_eq!(plotly_among(shuffled), Some("/* plotly.js v9 */ p"));
        assert_eq!(plotly_among("<script>mathjax</script>"), None);
    }

    #[test]
    fn a_script_is_named_by_its_hash() {
        assert_eq!(
            source_hash("alert('Hello, world.');"),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }
}
