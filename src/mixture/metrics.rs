//! How good a clustering is: against known labels, and by itself.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::MixtureError;
use super::kernel::{float, lengths};
use super::simd::two_largest;

/// Normalised mutual information of two labellings of the same points, in `[0, 1]`, with the arithmetic mean of
/// the entropies below the line (Strehl & Ghosh 2002; scikit-learn's default). 1 when both are a single cluster.
///
/// # Panics
/// The labellings differ in length.
pub fn normalized_mutual_information(a: &[usize], b: &[usize]) -> f64 {
    let shared = Information::new(a, b);
    if shared.first + shared.second == 0.0 {
        return 1.0;
    }
    (2.0 * shared.mutual / (shared.first + shared.second)).clamp(0.0, 1.0)
}

/// Homogeneity, completeness and their harmonic mean, the V-measure, of clusters against classes (Rosenberg & Hirschberg
/// 2007), each in `[0, 1]`: whether each cluster holds one class only, and each class is in one cluster only. The
/// V-measure is the [`normalized_mutual_information`] with the arithmetic mean.
///
/// # Panics
/// The labellings differ in length.
pub fn v_measure(clusters: &[usize], classes: &[usize]) -> (f64, f64, f64) {
    let shared = Information::new(clusters, classes);
    let share = |entropy: f64| {
        if entropy == 0.0 {
            1.0
        } else {
            (shared.mutual / entropy).clamp(0.0, 1.0)
        }
    };
    (
        share(shared.second),
        share(shared.first),
        normalized_mutual_information(clusters, classes),
    )
}

/// Share of the points that have the most frequent class of their cluster, in `(0, 1]`; 1 for no points.
///
/// # Panics
/// The labellings differ in length.
pub fn purity(clusters: &[usize], classes: &[usize]) -> f64 {
    let table = contingency(clusters, classes);
    let most = table
        .rows()
        .into_iter()
        .map(|row| row.iter().copied().fold(0.0, f64::max));
    if clusters.is_empty() {
        return 1.0;
    }
    most.sum::<f64>() / clusters.len() as f64
}

/// Points of like confidence, and how many of them are right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Points in the bin.
    pub n: usize,
    /// Mean of their largest responsibilities.
    pub confidence: f64,
    /// Share that has the most frequent class of its component.
    pub accuracy: f64,
}

/// Whether responsibilities are as often right as they say, by bins of equal width of the largest responsibility, empty
/// ones left out; with it the expected calibration error, the mean gap weighted by points (Naeini, Cooper & Hauskrecht
/// 2015). `responsibilities` has shape `(n_samples, n_components)`.
///
/// # Panics
/// There are not as many classes as rows, or no bins.
pub fn calibration(
    responsibilities: ArrayView2<'_, f64>,
    classes: &[usize],
    n_bins: usize,
) -> (Vec<CalibrationBin>, f64) {
    assert_eq!(responsibilities.nrows(), classes.len(), "one class a row");
    let best: Vec<(usize, f64, f64)> = responsibilities
        .rows()
        .into_iter()
        .map(|row| two_largest(&row.to_vec()))
        .collect();
    let clusters: Vec<usize> = best.iter().map(|best| best.0).collect();
    let table = contingency(&clusters, classes);
    let majority: Vec<usize> = table
        .rows()
        .into_iter()
        .map(|row| two_largest(&row.to_vec()).0)
        .collect();
    let mut bins = vec![(0, 0.0, 0.0); n_bins];
    for (&(cluster, confidence, _), &class) in best.iter().zip(classes) {
        let bin = ((confidence * n_bins as f64) as usize).min(n_bins - 1);
        bins[bin].0 += 1;
        bins[bin].1 += confidence;
        bins[bin].2 += f64::from(u8::from(majority[cluster] == class));
    }
    let bins: Vec<CalibrationBin> = bins
        .into_iter()
        .filter(|bin| bin.0 > 0)
        .map(|(n, confidence, right)| CalibrationBin {
            n,
            confidence: confidence / n as f64,
            accuracy: right / n as f64,
        })
        .collect();
    let gaps = bins
        .iter()
        .map(|bin| bin.n as f64 * (bin.confidence - bin.accuracy).abs());
    let error = gaps.sum::<f64>() / (classes.len().max(1)) as f64;
    (bins, error)
}

