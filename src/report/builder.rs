//! Collects what a report is made of, and computes its [`Summary`].

use std::collections::BTreeSet;
use std::sync::Arc;

use ndarray::ArrayView2;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::compute::{self, Analysed, Descriptions, Limits, Split};
use super::item::{Item, Modality};
use super::population::Population;
use super::summary::{ConvergenceInfo, SelectionInfo, Setting, Skipped, Summary};
use super::{Report, ReportError, Section};
use crate::encoder::ZeroShotLabels;
use crate::mixture::{Selection, VonMisesFisherMixture};
use crate::progress::{Progress, Silent};

/// Collects what a report is made of; see [`Report::builder`].
pub struct ReportBuilder<'a> {
    model: &'a VonMisesFisherMixture,
    embeddings: ArrayView2<'a, f32>,
    title: String,
    sections: BTreeSet<Section>,
    items: Vec<Item>,
    split: Split,
    descriptions: Descriptions<'a>,
    selection: Option<SelectionInfo>,
    settings: Vec<Setting>,
    files: Vec<Setting>,
    skipped: Vec<Skipped>,
    n_skipped: usize,
    max_items: usize,
    max_thumbnails: usize,
    limits: Limits,
    duplicate_cosine: f64,
    seed: u64,
    progress: Arc<dyn Progress>,
}

impl<'a> ReportBuilder<'a> {
    pub(super) fn new(model: &'a VonMisesFisherMixture, embeddings: ArrayView2<'a, f32>) -> Self {
        Self {
            model,
            embeddings,
            title: "A mixture of directions".to_owned(),
            sections: BTreeSet::from(Section::ALL),
            items: Vec::new(),
            split: Split::AllFitted,
            descriptions: Descriptions {
                captions: None,
                zero_shot: None,
                n_exemplars: 8,
            },
            selection: None,
            settings: Vec::new(),
            files: Vec::new(),
            skipped: Vec::new(),
            n_skipped: 0,
            max_items: 100_000,
            max_thumbnails: 1_000,
            limits: Limits {
                points: 20_000,
                tsne: 2_000,
            },
            duplicate_cosine: 0.98,
            seed: 42,
            progress: Arc::new(Silent),
        }
    }

    /// Title of the report.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The sections of the page; all, without this.
    pub fn sections(mut self, sections: impl IntoIterator<Item = Section>) -> Self {
        self.sections = sections.into_iter().collect();
        self
    }

    /// Leaves a section out. Maps and near duplicates are then not even computed.
    pub fn without(mut self, section: Section) -> Self {
        self.sections.remove(&section);
        self
    }

    /// The items behind the embeddings, one per row and in the same order.
    pub fn items(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.items = items.into_iter().collect();
        self
    }

    /// Rows the model was fitted to and rows held out; without it, all rows count as fitted.
    pub fn split(mut self, train: Vec<usize>, test: Vec<usize>) -> Self {
        self.split = Split::Rows(train, test);
        self
    }

    /// All rows count as held out: the model was fitted before, to others. The report then has no log-likelihood of
    /// fitted items and no criterion that rests on it.
    pub fn held_out(mut self) -> Self {
        self.split = Split::AllHeldOut;
        self
    }

    /// The rows are a random sample of more, of which this is known. Log-likelihoods and criteria are then those of all, and the
    /// rest of the report, counts with it, is of the sample.
    pub fn sample_of(mut self, population: Population) -> Self {
        self.split = Split::Sample(population);
        self
    }

    /// Captions to describe components by, with their embeddings, shape `(n_captions, dimension)`.
    pub fn captions(mut self, texts: Vec<String>, embeddings: ArrayView2<'a, f32>) -> Self {
        self.descriptions.captions = Some((texts, embeddings));
        self.descriptions.zero_shot = None;
        self
    }

    /// Labels to name components by, instead of captions: a component has a probability for each.
    pub fn zero_shot(mut self, labels: &'a ZeroShotLabels) -> Self {
        self.descriptions.captions = Some((labels.labels().to_vec(), labels.directions()));
        self.descriptions.zero_shot = Some(labels);
        self
    }

    /// The numbers of components among which that of the model was chosen.
    pub fn selection(mut self, selection: &Selection) -> Self {
        self.selection = Some(SelectionInfo {
            criterion: selection.criterion,
            chosen: selection.model.n_components(),
            candidates: selection.candidates.clone(),
        });
        self
    }

