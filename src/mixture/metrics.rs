//! How good a clustering is: against known labels, and by itself.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView2};

use super::MixtureError;
use super::kernel::{float, lengths};

/// Normalised mutual information of two labellings of the same points, in `[0, 1]`, with the arithmetic mean of
/// the entropies below the line (Strehl & Ghosh 2002; scikit-learn's default). 1 when both are a single cluster.
///
/// # Panics
/// The labellings differ in length.
pub fn normalized_mutual_information(a: &[usize], b: &[usize]) -> f64 {
    let table = contingency(a, b);
    let (rows, columns) = (
        table.sum_axis(ndarray::Axis(1)),
        table.sum_axis(ndarray::Axis(0)),
    );
    let n = table.sum();
    let entropy = |counts: &Array1<f64>| -> f64 {
        counts
            .iter()
            .filter(|c| **c > 0.0)
            .map(|c| -c / n * (c / n).ln())
            .sum()
    };
    let (h_rows, h_columns) = (entropy(&rows), entropy(&columns));
    if h_rows + h_columns == 0.0 {
        return 1.0;
    }
    let information: f64 = table
        .indexed_iter()
        .filter(|(_, c)| **c > 0.0)
        .map(|((i, j), c)| c / n * (c * n / (rows[i] * columns[j])).ln())
        .sum();
    (2.0 * information / (h_rows + h_columns)).clamp(0.0, 1.0)
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
    let rows: f64 = table
        .sum_axis(ndarray::Axis(1))
        .iter()
        .copied()
        .map(pairs)
        .sum();
    let columns: f64 = table
        .sum_axis(ndarray::Axis(0))
        .iter()
        .copied()
        .map(pairs)
        .sum();
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

fn contingency(a: &[usize], b: &[usize]) -> Array2<f64> {
    assert_eq!(a.len(), b.len(), "both labellings are of the same points");
    let size = |labels: &[usize]| labels.iter().max().map_or(0, |max| max + 1);
    let mut table = Array2::zeros((size(a), size(b)));
    a.iter().zip(b).for_each(|(&i, &j)| table[[i, j]] += 1.0);
    table
}
