//! Where a run starts.

use ndarray::{Array1, Array2, Axis};
use rand::Rng;
use rand::distributions::{Distribution, WeightedIndex};
use rand::seq::index;

use super::kernel::{Assignment, Scorer};
use super::spherical_kmeans::{STARTING_ITERATIONS, STARTING_TOLERANCE, lloyd};
use super::{InitMethod, MixtureError, Observations, Statistics, VonMisesFisherMixture};

/// Points that seeding looks at, per centre and at least: distances to a sample serve as well as to all.
const SEEDING_PER_CENTRE: usize = 10;
const SEEDING_AT_LEAST: usize = 2000;

/// Rounds of k-means||, and candidates of a round for each centre (Bahmani et al. 2012, section 4).
const ROUNDS: usize = 5;
const OVERSAMPLING: usize = 2;

/// Rows that are fetched at once.
const ROWS: usize = 1024;

/// A start: points shared out, or a model as it is.
pub(super) enum Start {
    Statistics(Statistics),
    Model(VonMisesFisherMixture),
}

impl InitMethod {
    /// Starts with `n_components`.
    pub(super) fn start(
        &self,
        observations: &dyn Observations,
        n_components: usize,
        rng: &mut impl Rng,
    ) -> Result<Start, MixtureError> {
        let nearest =
            |centres: Array2<f64>| observations.sweep(&Scorer::cosine(centres), Assignment::Hard);
        let statistics = match self {
            Self::SphericalKMeans => {
                let centres = plus_plus(observations, n_components, rng)?;
                lloyd(
                    observations,
                    centres,
                    STARTING_ITERATIONS,
                    STARTING_TOLERANCE,
                    rng,
                    &mut |_| (),
                )?
                .statistics
            }
            Self::KMeansPlusPlus => nearest(plus_plus(observations, n_components, rng)?)?,
            Self::RandomRows => nearest(random_rows(observations, n_components, rng)?)?,
            Self::RandomResponsibilities => {
                let axes = random_rows(observations, n_components, rng)?;
                let uniform = Scorer {
                    concentrations: Array1::zeros(n_components),
                    seed: rng.r#gen(),
                    ..Scorer::cosine(axes)
                };
                observations.sweep(&uniform, Assignment::Stochastic)?
            }
            Self::Means(means) => {
                let (k, d) = means.dim();
                check("rows of the given means", k, n_components)?;
                check("columns of the given means", d, observations.dimension())?;
                nearest(unit_rows(means)?)?
            }
            Self::Labels(labels) => labelled(observations, labels, n_components)?,
            Self::Model(model) => return Ok(Start::Model((**model).clone())),
        };
        Ok(Start::Statistics(statistics))
    }
}

pub(super) fn check(what: &'static str, got: usize, expected: usize) -> Result<(), MixtureError> {
    if got == expected {
        return Ok(());
    }
    Err(MixtureError::Start {
        what,
        got,
        expected,
    })
}

/// Means scaled to unit length.
pub(super) fn unit_rows(means: &Array2<f64>) -> Result<Array2<f64>, MixtureError> {
    let mut means = means.to_owned();
    for (row, mut mean) in means.rows_mut().into_iter().enumerate() {
        let length = mean.dot(&mean).sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(MixtureError::NoDirection { row, length });
        }
        mean /= length;
    }
    Ok(means)
}

/// Every point wholly to its label.
fn labelled(
    observations: &dyn Observations,
    labels: &[usize],
    n_components: usize,
) -> Result<Statistics, MixtureError> {
    check("given labels", labels.len(), observations.n_samples())?;
    if let Some(&label) = labels.iter().find(|label| **label >= n_components) {
        return Err(MixtureError::Start {
            what: "components, as a label tells,",
            got: label + 1,
            expected: n_components,
        });
    }
    let mut statistics = Statistics::zeros(n_components, observations.dimension());
    let rows: Vec<usize> = (0..labels.len()).collect();
    for rows in rows.chunks(ROWS) {
        let directions = observations.directions(rows)?;
        for (&row, x) in rows.iter().zip(directions.rows()) {
            let k = labels[row];
            statistics.masses[k] += 1.0;
            statistics.squares[k] += 1.0;
            let mut resultant = statistics.resultants.row_mut(k);
            resultant += &x;
        }
    }
    statistics.total = labels.len() as f64;
    Ok(statistics)
}

