//! Principal axes of a set of embeddings, for maps of two or three dimensions.
//!
//! # References
//! - Halko, Martinsson & Tropp (2011), Finding structure with randomness, SIAM Review 53: algorithm 4.4, subspace iteration.

use linfa_linalg::eigh::{EigSort, EighInto};
use linfa_linalg::qr::QRInto;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256Plus;

/// Variance below which points count as one point.
const NO_VARIANCE: f64 = 1e-18;

/// Directions that are looked for beyond the axes that are wanted, and rounds of looking: enough for a map.
const OVERSAMPLING: usize = 5;
const ROUNDS: usize = 30;

/// An affine map onto the first principal axes.
pub(crate) struct Projection {
    mean: Array1<f64>,
    /// Unit rows, shape `(at most n_axes, dimension)`.
    axes: Array2<f64>,
    /// Axes asked for.
    n_axes: usize,
}

impl Projection {
    /// Fits the axes to points, shape `(n_samples, dimension)`.
    ///
    /// There are fewer axes where the points span fewer directions. The sign of an axis is chosen so that its largest entry is
    /// positive.
    pub fn fit(points: ArrayView2<'_, f64>, n_axes: usize) -> Self {
        let mean = points
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(points.ncols()));
        let total = (&points - &mean).mapv(|x| x * x).sum();
        let there = n_axes
            .min(points.ncols())
            .min(points.nrows().saturating_sub(1));
        let none = |mean| Self {
            mean,
            axes: Array2::zeros((0, points.ncols())),
            n_axes,
        };
        if there == 0 || total <= NO_VARIANCE * points.nrows() as f64 {
            return none(mean);
        }
        let Some(mut axes) = leading_axes((&points - &mean).view(), there) else {
            return none(mean);
        };
        for mut axis in axes.rows_mut() {
            let largest = axis
                .iter()
                .fold(0.0, |a: f64, &b| if b.abs() > a.abs() { b } else { a });
            axis *= largest.signum();
        }
        Self { mean, axes, n_axes }
    }

    /// Share of the variance of points that lies along each axis.
    pub fn explained_variance_ratio(&self, points: ArrayView2<'_, f64>) -> Vec<f64> {
        let total = (&points - &self.mean).mapv(|x| x * x).sum();
        let along = self.apply(points).mapv(|x| x * x).sum_axis(Axis(0));
        (0..self.axes.nrows())
            .map(|axis| along[axis] / total)
            .collect()
    }

    /// Coordinates of points, shape `(n_samples, n_axes)`; missing axes read 0.
    pub fn apply(&self, points: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = Array2::zeros((points.nrows(), self.n_axes));
        let known = (&points - &self.mean).dot(&self.axes.t());
        out.slice_mut(ndarray::s![.., ..self.axes.nrows()])
            .assign(&known);
        out
    }
}

/// The unit directions of greatest variance of centred points, in order, shape `(n_axes, dimension)`; `None` if they cannot be
/// told.
fn leading_axes(centred: ArrayView2<'_, f64>, n_axes: usize) -> Option<Array2<f64>> {
    let (n, d) = centred.dim();
    let width = (n_axes + OVERSAMPLING).min(n).min(d);
    let mut rng = Xoshiro256Plus::seed_from_u64(0);
    let mut found = Array2::from_shape_simple_fn((d, width), || StandardNormal.sample(&mut rng));
    let basis = |found: Array2<f64>| Some(found.qr_into().ok()?.into_decomp().0);
    for _ in 0..ROUNDS {
        found = centred.t().dot(&centred.dot(&basis(found)?));
    }
    let basis = basis(found)?;
    let coordinates = centred.dot(&basis);
    let covariance = coordinates.t().dot(&coordinates);
    let (_, vectors) = covariance.eigh_into().ok()?.sort_eig_desc();
    let axes = basis.dot(&vectors.slice(s![.., ..n_axes]));
    axes.iter()
        .all(|x| x.is_finite())
        .then(|| axes.reversed_axes())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    use super::*;

    #[test]
    fn finds_the_axes_of_greatest_variance_in_order() {
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let spread = [0.01, 3.0, 0.01, 1.0, 0.01, 0.01, 0.3, 0.01];
        let points = Array2::from_shape_fn((500, 8), |(_, j)| spread[j] * rng.gen_range(-1.0..1.0));
        let projection = Projection::fit(points.view(), 3);
        let found = projection.axes.mapv(f64::abs);
        for (axis, column) in [(0, 1), (1, 3), (2, 6)] {
            assert!(found[[axis, column]] > 0.99, "{found}");
        }
        let ratio = projection.explained_variance_ratio(points.view());
        assert!(ratio[0] > ratio[1] && ratio[1] > ratio[2]);
        assert!(ratio.iter().sum::<f64>() < 1.0);
    }

    #[test]
    fn any_number_of_points_in_any_dimension_has_finite_coordinates() {
        let mut rng = Xoshiro256Plus::seed_from_u64(2);
        for n in [1, 2, 3, 4, 5, 8, 20] {
            for d in [2, 3, 4, 7, 64] {
                let points = Array2::from_shape_fn((n, d), |_| rng.gen_range(-1.0..1.0));
                let projection = Projection::fit(points.view(), 3);
                let mapped = projection.apply(points.view());
                assert_eq!(mapped.dim(), (n, 3));
                assert!(mapped.iter().all(|x: &f64| x.is_finite()), "n {n} d {d}");
                let ratio = projection.explained_variance_ratio(points.view());
                let sum: f64 = ratio.iter().sum();
                assert!(sum <= 1.0 + 1e-6, "n {n} d {d}: {sum}");
                assert!(n < 2 || sum > 0.0, "n {n} d {d}: {sum}");
            }
        }
    }

    #[test]
    fn points_of_which_many_are_equal_have_axes() {
        let mut rng = Xoshiro256Plus::seed_from_u64(3);
        for distinct in [2, 3, 5, 40] {
            let few = Array2::from_shape_fn((distinct, 64), |_| rng.gen_range(-1.0..1.0_f64));
            let rows: Vec<usize> = (0..2000).map(|_| rng.gen_range(0..distinct)).collect();
            let points = few.select(Axis(0), &rows);
            let projection = Projection::fit(points.view(), 3);
            let ratio = projection.explained_variance_ratio(points.view());
            let sum: f64 = ratio.iter().sum();
            let all = if distinct <= 3 { 1.0 - 1e-9 } else { 0.05 };
            assert!((all..=1.0 + 1e-9).contains(&sum), "{distinct}: {ratio:?}");
        }
    }

    #[test]
    fn equal_points_lie_at_the_origin() {
        let points = array![[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]];
        let mapped = Projection::fit(points.view(), 3).apply(points.view());
        assert!(mapped.iter().all(|&x| x == 0.0));
    }
}
