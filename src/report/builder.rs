//! From a model and its data to a [`Summary`]: the one place where a report computes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use super::projection::Projection;
use super::summary::{
    Component, ConvergenceInfo, Entropies, Evaluation, Exemplar, LabelShare, LabelTable, Map,
    NearestCaption, Setting, Skipped, Summary,
};
use super::thumbnail::Picture;
use super::{Report, ReportError};
use crate::encoder::ZeroShotLabels;
use crate::frame::ModalityGap;
use crate::mixture::{InMemory, VonMisesFisherMixture, metrics};

/// Rows whose responsibilities are held at once.
const BLOCK_ROWS: usize = 8192;
/// Rows of the random sample to which the axes of the map are fitted.
const AXES_ROWS: usize = 5_000;
/// Bins of the entropy histogram.
const BINS: usize = 20;
/// Captions that describe a component.
const CAPTIONS: usize = 3;
/// Labels shown by name; the others are counted together.
const MOST_LABELS: usize = 30;
/// What stands for the labels beyond [`MOST_LABELS`].
const OTHER_LABELS: &str = "(all other labels)";

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// A text.
    Text,
    /// An image.
    Image,
    /// A vector made elsewhere, of which only a name is known.
    Vector,
}

/// One item behind an embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What a reader knows it by: a file name, or the text itself.
    pub name: String,
    /// Text or image.
    pub modality: Modality,
    /// Where its picture comes from; only the pictures a report shows are read.
    pub picture: Option<Picture>,
    /// A label known beforehand, to compare the components with.
    pub label: Option<String>,
}

impl Item {
    /// A text, known by itself.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            name: text.into(),
            modality: Modality::Text,
            picture: None,
            label: None,
        }
    }

    /// An image file, known by its file name.
    pub fn image(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            name: name.to_string_lossy().into_owned(),
            modality: Modality::Image,
            picture: Some(Picture::Path(path)),
            label: None,
        }
    }

    /// An image whose file is in memory.
    pub fn image_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            modality: Modality::Image,
            picture: Some(Picture::Bytes(bytes)),
            label: None,
        }
    }

    /// A vector made elsewhere, known by a name.
    pub fn vector(name: impl Into<String>) -> Self {
        Self {
            modality: Modality::Vector,
            ..Self::text(name)
        }
    }

    /// The same item with a label.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// Which rows the model was fitted to.
enum Split {
    AllFitted,
    AllHeldOut,
    /// Rows fitted, rows held out.
    Rows(Vec<usize>, Vec<usize>),
    /// All rows are drawn from more.
    Sample(Population),
}

/// What is known of all items where a report looks at a sample of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// Items the model was fitted to.
    pub n_train: usize,
    /// Items held out.
    pub n_test: usize,
    /// Mean log-likelihood of those fitted, in nats against the surface measure; `None` if there are none.
    pub train_log_likelihood: Option<f64>,
    /// Mean log-likelihood of those held out; `None` if there are none.
    pub test_log_likelihood: Option<f64>,
}

/// Collects what a report is made of; see [`Report::builder`].
pub struct ReportBuilder<'a> {
    model: &'a VonMisesFisherMixture,
    embeddings: ArrayView2<'a, f32>,
    title: String,
    items: Vec<Item>,
    split: Split,
    captions: Option<(Vec<String>, ArrayView2<'a, f32>)>,
    zero_shot: Option<&'a ZeroShotLabels>,
    settings: Vec<Setting>,
    skipped: Vec<Skipped>,
    n_skipped: usize,
    max_points: usize,
    n_exemplars: usize,
    seed: u64,
}

impl<'a> ReportBuilder<'a> {
    pub(super) fn new(model: &'a VonMisesFisherMixture, embeddings: ArrayView2<'a, f32>) -> Self {
        Self {
            model,
            embeddings,
            title: "A mixture of directions".to_owned(),
            items: Vec::new(),
            split: Split::AllFitted,
            captions: None,
            zero_shot: None,
            settings: Vec::new(),
            skipped: Vec::new(),
            n_skipped: 0,
            max_points: 20_000,
            n_exemplars: 8,
            seed: 42,
        }
    }

