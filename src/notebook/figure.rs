//! Figures as pictures that become interactive where scripts may run, and reports in short.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Show;
use super::value::{escape, rendered};
use crate::report::figures::{self, Figure};
use crate::report::{self, Component, Report, ReportError, Summary, html, json_for_script, png};

const SCRIPT: &str = include_str!("templates/figure.js");
/// Components that a report in short tells of, and the items of each.
const COMPONENTS: usize = 12;
const EXEMPLARS: usize = 5;
/// Characters of an item's name.
const NAME: usize = 60;

/// Whether a figure of this kernel has brought plotly.js along, which serves those after it.
static HAS_PLOTLY: AtomicBool = AtomicBool::new(false);
static FIGURES: AtomicUsize = AtomicUsize::new(0);

#[derive(Template)]
#[template(path = "figure.html", config = "src/notebook/askama.toml")]
struct Drawn<'a> {
    figure: &'a Figure,
    place: String,
    /// In base64.
    picture: String,
    data: String,
    /// gzip in base64.
    plotly: Option<String>,
    script: &'static str,
}

impl Drawn<'_> {
    fn new(figure: &Figure) -> Result<Drawn<'_>, ReportError> {
        let number = FIGURES.fetch_add(1, Ordering::Relaxed);
        Ok(Drawn {
            figure,
            place: format!("vmfmix-{}-{number}", std::process::id()),
            picture: STANDARD.encode(png::picture(figure)?),
            data: json_for_script(&figure.plot.to_json()),
            plotly: match HAS_PLOTLY.swap(true, Ordering::Relaxed) {
                true => None,
                false => Some(packed_plotly()?),
            },
            script: SCRIPT,
        })
    }
}

fn packed_plotly() -> Result<String, ReportError> {
    let failed = |cause: std::io::Error| ReportError::Plot {
        reason: cause.to_string(),
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(html::plotly_js()?.as_bytes())
        .map_err(failed)?;
    Ok(STANDARD.encode(gzip.finish().map_err(failed)?))
}

impl Show for Figure {
    fn cell_html(&self) -> String {
        match Drawn::new(self) {
            Ok(drawn) => rendered(&drawn),
            Err(error) => escape(&error),
        }
    }

    fn cell_text(&self) -> String {
        format!("{}: {}", self.title, self.alt)
    }
}

/// A report in short.
#[derive(Template)]
#[template(path = "report.html", config = "src/notebook/askama.toml")]
struct Digest<'a> {
    title: &'a str,
    headline: String,
    verdicts: Vec<String>,
    map: Option<String>,
    components: Vec<Row<'a>>,
    /// How many are not told of.
    n_more: usize,
}

/// A component, its pictures as `data:` addresses, and the names of its other exemplars.
struct Row<'a> {
    component: &'a Component,
    label: String,
    pictures: Vec<&'a str>,
    texts: Vec<String>,
}

impl<'a> Row<'a> {
    fn new(summary: &'a Summary, component: &'a Component) -> Self {
        let shown = || component.exemplars.iter().take(EXEMPLARS);
        let pictures = shown().filter_map(|exemplar| exemplar.item.thumbnail);
        let texts = shown().filter(|exemplar| exemplar.item.thumbnail.is_none());
        Self {
            component,
            label: component.label(),
            pictures: pictures.map(|at| summary.thumbnails[at].as_str()).collect(),
            texts: texts
                .map(|exemplar| report::shortened(&exemplar.item.name, NAME))
                .collect(),
        }
    }
}

impl Show for Summary {
    fn cell_html(&self) -> String {
        let heaviest = self.by_weight.iter().take(COMPONENTS);
        let map = self.maps.first().map(|map| figures::map_2d(self, map));
        rendered(&Digest {
            title: &self.title,
            headline: report::headline(self),
            verdicts: report::verdicts(self),
            map: map.map(|figure| figure.cell_html()),
            components: heaviest
                .map(|&k| Row::new(self, &self.components[k]))
                .collect(),
            n_more: self.n_components().saturating_sub(COMPONENTS),
        })
    }

    fn cell_text(&self) -> String {
        let told = report::verdicts(self);
        let told = told.iter().map(|verdict| format!("\n- {verdict}"));
        format!("{}{}", report::headline(self), told.collect::<String>())
    }
}

impl Show for Report {
    fn cell_html(&self) -> String {
        self.summary().cell_html()
    }

    fn cell_text(&self) -> String {
        self.summary().cell_text()
    }
}
