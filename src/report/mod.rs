//! What a report shows, computed once, and its faces: HTML, JSON, PNG.
//!
//! [`Report::builder`] computes a [`Summary`], plain data that serialises; everything else displays it:
//!
//! | file | what it holds |
//! |---|---|
//! | `summary.rs` | the data |
//! | `builder.rs`, `projection.rs`, `thumbnail.rs` | from a model and its items to the data |
//! | `figures.rs`, `palette.rs` | plotly traces |
//! | `html.rs`, `cards.rs`, `words.rs`, `text.rs`, `templates/` | the pages |
//! | `json.rs`, `png.rs` | the other files |
//!
//! ```no_run
//! use ndarray::Array2;
//! use vmfmix::mixture::VonMisesFisherMixture;
//! use vmfmix::report::Report;
//!
//! # fn example(model: &VonMisesFisherMixture, embeddings: Array2<f32>) -> Result<(), Box<dyn std::error::Error>> {
//! let report = Report::builder(model, embeddings.view()).title("My pictures").build()?;
//! report.write_html("report.html")?;
//! # Ok(()) }
//! ```

mod builder;
mod cards;
mod errors;
pub mod figures;
pub mod html;
mod json;
mod palette;
pub mod png;
mod projection;
mod summary;
mod text;
mod thumbnail;
mod words;

use std::io::Write;
use std::path::Path;

use ndarray::ArrayView2;

use crate::mixture::VonMisesFisherMixture;
use crate::whole_file::write_whole;
use figures::Figure;

pub use builder::{Item, Modality, Population, ReportBuilder};
pub use errors::ReportError;
pub use summary::{
    Component, ConvergenceInfo, Entropies, Evaluation, Exemplar, LabelShare, LabelTable, Map,
    NearestCaption, Setting, Skipped, Summary,
};
pub(crate) use text::shortened;
pub use thumbnail::{Picture, THUMBNAIL_SIDE};

/// Folder of the figures, beside the report.
const FIGURES: &str = "visualizations";
const PLOTLY_FILE: &str = "plotly.min.js";

/// A fitted mixture with everything a person wants to see of it.
#[derive(Clone, Debug)]
pub struct Report {
    model: VonMisesFisherMixture,
    summary: Summary,
}

impl Report {
    /// Starts a report on a model and the embeddings it is to be shown with, shape
    /// `(n_samples, dimension)`; rows need not have unit length.
    pub fn builder<'a>(
        model: &'a VonMisesFisherMixture,
        embeddings: ArrayView2<'a, f32>,
    ) -> ReportBuilder<'a> {
        ReportBuilder::new(model, embeddings)
    }

    /// A report on a summary computed before, such as one read from a file.
    pub fn from_summary(model: VonMisesFisherMixture, summary: Summary) -> Self {
        Self { model, summary }
    }

    /// What the report shows.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The model it is about.
    pub fn model(&self) -> &VonMisesFisherMixture {
        &self.model
    }

    /// The report as one self-contained page.
    ///
    /// # Errors
    /// The page cannot be rendered.
    pub fn to_html(&self) -> Result<String, ReportError> {
        html::page(&self.summary)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// The page cannot be rendered or written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), self.to_html()?.as_bytes())
    }

    /// Writes all files into a folder, which is created if need be: `report.html`,
    /// `model_parameters.json`, `convergence_info.json`, `evaluation_metrics.json`,
    /// `convergence_plot.png`, `convergence_plot.html`, and a page for each figure in `visualizations/`.
    ///
    /// # Errors
    /// A file cannot be made or written; those already written stay.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), ReportError> {
        let folder = folder.as_ref();
        let write = |name: &str, contents: &[u8]| write(&folder.join(name), contents);
        write(
            "model_parameters.json",
            self.model_parameters_json()?.as_bytes(),
        )?;
        write(
            "convergence_info.json",
            self.convergence_info_json()?.as_bytes(),
        )?;
        write(
            "evaluation_metrics.json",
            self.evaluation_metrics_json()?.as_bytes(),
        )?;
        write(
            "convergence_plot.png",
            &png::convergence_plot(&self.summary)?,
        )?;
        write(
            &format!("{FIGURES}/{PLOTLY_FILE}"),
            html::plotly_js()?.as_bytes(),
        )?;

        let map = figures::map(&self.summary);
        let convergence = figures::convergence(&self.summary);
        let details = figures::details(&self.summary);
        let page = |title: &str, shown: &[&Figure], plotly: &str| {
            html::figure_page(&self.summary, title, shown, plotly)
        };
        let plotly_below = format!("{FIGURES}/{PLOTLY_FILE}");
        let shown = page(convergence.title, &[&convergence], &plotly_below)?;
        write("convergence_plot.html", shown.as_bytes())?;
        for figure in &details {
            let shown = page(figure.title, &[figure], PLOTLY_FILE)?;
            write(&format!("{FIGURES}/{}.html", figure.id), shown.as_bytes())?;
        }
        let all: Vec<&Figure> = [&map]
            .into_iter()
            .chain(&details)
            .chain([&convergence])
            .collect();
        let shown = page("All figures", &all, PLOTLY_FILE)?;
        write(&format!("{FIGURES}/overview.html"), shown.as_bytes())?;
        self.write_html(folder.join("report.html"))
    }
}

fn write(path: &Path, contents: &[u8]) -> Result<(), ReportError> {
    write_whole(path, |file| file.write_all(contents)).map_err(|cause| ReportError::Write {
        path: path.to_owned(),
        cause,
    })
}