    /// Title of the report.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
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
        self.captions = Some((texts, embeddings));
        self.zero_shot = None;
        self
    }

    /// Labels to name components by, instead of captions: a component has a probability for each.
    pub fn zero_shot(mut self, labels: &'a ZeroShotLabels) -> Self {
        self.captions = Some((labels.labels().to_vec(), labels.directions()));
        self.zero_shot = Some(labels);
        self
    }

    /// One more thing worth knowing to repeat the analysis: encoder, seed, device, a version, a time.
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push(Setting {
            name: name.into(),
            value: value.to_string(),
        });
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

    /// Most points on the map (default 20,000); of more, a random sample is drawn.
    pub fn max_points(mut self, max_points: usize) -> Self {
        self.max_points = max_points;
        self
    }

    /// Exemplars of each component (default 8).
    pub fn exemplars(mut self, n_exemplars: usize) -> Self {
        self.n_exemplars = n_exemplars;
        self
    }

    /// Seed of the sample on the map (default 42).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Computes everything the report shows.
    ///
    /// # Errors
    /// Embeddings, items, captions or split do not fit together or do not fit the model, or a row of
    /// the embeddings has no direction.
    pub fn build(self) -> Result<Report, ReportError> {
        self.check()?;
        let sweep = Sweep::new(self.model, self.embeddings)?;
        let projection = self.map(&sweep);
        let components = self.components(&sweep, &projection.1)?;
        let mut by_weight: Vec<usize> = (0..components.len()).collect();
        by_weight.sort_by(|&a, &b| components[b].weight.total_cmp(&components[a].weight));
        let (similarity, similarity_range) = similarity(self.model.mean_directions());
        let of = |modality| self.items.iter().filter(|x| x.modality == modality).count();
        let convergence = self.model.convergence();
        let summary = Summary {
            n_items: self.embeddings.nrows(),
            n_texts: of(Modality::Text),
            n_images: of(Modality::Image),
            dimension: self.model.dimension(),
            components,
            by_weight,
            similarity,
            similarity_range,
            evaluation: self.evaluation(&sweep)?,
            convergence: ConvergenceInfo {
                converged: convergence.converged,
                n_iterations: convergence.n_iterations,
                log_likelihoods: convergence.log_likelihoods.clone(),
                warnings: convergence
                    .warnings
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            },
            map: projection.0,
            entropies: histogram(&sweep.entropies, self.model.n_components()),
            labels: self.label_table(&sweep),
            modality_gap: self.modality_gap(),
            title: self.title,
            n_skipped: self.n_skipped.max(self.skipped.len()),
            skipped: self.skipped,
            settings: self.settings,
        };
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
        if let Some((texts, embeddings)) = &self.captions
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

    fn name(&self, row: usize) -> String {
        match self.items.get(row) {
            Some(item) => item.name.clone(),
            None => format!("item {row}"),
        }
    }

    fn map(&self, sweep: &Sweep) -> (Map, Projection) {
        let n = self.embeddings.nrows();
        let mut rng = Xoshiro256Plus::seed_from_u64(self.seed);
        let mut rows = rand::seq::index::sample(&mut rng, n, n.min(self.max_points)).into_vec();
        let units = |rows: &[usize]| unit_rows(self.embeddings.select(Axis(0), rows).view());
        let projection = Projection::fit(units(&rows[..rows.len().min(AXES_ROWS)]).view());
        rows.sort_unstable();
        let points = units(&rows);
        let at = projection.apply(points.view());
        let map = Map {
            explained_variance_ratio: projection.explained_variance_ratio(points.view()),
            x: at.column(0).iter().map(|&x| x as f32).collect(),
            y: at.column(1).iter().map(|&y| y as f32).collect(),
            components: rows.iter().map(|&row| sweep.assigned[row]).collect(),
            certainties: rows
                .iter()
                .map(|&row| sweep.certainties[row] as f32)
                .collect(),
            names: rows.iter().map(|&row| self.name(row)).collect(),
            rows,
        };
        (map, projection)
    }

    fn components(
        &self,
        sweep: &Sweep,
        projection: &Projection,
    ) -> Result<Vec<Component>, ReportError> {
        let means = self.model.mean_directions();
        let captions = self.nearest_captions(means)?;
        let directions = projection.apply(means.view());
        let lengths: Array1<f64> = (0..self.model.n_components())
            .map(|k| self.model.component(k).mean_resultant_length())
            .collect();
        let centres = projection.apply((means * &lengths.view().insert_axis(Axis(1))).view());
        let mut members = vec![Vec::new(); self.model.n_components()];
        for (row, &k) in sweep.assigned.iter().enumerate() {
            members[k].push(row);
        }
        let maximum = (self.model.n_components() as f64).ln();
        let component = |(k, (members, captions)): (usize, (Vec<usize>, _))| {
            let entropy: f64 = members.iter().map(|&row| sweep.entropies[row]).sum();
            Component {
                index: k,
                weight: self.model.weights()[k],
                size: members.len(),
                expected_size: sweep.masses[k],
                concentration: self.model.concentrations()[k],
                mean_resultant_length: lengths[k],
                entropy: self.model.component(k).entropy(),
                mean_membership_entropy: (!members.is_empty())
                    .then(|| share(entropy / members.len() as f64, maximum)),
                captions,
                labels: self.label_shares(&members),
                exemplars: self.exemplars_of(members, sweep),
                direction: [0, 1, 2].map(|axis| directions[[k, axis]]),
                centre: [0, 1].map(|axis| centres[[k, axis]]),
            }
        };
        Ok(members
            .into_iter()
            .zip(captions)
            .enumerate()
            .map(component)
            .collect())
    }

    /// The items of highest density: within a component density grows with the cosine to its mean.
    fn exemplars_of(&self, mut members: Vec<usize>, sweep: &Sweep) -> Vec<Exemplar> {
        members.sort_by(|&a, &b| sweep.cosines[b].total_cmp(&sweep.cosines[a]));
        let mut seen = HashSet::new();
        let chosen: Vec<usize> = members
            .into_iter()
            .filter(|&row| seen.insert(self.name(row)))
            .take(self.n_exemplars)
            .collect();
        let exemplar = |&row: &usize| Exemplar {
            row,
            name: self.name(row),
            thumbnail: self
                .items
                .get(row)
                .and_then(|item| item.picture.as_ref()?.thumbnail()),
            cosine: sweep.cosines[row],
            responsibility: sweep.certainties[row],
        };
        chosen.par_iter().map(exemplar).collect()
    }

    fn nearest_captions(
        &self,
        means: &Array2<f64>,
    ) -> Result<Vec<Vec<NearestCaption>>, ReportError> {
        let Some((texts, embeddings)) = &self.captions else {
            return Ok(vec![Vec::new(); means.nrows()]);
        };
        InMemory::new(*embeddings, None)?;
        let cosines = unit_rows(*embeddings).dot(&means.t());
        let probabilities = self
            .zero_shot
            .map(|labels| labels.probabilities(means.view()));
        let nearest = |(k, column): (usize, ArrayView1<'_, f64>)| {
            let mut order: Vec<usize> = (0..texts.len()).collect();
            order.sort_by(|&a, &b| column[b].total_cmp(&column[a]));
            let mut seen = HashSet::new();
            let fresh = order.into_iter().filter(|&i| seen.insert(&texts[i]));
            let caption = |i: usize| NearestCaption {
                text: texts[i].clone(),
                cosine: column[i],
                probability: probabilities.as_ref().map(|of| of[[k, i]]),
            };
            fresh.take(CAPTIONS).map(caption).collect()
        };
        Ok(cosines
            .columns()
            .into_iter()
            .enumerate()
            .map(nearest)
            .collect())
    }

    fn evaluation(&self, sweep: &Sweep) -> Result<Evaluation, ReportError> {
        let population = self.population(sweep);
        let rows = self.embeddings.nrows();
        let train = population.train_log_likelihood;
        let gap = |test| train.map(|train| train - test);
        let n_train = population.n_train as f64;
        let criterion = |penalty: f64| train.map(|train| penalty - 2.0 * n_train * train);
        let n_parameters = self.model.n_parameters();
        let (mut known, mut assigned, mut numbers) = (Vec::new(), Vec::new(), HashMap::new());
        for (item, &component) in self.items.iter().zip(&sweep.assigned) {
            if let Some(label) = &item.label {
                let next = numbers.len();
                known.push(*numbers.entry(label).or_insert(next));
                assigned.push(component);
            }
        }
        let compare = |metric: fn(&[usize], &[usize]) -> f64| {
            (!known.is_empty()).then(|| metric(&known, &assigned))
        };
        Ok(Evaluation {
            train_log_likelihood: train,
            test_log_likelihood: population.test_log_likelihood,
            generalisation_gap: population.test_log_likelihood.and_then(gap),
            n_parameters,
            bic: criterion(n_parameters as f64 * n_train.ln()),
            aic: criterion(2.0 * n_parameters as f64),
            silhouette: metrics::cosine_silhouette(self.embeddings, &sweep.assigned)?,
            n_train: population.n_train,
            n_test: population.n_test,
            n_sampled: (rows < population.n_train + population.n_test).then_some(rows),
            nmi: compare(metrics::normalized_mutual_information),
            ari: compare(metrics::adjusted_rand_index),
        })
    }

    fn population(&self, sweep: &Sweep) -> Population {
        let n = self.embeddings.nrows();
        let of = |train: &[usize], test: &[usize]| {
            let mean = |rows: &[usize]| {
                let densities = rows.iter().map(|&row| sweep.ln_densities[row]);
                (!rows.is_empty()).then(|| densities.sum::<f64>() / rows.len() as f64)
            };
            Population {
                n_train: train.len(),
                n_test: test.len(),
                train_log_likelihood: mean(train),
                test_log_likelihood: mean(test),
            }
        };
        let all: Vec<usize> = (0..n).collect();
        match &self.split {
            Split::AllFitted => of(&all, &[]),
            Split::AllHeldOut => of(&[], &all),
            Split::Rows(train, test) => of(train, test),
            Split::Sample(population) => *population,
        }
    }

    fn modality_gap(&self) -> Option<ModalityGap> {
        let [texts, images] = [Modality::Text, Modality::Image].map(|modality| {
            let items = self.items.iter().enumerate();
            let rows = items.filter(|(_, item)| item.modality == modality);
            rows.map(|(row, _)| row).collect::<Vec<_>>()
        });
        ModalityGap::new(self.embeddings, [("texts", &texts), ("images", &images)])
    }

    fn label_shares(&self, members: &[usize]) -> Vec<LabelShare> {
        let labels = members
            .iter()
            .filter_map(|&row| self.items.get(row)?.label.as_deref());
        let counts = most_frequent(labels);
        let labelled: usize = counts.iter().map(|(_, count)| count).sum();
        let shared = |(label, count): (&str, usize)| LabelShare {
            label: label.to_owned(),
            count,
            share: count as f64 / labelled as f64,
        };
        counts.into_iter().map(shared).collect()
    }

    fn label_table(&self, sweep: &Sweep) -> Option<LabelTable> {
        let frequent = most_frequent(self.items.iter().filter_map(|item| item.label.as_deref()));
        if frequent.is_empty() {
            return None;
        }
        let mut labels: Vec<String> = frequent
            .iter()
            .take(MOST_LABELS)
            .map(|&(label, _)| label.to_owned())
            .collect();
        if frequent.len() > MOST_LABELS {
            labels.push(OTHER_LABELS.to_owned());
        }
        let row_of: HashMap<&str, usize> = frequent
            .iter()
            .enumerate()
            .map(|(i, &(label, _))| (label, i.min(MOST_LABELS)))
            .collect();
        let mut counts = vec![vec![0; self.model.n_components()]; labels.len()];
        let mut totals = vec![0_usize; self.model.n_components()];
        for (item, &k) in self.items.iter().zip(&sweep.assigned) {
            if let Some(label) = &item.label {
                counts[row_of[label.as_str()]][k] += 1;
                totals[k] += 1;
            }
        }
        let shares = counts.iter().map(|row: &Vec<usize>| {
            let columns = row.iter().zip(&totals);
            columns
                .map(|(&n, &total)| share(n as f64, total as f64))
                .collect()
        });
        Some(LabelTable {
            shares: shares.collect(),
            labels,
            counts,
        })
    }
}

