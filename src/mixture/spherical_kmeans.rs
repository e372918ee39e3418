//! Spherical k-means: k-means with the cosine, its centres kept on the sphere.
//!
//! # References
//! - Dhillon & Modha (2001), Concept decompositions for large sparse text data, Machine Learning 42.
//! - Arthur & Vassilvitskii (2007), k-means++: the advantages of careful seeding, SODA. On the sphere the squared
//!   distance of two unit vectors is `2 (1 - cos)`.

use ndarray::{Array1, Array2, Axis};
use rand::Rng;
use rand::distributions::{Distribution, WeightedIndex};
use rand::seq::index;

use super::kernel::{Assignment, Scorer};
use super::{MixtureError, Observations, Statistics};

/// Sweeps at most: the start of an EM needs no more.
const MAX_N_ITERATIONS: usize = 25;

/// Relative rise of the mean cosine below which the start is good enough.
const TOLERANCE: f64 = 1e-4;

/// Points that seeding looks at, per centre and at least: distances to a sample serve as well as to all.
const SEEDING_PER_CENTRE: usize = 10;
const SEEDING_AT_LEAST: usize = 2000;

/// Clusters the points and returns the statistics of the final hard assignment.
pub(super) fn spherical_kmeans(
    observations: &dyn Observations,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Result<Statistics, MixtureError> {
    let mut centres = seed(observations, n_clusters, rng)?;
    let mut previous = f64::NEG_INFINITY;
    let mut iteration = 1;
    loop {
        let statistics = observations.sweep(&Scorer::cosine(centres.clone()), Assignment::Hard)?;
        let objective = statistics.log_likelihood / statistics.total;
        if iteration == MAX_N_ITERATIONS || objective - previous <= TOLERANCE * objective.abs() {
            return Ok(statistics);
        }
        for (mut centre, resultant) in centres
            .rows_mut()
            .into_iter()
            .zip(statistics.resultants.rows())
        {
            let length = resultant.dot(&resultant).sqrt();
            if length > 0.0 {
                centre.assign(&(&resultant / length));
            }
        }
        previous = objective;
        iteration += 1;
    }
}

/// k-means++ on a sample of the points: centres, unit rows of shape `(n_clusters, dimension)`.
fn seed(
    observations: &dyn Observations,
    n_clusters: usize,
    rng: &mut impl Rng,
) -> Result<Array2<f64>, MixtureError> {
    let n = observations.n_samples();
    let size = n.min(SEEDING_AT_LEAST.max(SEEDING_PER_CENTRE * n_clusters));
    let sample = observations.directions(&index::sample(rng, n, size).into_vec())?;
    let mut chosen = vec![rng.gen_range(0..size)];
    let mut distances = Array1::from_elem(size, f64::INFINITY);
    while chosen.len() < n_clusters {
        let latest = sample.row(chosen[chosen.len() - 1]);
        distances.zip_mut_with(&sample.dot(&latest), |d, cos| {
            *d = d.min((1.0 - cos).max(0.0))
        });
        // No distance left: fewer distinct points than centres, and any point serves.
        chosen.push(match WeightedIndex::new(&distances) {
            Ok(weighted) => weighted.sample(rng),
            Err(_) => rng.gen_range(0..size),
        });
    }
    Ok(sample.select(Axis(0), &chosen))
}