    /// One more thing worth knowing to repeat the analysis: encoder, seed, device, a version, a time.
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push(Setting::new(name, value));
        self
    }

    /// A file beside the report, by its path from it, and what it holds.
    pub fn file(mut self, path: impl Into<String>, contents: impl ToString) -> Self {
        self.files.push(Setting::new(path, contents));
        self
    }

    /// Inputs without an embedding, each with the reason.
    pub fn skipped(mut self, skipped: Vec<(String, String)>) -> Self {
        let entry = |(name, reason)| Skipped { name, reason };
        self.skipped = skipped.into_iter().map(entry).collect();
        self
    }

    /// How many inputs have no embedding, where not all of them are [named](Self::skipped).
    pub fn n_skipped(mut self, n_skipped: usize) -> Self {
        self.n_skipped = n_skipped;
        self
    }

    /// Most items in the table (default 100,000); of more, a random sample of each component is drawn.
    pub fn max_items(mut self, max_items: usize) -> Self {
        self.max_items = max_items;
        self
    }

    /// Most items on a map (default 20,000), drawn from those in the table in the same way.
    pub fn max_points(mut self, max_points: usize) -> Self {
        self.limits.points = max_points;
        self
    }

    /// Most items on the map by t-SNE (default 2,000; 0 leaves it out, as do fewer than 16 items), drawn from those on the other maps
    /// in the same way. Its time grows with their square: about a second for 2,000, eight for 10,000.
    pub fn max_tsne(mut self, max_tsne: usize) -> Self {
        self.limits.tsne = max_tsne;
        self
    }

    /// Most thumbnails (default 1,000): first those of items shown one by one, then those of items on the map.
    pub fn max_thumbnails(mut self, max_thumbnails: usize) -> Self {
        self.max_thumbnails = max_thumbnails;
        self
    }

    /// Exemplars of each component (default 8).
    pub fn exemplars(mut self, n_exemplars: usize) -> Self {
        self.descriptions.n_exemplars = n_exemplars;
        self
    }

    /// Cosine from which on two items are nearly the same (default 0.98).
    pub fn duplicate_cosine(mut self, cosine: f64) -> Self {
        self.duplicate_cosine = cosine;
        self
    }

    /// Seed of samples and maps (default 42).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Who is told how far it is.
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Computes everything the report shows.
    ///
    /// # Errors
    /// Embeddings, items, captions or split do not fit together or do not fit the model, or a row of
    /// the embeddings has no direction.
    pub fn build(self) -> Result<Report, ReportError> {
        self.check()?;
        let wants = |section| self.sections.contains(&section);
        let mut done = 0;
        let mut step = || {
            done += 1;
            self.progress.update("report", done, STEPS);
        };
        let analysed = Analysed::new(self.model, self.embeddings.view(), &self.items)?;
        step();
        let evaluation = compute::evaluation(&analysed, &self.split)?;
        step();
        let directions = compute::directions(&analysed);
        let components = compute::components(&analysed, &self.descriptions, &directions)?;
        step();
        let mut rng = Xoshiro256Plus::seed_from_u64(self.seed);
        let rows = compute::stratified(&analysed.members, self.max_items, &mut rng);
        let items = compute::items(&analysed, rows);
        let maps = match wants(Section::Map) {
            true => compute::maps(&analysed, &items, self.limits, self.seed)?,
            false => Vec::new(),
        };
        step();
        let duplicates = wants(Section::Duplicates)
            .then(|| compute::duplicates(&analysed, self.duplicate_cosine));
        step();
        let of = |modality| self.items.iter().filter(|x| x.modality == modality).count();
        let mut by_weight: Vec<usize> = (0..components.len()).collect();
        by_weight.sort_by(|&a, &b| components[b].weight.total_cmp(&components[a].weight));
        let mut summary = Summary {
            vmfmix_version: env!("CARGO_PKG_VERSION").to_owned(),
            sections: self.sections.iter().copied().collect(),
            n_items: self.embeddings.nrows(),
            n_texts: of(Modality::Text),
            n_images: of(Modality::Image),
            dimension: self.model.dimension(),
            by_weight,
            similarity: compute::similarity(&analysed),
            evaluation,
            convergence: convergence(self.model),
            maps,
            memberships: compute::memberships(&analysed)?,
            labels: compute::label_table(&analysed),
            outliers: compute::outliers(&analysed),
            duplicates,
            modality_gap: compute::modality_gap(&analysed),
            components,
            items,
            title: self.title,
            selection: self.selection,
            n_skipped: self.n_skipped.max(self.skipped.len()),
            skipped: self.skipped,
            settings: self.settings,
            files: self.files,
            thumbnails: Vec::new(),
        };
        step();
        compute::add_thumbnails(
            &mut summary,
            &analysed,
            self.max_thumbnails,
            &*self.progress,
        );
        Ok(Report::from_summary(self.model.clone(), summary))
    }

    fn check(&self) -> Result<(), ReportError> {
        let (rows, columns) = self.embeddings.dim();
        let dimension = self.model.dimension();
        if rows == 0 {
            return Err(ReportError::NoRows);
        }
        if columns != dimension {
            return Err(ReportError::Dimension {
                got: columns,
                expected: dimension,
            });
        }
        if !self.items.is_empty() && self.items.len() != rows {
            return Err(ReportError::ItemCount {
                items: self.items.len(),
                rows,
            });
        }
        if let Some((texts, embeddings)) = &self.descriptions.captions
            && embeddings.dim() != (texts.len(), dimension)
        {
            return Err(ReportError::Captions {
                texts: texts.len(),
                rows: embeddings.nrows(),
                columns: embeddings.ncols(),
                dimension,
            });
        }
        if let Split::Rows(train, test) = &self.split {
            if let Some(&row) = train.iter().chain(test).find(|&&row| row >= rows) {
                return Err(ReportError::SplitRow { row, rows });
            }
            if train.is_empty() {
                return Err(ReportError::EmptyTraining);
            }
        }
        Ok(())
    }
}

/// Parts of [`ReportBuilder::build`] that progress tells of.
const STEPS: usize = 6;

fn convergence(model: &VonMisesFisherMixture) -> ConvergenceInfo {
    let found = model.convergence();
    ConvergenceInfo {
        converged: found.converged,
        n_iterations: found.n_iterations,
        log_likelihoods: found.log_likelihoods.clone(),
        runs: found.runs.clone(),
        warnings: found.warnings.iter().map(ToString::to_string).collect(),
    }
}