/// What one pass over the rows leaves behind.
struct Sweep {
    /// Component of highest responsibility, per row.
    assigned: Vec<usize>,
    /// That responsibility, per row.
    certainties: Vec<f64>,
    /// Entropy of the responsibilities in nats, per row.
    entropies: Vec<f64>,
    /// Cosine to the mean direction of the assigned component, per row.
    cosines: Vec<f64>,
    /// Log-density in nats, surface measure, per row.
    ln_densities: Vec<f64>,
    /// Sum of the responsibilities, per component.
    masses: Array1<f64>,
}

impl Sweep {
    fn new(
        model: &VonMisesFisherMixture,
        embeddings: ArrayView2<'_, f32>,
    ) -> Result<Self, ReportError> {
        // Checks every row at once, so that an error names its row rather than a row of a block.
        InMemory::new(embeddings, None)?;
        let mut out = Self {
            assigned: Vec::new(),
            certainties: Vec::new(),
            entropies: Vec::new(),
            cosines: Vec::new(),
            ln_densities: Vec::new(),
            masses: Array1::zeros(model.n_components()),
        };
        let means = model.mean_directions();
        for start in (0..embeddings.nrows()).step_by(BLOCK_ROWS) {
            let end = embeddings.nrows().min(start + BLOCK_ROWS);
            let block = embeddings.slice(s![start..end, ..]);
            let responsibilities = model.predict_proba(block)?;
            out.ln_densities.extend(model.score_samples(block)?);
            out.masses += &responsibilities.sum_axis(Axis(0));
            let units = unit_rows(block);
            for (row, unit) in responsibilities.rows().into_iter().zip(units.rows()) {
                let best = (0..row.len())
                    .rev()
                    .max_by(|&a, &b| row[a].total_cmp(&row[b]))
                    .unwrap_or(0);
                out.assigned.push(best);
                out.certainties.push(row[best]);
                out.entropies.push(entropy(row.iter().copied()));
                out.cosines.push(unit.dot(&means.row(best)));
            }
        }
        Ok(out)
    }
}

