//! A map that keeps neighbours beside each other: t-SNE.
//!
//! The same points give the same map: the nearest neighbours are exact, the map starts from the principal axes, and one thread adds
//! the forces up in one order.
//!
//! # References
//! - van der Maaten (2014), Accelerating t-SNE using tree-based algorithms, JMLR 15.
//! - Kobak & Berens (2019), The art of using t-SNE for single-cell transcriptomics, Nature Communications 10: the start.

use bhtsne::{Neighbor, tSNE};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};

/// Neighbours that count, roughly, how many are looked at for each of those, and how roughly far points are summed.
const PERPLEXITY: f64 = 30.0;
const NEIGHBOURS: f64 = 3.0;
const THRESHOLD: f64 = 0.5;
const EPOCHS: usize = 500;
/// Standard deviation of the start along its first axis.
const START: f64 = 1e-4;

/// The places of points given by their coordinates on principal axes, shape `(n_points, n_axes)`: shape `(n_points, 2)`, the
/// largest coordinate 1. `None` where the points are all one.
///
/// # Errors
/// No thread can be started.
pub(crate) fn neighbourhoods(
    points: ArrayView2<'_, f64>,
) -> Result<Option<Array2<f64>>, ThreadPoolBuildError> {
    let n = points.nrows();
    let perplexity = PERPLEXITY.min((n as f64 - 1.0) / NEIGHBOURS);
    let neighbours = neighbours(points, (NEIGHBOURS * perplexity) as usize);
    let spread = points.column(0).std(0.0);
    if spread.is_nan() || spread <= 0.0 {
        return Ok(None);
    }
    let start = points.rows().into_iter();
    let start: Vec<f64> = start
        .flat_map(|row| [row[0], row[1]].map(|x| START * x / spread))
        .collect();
    let rows: Vec<ArrayView1<'_, f64>> = points.rows().into_iter().collect();
    let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
    let found = pool.install(|| {
        let mut map = tSNE::<f64, ArrayView1<'_, f64>, 2>::new(&rows);
        map.perplexity(perplexity)
            .epochs(EPOCHS)
            .initial_embedding(start)
            .barnes_hut_with_neighbors(THRESHOLD, &neighbours)
            .embedding()
    });
    let largest = found.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let found = Array2::from_shape_vec((n, 2), found).expect("two coordinates for each point");
    Ok((largest > 0.0 && largest.is_finite()).then(|| found / largest))
}

/// For each point so many others, nearest first.
fn neighbours(points: ArrayView2<'_, f64>, count: usize) -> Vec<Vec<Neighbor<f64>>> {
    let n = points.nrows();
    let of = |i: usize| {
        let to = |j: usize| {
            let apart = &points.row(i) - &points.row(j);
            Neighbor {
                index: j,
                distance: apart.dot(&apart).sqrt(),
            }
        };
        let mut others: Vec<Neighbor<f64>> = (0..n).filter(|&j| j != i).map(to).collect();
        others.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        others.truncate(count);
        others
    };
    (0..n).into_par_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    fn two_groups() -> Array2<f64> {
        Array2::from_shape_fn((60, 5), |(i, j)| {
            let group = if i < 30 { 0.0 } else { 10.0 };
            group + ((i * 7 + j * 13) % 11) as f64 / 10.0
        })
    }

    #[test]
    fn neighbours_of_two_groups_stay_together() {
        let found = neighbourhoods(two_groups().view()).unwrap().unwrap();
        let mean = |rows: std::ops::Range<usize>| {
            let n = rows.len() as f64;
            rows.fold(array![0.0, 0.0], |sum, i| sum + found.row(i)) / n
        };
        let (first, second) = (mean(0..30), mean(30..60));
        for i in 0..60 {
            let to = |centre: &Array1<f64>| (&found.row(i) - centre).mapv(|x| x * x).sum();
            assert_eq!(to(&first) < to(&second), i < 30);
        }
    }

    #[test]
    fn the_same_points_give_the_same_map() {
        let points = two_groups();
        let again = || neighbourhoods(points.view()).unwrap();
        assert_eq!(again(), again());
    }

    #[test]
    fn points_that_are_all_one_have_no_map() {
        assert_eq!(neighbourhoods(Array2::zeros((60, 5)).view()).unwrap(), None);
    }
}