/// Distinct rows drawn at random.
pub(super) fn random_rows(
    observations: &dyn Observations,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Result<Array2<f64>, MixtureError> {
    observations.directions(&index::sample(rng, observations.n_samples(), n_clusters).into_vec())
}

/// The sample of points that seeding looks at.
fn seeding_sample(
    observations: &dyn Observations,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Result<Array2<f64>, MixtureError> {
    let size = SEEDING_AT_LEAST.max(SEEDING_PER_CENTRE * n_clusters);
    random_rows(observations, size.min(observations.n_samples()), rng)
}

/// k-means++ (Arthur & Vassilvitskii 2007) on a sample of the points: unit rows, shape `(n_clusters, dimension)`.
pub(super) fn plus_plus(
    observations: &dyn Observations,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Result<Array2<f64>, MixtureError> {
    let sample = seeding_sample(observations, n_clusters, rng)?;
    let weights = Array1::ones(sample.nrows());
    Ok(weighted_plus_plus(&sample, &weights, n_clusters, rng))
}

/// k-means|| (Bahmani, Moseley, Vattani, Kumar & Vassilvitskii 2012, Scalable k-means++, algorithm 2) on a sample of
/// the points: unit rows, shape `(n_clusters, dimension)`.
pub(super) fn parallel(
    observations: &dyn Observations,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Result<Array2<f64>, MixtureError> {
    let sample = seeding_sample(observations, n_clusters, rng)?;
    let mut candidates = vec![rng.gen_range(0..sample.nrows())];
    let mut distances = Array1::from_elem(sample.nrows(), f64::INFINITY);
    let mut nearest = Array1::<usize>::zeros(sample.nrows());
    let mut new = 0..1;
    for round in 0..=ROUNDS {
        let latest = sample.select(Axis(0), &candidates[new.clone()]);
        for (i, cosines) in sample.dot(&latest.t()).rows().into_iter().enumerate() {
            for (candidate, cosine) in new.clone().zip(cosines) {
                let distance = (1.0 - cosine).max(0.0);
                if distance < distances[i] {
                    (distances[i], nearest[i]) = (distance, candidate);
                }
            }
        }
        if round == ROUNDS {
            break;
        }
        let expected = (OVERSAMPLING * n_clusters) as f64 / distances.sum();
        let first = candidates.len();
        candidates
            .extend((0..sample.nrows()).filter(|&i| rng.r#gen::<f64>() < expected * distances[i]));
        new = first..candidates.len();
    }
    let mut weights = Array1::zeros(candidates.len());
    nearest
        .iter()
        .for_each(|&candidate| weights[candidate] += 1.0);
    let candidates = sample.select(Axis(0), &candidates);
    Ok(weighted_plus_plus(&candidates, &weights, n_clusters, rng))
}

/// Draws rows in turn, each with a probability that grows with its weight and its distance `1 - cos` to those drawn.
fn weighted_plus_plus(
    rows: &Array2<f64>,
    weights: &Array1<f64>,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Array2<f64> {
    let mut draw = |weights: &Array1<f64>| match WeightedIndex::new(weights) {
        Ok(weighted) => weighted.sample(rng),
        // No distance left: fewer distinct points than centres, and any point serves.
        Err(_) => rng.gen_range(0..rows.nrows()),
    };
    let mut chosen = vec![draw(weights)];
    let mut distances = Array1::from_elem(rows.nrows(), f64::INFINITY);
    while chosen.len() < n_clusters {
        let latest = rows.row(chosen[chosen.len() - 1]);
        distances.zip_mut_with(&rows.dot(&latest), |d, cos| {
            *d = d.min((1.0 - cos).max(0.0))
        });
        chosen.push(draw(&(&distances * weights)));
    }
    rows.select(Axis(0), &chosen)
}
