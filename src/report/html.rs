//! The page `report.html`, the page that compares mixtures, and the light pages of single figures.
//!
//! Whatever a user wrote reaches a page in one of three ways: through askama, which escapes it for HTML;
//! through `text::for_plotly`, which escapes it for plotly's labels; or inside the JSON of the figures,
//! which `text::json_for_script` keeps from ending its element. The pages allow no script but their own, by
//! hash, and no request at all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plotly::Plot;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::cards::{Card, Pair, Shown, cards, outliers, pairs};
use super::comparison::Comparison;
use super::figures::{self, Figure};
use super::summary::{Component, Items, Setting, Summary};
use super::tables::{
    ComparedColumn, ComparedRow, SELECTION_COLUMNS, SELECTION_HEAD, SelectionRow, compared_columns,
    compared_rows, selection_rows,
};
use super::tiles::{Tile, gap_tiles, tiles};
use super::{ReportError, Section, palette, text, words};

const STYLE: &str = include_str!("templates/report.css");
const FIGURES: &str = include_str!("templates/figures.js");
const EXPLORE: &str = include_str!("templates/explore.js");
/// Characters of a component's name beside an item.
const COMPONENT_NAME: usize = 60;
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
    plotly: &'static str,
    figures_script: &'static str,
    explore_script: &'static str,
    figure_data: String,
    item_data: String,
    summary: &'a Summary,
    headline: String,
    explanation: String,
    verdicts: Vec<String>,
    tiles: Vec<Tile>,
    sections: Vec<Part<'a>>,
    map_choices: Vec<MapChoice<'a>>,
    cards: Vec<Card>,
    has_items: bool,
    has_labels: bool,
    outliers: Vec<Shown>,
    pairs: Vec<Pair>,
    selection_head: [&'static str; SELECTION_COLUMNS],
    selection: Vec<SelectionRow>,
    gap: Vec<Tile>,
    n_skipped: String,
    settings: &'a [Setting],
    files: &'a [Setting],
}

/// A section of the page.
struct Part<'a> {
    section: Section,
    id: &'static str,
    /// Its name in the bar on top.
    short: &'static str,
    heading: &'static str,
    reading: String,
    figures: Vec<&'a Figure>,
}

impl Part<'_> {
    /// Whether its figures stand in a grid; the maps take turns in one place.
    fn has_grid(&self) -> bool {
        !self.figures.is_empty() && self.section != Section::Map
    }
}

/// A map that can be chosen.
struct MapChoice<'a> {
    name: &'static str,
    figure: &'a Figure,
}

#[derive(Template)]
#[template(path = "figure.html", config = "src/report/askama.toml")]
struct FigurePage<'a> {
    policy: String,
    style: &'static str,
    figures_script: &'static str,
    plotly_path: &'a str,
    figure_data: String,
    title: &'a str,
    heading: &'a str,
    figures: &'a [&'a Figure],
}

#[derive(Template)]
#[template(path = "comparison.html", config = "src/report/askama.toml")]
struct ComparisonPage<'a> {
    policy: String,
    style: &'static str,
    plotly: &'static str,
    figures_script: &'static str,
    figure_data: String,
    comparison: &'a Comparison,
    reading: &'static str,
    rows: Vec<ComparedRow>,
    columns: Vec<ComparedColumn<'a>>,
    figures: &'a [Figure],
    version: &'static str,
}

/// The whole report as one page that needs nothing but a browser, with links to files beside it.
///
/// # Errors
/// plotly.js is missing, or a template fails.
pub fn page(summary: &Summary, files: &[Setting]) -> Result<String, ReportError> {
    let (plotly, plotly_hash) = plotly_and_hash()?;
    let all = figures::all(summary);
    let shown: Vec<&Figure> = all.iter().collect();
    let scripts = [plotly_hash, &source_hash(FIGURES), &source_hash(EXPLORE)].join(" ");
    let has = |section| summary.sections.contains(&section);
    let page = Page {
        policy: policy(&scripts, &shown),
        style: STYLE,
        plotly,
        figures_script: FIGURES,
        explore_script: EXPLORE,
        figure_data: figure_data(&shown, true)?,
        item_data: item_data(summary)?,
        summary,
        headline: words::headline(summary),
        explanation: words::explanation(summary),
        verdicts: words::verdicts(summary),
        tiles: tiles(summary),
        sections: parts(summary, &all),
        map_choices: map_choices(&all),
        cards: cards(summary),
        has_items: has(Section::Items),
        has_labels: !summary.items.labels.is_empty(),
        outliers: outliers(summary),
        pairs: pairs(summary),
        selection_head: SELECTION_HEAD,
        selection: selection_rows(summary),
        gap: summary.modality_gap.as_ref().map_or(Vec::new(), gap_tiles),
        n_skipped: text::counted(summary.n_skipped, "input"),
        settings: &summary.settings,
        files,
    };
    Ok(page.render()?)
}