/// `-sum p ln p` in nats.
fn entropy(probabilities: impl Iterator<Item = f64>) -> f64 {
    let term = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    probabilities.map(term).sum::<f64>().max(0.0)
}

/// `part / whole`, 0 if there is no whole.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn unit_rows(rows: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut units = rows.mapv(f64::from);
    for mut row in units.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    units
}

/// Labels with their counts, most frequent first, equal counts by name.
fn most_frequent<'l>(labels: impl Iterator<Item = &'l str>) -> Vec<(&'l str, usize)> {
    let mut counts = HashMap::new();
    labels.for_each(|label| *counts.entry(label).or_insert(0) += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts
}

/// Cosines of all pairs of rows, and the range of those of different rows; if that is one value, it is
/// widened to what a scale of cosines needs.
fn similarity(means: &Array2<f64>) -> (Vec<Vec<f64>>, [f64; 2]) {
    let cosines = means.dot(&means.t()).mapv(|x| x.clamp(-1.0, 1.0));
    let pairs = cosines.indexed_iter().filter(|((i, j), _)| i != j);
    let [low, high] = pairs.fold([1.0_f64, -1.0_f64], |[low, high], (_, &x)| {
        [low.min(x), high.max(x)]
    });
    let range = if low < high {
        [low, high]
    } else {
        [low.min(0.0), 1.0]
    };
    (
        cosines.rows().into_iter().map(|row| row.to_vec()).collect(),
        range,
    )
}

fn histogram(entropies: &[f64], n_components: usize) -> Entropies {
    let maximum = (n_components as f64).ln();
    let mut counts = vec![0; BINS];
    for &entropy in entropies {
        let bin = (share(entropy, maximum) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    Entropies {
        mean: entropies.iter().sum::<f64>() / entropies.len() as f64,
        maximum,
        edges: (0..=BINS).map(|i| i as f64 / BINS as f64).collect(),
        bin_width: 1.0 / BINS as f64,
        counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_zero_when_certain_and_ln_k_when_torn() {
        assert_eq!(entropy([1.0, 0.0, 0.0].into_iter()), 0.0);
        let torn = entropy([0.25; 4].into_iter());
        assert!((torn - 4.0_f64.ln()).abs() < 1e-12);
        let histogram = histogram(&[0.0, torn], 4);
        assert_eq!((histogram.counts[0], histogram.counts[BINS - 1]), (1, 1));
    }

    #[test]
    fn one_component_leaves_no_entropy() {
        let histogram = histogram(&[0.0, 0.0], 1);
        assert_eq!(histogram.counts[0], 2);
        assert_eq!(histogram.maximum, 0.0);
    }

    #[test]
    fn labels_are_ordered_by_count_then_name() {
        let order = most_frequent(["b", "a", "c", "c"].into_iter());
        assert_eq!(order, [("c", 2), ("a", 1), ("b", 1)]);
    }

    #[test]
    fn similarity_range_leaves_the_diagonal_out() {
        let means = ndarray::array![[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]];
        let (cosines, range) = similarity(&means);
        assert_eq!(cosines[0][0], 1.0);
        assert_eq!(range, [0.0, 0.8]);
        assert_eq!(similarity(&ndarray::array![[1.0, 0.0]]).1, [0.0, 1.0]);
    }
}