/// Adjusted Rand index of two labellings of the same points (Hubert & Arabie 1985): 1 for the same partition,
/// 0 in expectation for independent ones.
///
/// # Panics
/// The labellings differ in length.
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> f64 {
    let table = contingency(a, b);
    let pairs = |x: f64| x * (x - 1.0) / 2.0;
    let both: f64 = table.iter().copied().map(pairs).sum();
    let rows: f64 = table.sum_axis(Axis(1)).iter().copied().map(pairs).sum();
    let columns: f64 = table.sum_axis(Axis(0)).iter().copied().map(pairs).sum();
    let expected = rows * columns / pairs(table.sum()).max(1.0);
    let most = (rows + columns) / 2.0;
    if most == expected {
        1.0
    } else {
        (both - expected) / (most - expected)
    }
}

/// Mean silhouette under the cosine distance `1 - cos` (Rousseeuw 1987), in `[-1, 1]`; 0 for points alone in their
/// cluster, `None` with fewer than two clusters.
///
/// Exact for any number of points in `O(n_samples n_clusters dimension)`: the mean cosine distance from `x` to a
/// cluster is `1 - x . s / n` with `s` the sum of its `n` unit vectors.
///
/// # Errors
/// A row has no direction.
///
/// # Panics
/// `labels` is not as long as `rows`.
pub fn cosine_silhouette<F: Float>(
    rows: ArrayView2<'_, F>,
    labels: &[usize],
) -> Result<Option<f64>, MixtureError> {
    assert_eq!(rows.nrows(), labels.len(), "one label a row");
    let lengths = lengths(rows);
    if let Some((row, &length)) = lengths
        .iter()
        .enumerate()
        .find(|(_, x)| !x.is_finite() || **x == 0.0)
    {
        return Err(MixtureError::NoDirection { row, length });
    }
    let k = labels.iter().max().map_or(0, |max| max + 1);
    let mut sums = Array2::<f64>::zeros((k, rows.ncols()));
    let mut counts = vec![0.0_f64; k];
    for ((row, &label), length) in rows.rows().into_iter().zip(labels).zip(&lengths) {
        counts[label] += 1.0;
        sums.row_mut(label)
            .zip_mut_with(&row, |sum, &x| *sum += float(x) / length);
    }
    if counts.iter().filter(|n| **n > 0.0).count() < 2 {
        return Ok(None);
    }
    let mut total = 0.0;
    for ((row, &own), length) in rows.rows().into_iter().zip(labels).zip(&lengths) {
        if counts[own] < 2.0 {
            continue;
        }
        let x = row.mapv(|x| float(x) / length);
        let cosines = sums.dot(&x);
        let within = ((counts[own] - cosines[own]) / (counts[own] - 1.0)).max(0.0);
        let nearest = (0..k)
            .filter(|&c| c != own && counts[c] > 0.0)
            .map(|c| (1.0 - cosines[c] / counts[c]).max(0.0))
            .fold(f64::INFINITY, f64::min);
        let larger = within.max(nearest);
        if larger > 0.0 {
            total += (nearest - within) / larger;
        }
    }
    Ok(Some(total / labels.len() as f64))
}

/// Entropies of two labellings and what they tell of each other, in nats.
struct Information {
    first: f64,
    second: f64,
    mutual: f64,
}

impl Information {
    fn new(a: &[usize], b: &[usize]) -> Self {
        let table = contingency(a, b);
        let (rows, columns) = (table.sum_axis(Axis(1)), table.sum_axis(Axis(0)));
        let n = table.sum();
        let entropy = |counts: &Array1<f64>| -> f64 {
            let counts = counts.iter().filter(|c| **c > 0.0);
            counts.map(|c| -c / n * (c / n).ln()).sum()
        };
        let cells = table.indexed_iter().filter(|(_, c)| **c > 0.0);
        Self {
            first: entropy(&rows),
            second: entropy(&columns),
            mutual: cells
                .map(|((i, j), c)| c / n * (c * n / (rows[i] * columns[j])).ln())
                .sum(),
        }
    }
}

fn contingency(a: &[usize], b: &[usize]) -> Array2<f64> {
    assert_eq!(a.len(), b.len(), "both labellings are of the same points");
    let size = |labels: &[usize]| labels.iter().max().map_or(0, |max| max + 1);
    let mut table = Array2::zeros((size(a), size(b)));
    a.iter().zip(b).for_each(|(&i, &j)| table[[i, j]] += 1.0);
    table
}