/// The sections that are wanted and have something to show.
fn parts<'a>(summary: &Summary, figures: &'a [Figure]) -> Vec<Part<'a>> {
    let part = |&section: &Section| {
        let figures: Vec<&Figure> = figures.iter().filter(|f| f.section == section).collect();
        let has_content = match section {
            Section::Items | Section::Components | Section::Settings => true,
            Section::Duplicates => summary.duplicates.is_some(),
            Section::ModalityGap => summary.modality_gap.is_some(),
            Section::Skipped => !summary.skipped.is_empty(),
            _ => !figures.is_empty(),
        };
        let [id, short, heading] = words::names(section);
        has_content.then(|| Part {
            section,
            id,
            short,
            heading,
            reading: words::reading(section, summary),
            figures,
        })
    };
    summary.sections.iter().filter_map(part).collect()
}

fn map_choices(figures: &[Figure]) -> Vec<MapChoice<'_>> {
    let maps = figures
        .iter()
        .filter(|figure| figure.section == Section::Map);
    let choice = |figure| MapChoice {
        name: words::map_name(figure),
        figure,
    };
    maps.map(choice).collect()
}

/// Figures on a light page that takes plotly.js from a file.
///
/// # Errors
/// A template fails.
pub fn figure_page(
    summary: &Summary,
    heading: &str,
    figures: &[&Figure],
    plotly_path: &str,
) -> Result<String, ReportError> {
    let page = FigurePage {
        policy: policy(&format!("'self' file: {}", source_hash(FIGURES)), figures),
        style: STYLE,
        figures_script: FIGURES,
        plotly_path,
        figure_data: figure_data(figures, false)?,
        title: &summary.title,
        heading,
        figures,
    };
    Ok(page.render()?)
}

/// Several mixtures on one page that needs nothing but a browser.
///
/// # Errors
/// plotly.js is missing, or a template fails.
pub(super) fn comparison_page(comparison: &Comparison) -> Result<String, ReportError> {
    let (plotly, plotly_hash) = plotly_and_hash()?;
    let mut figures = vec![figures::criteria(comparison), figures::weights(comparison)];
    let agreements = comparison.agreements.iter();
    figures.extend(agreements.map(|agreement| figures::matching(comparison, agreement)));
    let shown: Vec<&Figure> = figures.iter().collect();
    let page = ComparisonPage {
        policy: policy(&[plotly_hash, &source_hash(FIGURES)].join(" "), &shown),
        style: STYLE,
        plotly,
        figures_script: FIGURES,
        figure_data: figure_data(&shown, false)?,
        comparison,
        reading: words::COMPARISON,
        rows: compared_rows(comparison),
        columns: compared_columns(comparison),
        figures: &figures,
        version: env!("CARGO_PKG_VERSION"),
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

/// The traces and layouts of the figures by name, safe inside a script element; names of items are left out where the page has
/// them beside the figures.
fn figure_data(figures: &[&Figure], names_beside: bool) -> Result<String, ReportError> {
    let mut plots = BTreeMap::new();
    for figure in figures {
        let mut json = figure.plot.to_json();
        if names_beside && figure.section == Section::Map {
            json = without_names(&json)?;
        }
        plots.insert(&figure.id, RawValue::from_string(json)?);
    }
    Ok(text::json_for_script(&serde_json::to_string(&plots)?))
}

fn without_names(plot: &str) -> Result<String, ReportError> {
    let mut plot: Value = serde_json::from_str(plot)?;
    let traces = plot["data"].as_array_mut().into_iter().flatten();
    for trace in traces.filter_map(Value::as_object_mut) {
        if trace.contains_key("ids") {
            trace.remove("hovertext");
            trace.remove("hovertemplate");
            trace.insert("hoverinfo".to_owned(), "none".into());
        }
    }
    Ok(plot.to_string())
}

/// What the table and the hovering card show.
#[derive(Serialize)]
struct ItemData<'a> {
    items: &'a Items,
    thumbnails: &'a [String],
    components: Vec<ComponentName>,
}

#[derive(Serialize)]
struct ComponentName {
    label: String,
    colour: &'static str,
}

fn item_data(summary: &Summary) -> Result<String, ReportError> {
    let name = |component: &Component| ComponentName {
        label: text::shortened(&component.label(), COMPONENT_NAME),
        colour: palette::colour(component.index),
    };
    let data = ItemData {
        items: &summary.items,
        thumbnails: &summary.thumbnails,
        components: summary.components.iter().map(name).collect(),
    };
    Ok(text::json_for_script(&serde_json::to_string(&data)?))
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
