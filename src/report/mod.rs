//! What a report shows, computed once, and its faces: HTML, JSON, PNG.
//!
//! [`Report::builder`] computes a [`Summary`], plain data that serialises; everything else displays it:
//!
//! | file | what it holds |
//! |---|---|
//! | `summary/` | the data |
//! | `builder.rs`, `compute/`, `item.rs`, `thumbnail.rs` | from a model and its items to the data |
//! | `comparison.rs` | several summaries side by side |
//! | `figures/`, `palette.rs` | plotly traces |
//! | `html.rs`, `cards.rs`, `tables.rs`, `tiles.rs`, `words.rs`, `text.rs`, `templates/` | the pages |
//! | `json.rs`, `png/` | the other files |
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
mod comparison;
mod compute;
mod errors;
pub mod figures;
pub mod html;
mod item;
mod json;
mod palette;
pub mod png;
mod population;
mod section;
mod summary;
mod tables;
mod text;
mod thumbnail;
mod tiles;
mod words;

use std::io::Write;
use std::path::Path;

use ndarray::ArrayView2;

use crate::mixture::VonMisesFisherMixture;
use crate::whole_file::{Together, Unnamed, write_whole};
use figures::Figure;

pub use builder::ReportBuilder;
pub use comparison::{Agreement, Compared, Comparison};
pub use errors::ReportError;
pub use item::{Item, Modality};
pub use json::{schema, schemas};
pub use population::Population;
pub use section::Section;
pub use summary::*;
pub(crate) use text::{counted, json_for_script, shortened};
pub use thumbnail::{Picture, THUMBNAIL_SIDE};
pub(crate) use words::{headline, verdicts};

/// Folder of the figures, beside the report.
pub(crate) const FIGURES_FOLDER: &str = "visualizations";
const PLOTLY_FILE: &str = "plotly.min.js";
/// The whole summary.
pub(crate) const SUMMARY_FILE: &str = "report.json";
/// The numbers of components that were tried.
pub(crate) const SELECTION_FILE: &str = "selection.json";
/// Mixtures side by side.
pub(crate) const COMPARISON_FILE: &str = "comparison.json";
pub(crate) const PARAMETERS_FILE: &str = "model_parameters.json";
pub(crate) const CONVERGENCE_FILE: &str = "convergence_info.json";
const METRICS_FILE: &str = "evaluation_metrics.json";

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
        html::page(&self.summary, &[])
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// The page cannot be rendered or written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), self.to_html()?.as_bytes())
    }

    /// Writes all that the page shows as JSON, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), self.to_json()?.as_bytes())
    }

    /// Writes all files into a folder, which is created if need be: `report.html`, `report.json`, `model_parameters.json`,
    /// `convergence_info.json`, `evaluation_metrics.json`, `convergence_plot.png`, `convergence_plot.html`, and a page and a picture of
    /// each figure in `visualizations/`.
    ///
    /// # Errors
    /// A file cannot be made or written; then there are none of them.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), ReportError> {
        let folder = folder.as_ref();
        let together = Together::begin();
        let write = |name: &str, contents: &[u8]| write(&folder.join(name), contents);
        write(PARAMETERS_FILE, self.model_parameters_json()?.as_bytes())?;
        write(CONVERGENCE_FILE, self.convergence_info_json()?.as_bytes())?;
        write(METRICS_FILE, self.evaluation_metrics_json()?.as_bytes())?;
        write(SUMMARY_FILE, self.to_json()?.as_bytes())?;
        self.write_figures(folder)?;
        let page = html::page(&self.summary, &self.files())?;
        write("report.html", page.as_bytes())?;
        let finished = together.finish();
        finished.map_err(|Unnamed { path, cause }| ReportError::Write { path, cause })
    }

    fn write_figures(&self, folder: &Path) -> Result<(), ReportError> {
        let write = |name: &str, contents: &[u8]| write(&folder.join(name), contents);
        let page = |title: &str, shown: &[&Figure], plotly: &str| {
            html::figure_page(&self.summary, title, shown, plotly)
        };
        write(
            &format!("{FIGURES_FOLDER}/{PLOTLY_FILE}"),
            html::plotly_js()?.as_bytes(),
        )?;
        let convergence = figures::convergence(&self.summary);
        let plotly_below = format!("{FIGURES_FOLDER}/{PLOTLY_FILE}");
        let shown = page(&convergence.title, &[&convergence], &plotly_below)?;
        write("convergence_plot.html", shown.as_bytes())?;
        write("convergence_plot.png", &png::picture(&convergence)?)?;
        let all = figures::all(&self.summary);
        let all: Vec<&Figure> = all.iter().collect();
        for (figure, picture) in all.iter().zip(png::pictures(&all)?) {
            let shown = page(&figure.title, &[figure], PLOTLY_FILE)?;
            write(
                &format!("{FIGURES_FOLDER}/{}.html", figure.id),
                shown.as_bytes(),
            )?;
            write(&format!("{FIGURES_FOLDER}/{}.png", figure.id), &picture)?;
        }
        let shown = page("All figures", &all, PLOTLY_FILE)?;
        write(&format!("{FIGURES_FOLDER}/overview.html"), shown.as_bytes())
    }

    /// The files beside the page, and what they hold.
    fn files(&self) -> Vec<Setting> {
        let own = [
            (SUMMARY_FILE, "everything on this page"),
            (PARAMETERS_FILE, "the saved model"),
            (CONVERGENCE_FILE, "how the fit went"),
            (METRICS_FILE, "how good the model is"),
        ];
        let own = own.map(|(name, value)| Setting::new(name, value));
        own.into_iter().chain(self.summary.files.clone()).collect()
    }
}

fn write(path: &Path, contents: &[u8]) -> Result<(), ReportError> {
    write_whole(path, |file| file.write_all(contents)).map_err(|cause| ReportError::Write {
        path: path.to_owned(),
        cause,
    })
}
