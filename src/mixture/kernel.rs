//! The fused sweep over a block of rows: logits, responsibilities and statistics, or per-row scores.
//!
//! A block is small enough that its rows and responsibilities stay in cache between the two matrix products.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis};

use super::Statistics;

/// Rows of a block: at 768 dimensions and 64 components it takes under a megabyte in `f32`.
pub(super) const BLOCK_ROWS: usize = 256;

/// How a point is shared among the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// By its responsibilities.
    Soft,
    /// Wholly to the likeliest component.
    Hard,
}

/// What a sweep needs of a model: `logit_k(x) = kappa_k (mu_k . x - 1) + offset_k`.
#[derive(Clone, Debug)]
pub struct Scorer {
    /// Unit mean directions, shape `(n_components, dimension)`.
    pub mean_directions: Array2<f64>,
    /// Concentrations, shape `(n_components,)`.
    pub concentrations: Array1<f64>,
    /// `ln w_k - (L(kappa_k) - kappa_k)`, shape `(n_components,)`.
    pub offsets: Array1<f64>,
}

impl Scorer {
    /// Scores by the cosine alone, as spherical k-means does.
    pub fn cosine(mean_directions: Array2<f64>) -> Self {
        let k = mean_directions.nrows();
        Self {
            mean_directions,
            concentrations: Array1::ones(k),
            offsets: Array1::ones(k),
        }
    }
}

/// A [`Scorer`] in the precision of the data.
pub(super) struct Kernel<F> {
    means: Array2<F>,
    concentrations: Array1<f64>,
    offsets: Array1<f64>,
    assignment: Assignment,
}

impl<F: Float> Kernel<F> {
    pub(super) fn new(scorer: &Scorer, assignment: Assignment) -> Self {
        Self {
            means: scorer.mean_directions.mapv(F::cast),
            concentrations: scorer.concentrations.clone(),
            offsets: scorer.offsets.clone(),
            assignment,
        }
    }

    /// Adds the statistics of a block of rows with the given inverse lengths and sample weights.
    pub(super) fn accumulate(
        &self,
        rows: ArrayView2<'_, F>,
        inverse_lengths: ArrayView1<'_, f64>,
        sample_weights: Option<ArrayView1<'_, f64>>,
        into: &mut Statistics,
    ) {
        let (mut logits, ln_likelihoods) = self.responsibilities(rows, inverse_lengths);
        let mut weights = Array2::<F>::zeros(logits.dim());
        for (i, mut row) in logits.rows_mut().into_iter().enumerate() {
            let sample_weight = sample_weights.map_or(1.0, |w| w[i]);
            into.squares
                .zip_mut_with(&row, |sum, r| *sum += sample_weight * r * r);
            row *= sample_weight;
            into.total += sample_weight;
            into.log_likelihood += sample_weight * ln_likelihoods[i];
            into.masses += &row;
            for (w, r) in weights.row_mut(i).iter_mut().zip(&row) {
                *w = F::cast(r * inverse_lengths[i]);
            }
        }
        let mut sums = Array2::<F>::zeros(self.means.dim());
        product(weights.t(), rows, sums.view_mut());
        into.resultants
            .zip_mut_with(&sums, |total, &sum| *total += float(sum));
    }

    /// Responsibilities `(n_rows, n_components)` and log-likelihoods `(n_rows,)` against the uniform measure.
    pub(super) fn responsibilities(
        &self,
        rows: ArrayView2<'_, F>,
        inverse_lengths: ArrayView1<'_, f64>,
    ) -> (Array2<f64>, Array1<f64>) {
        let mut cosines = Array2::<F>::zeros((rows.nrows(), self.means.nrows()));
        product(rows, self.means.t(), cosines.view_mut());
        let mut logits = cosines.mapv(float);
        let mut ln_likelihoods = Array1::zeros(rows.nrows());
        for ((mut row, ln_likelihood), scale) in logits
            .rows_mut()
            .into_iter()
            .zip(&mut ln_likelihoods)
            .zip(inverse_lengths)
        {
            for ((x, kappa), offset) in row.iter_mut().zip(&self.concentrations).zip(&self.offsets)
            {
                *x = kappa * (*x * scale - 1.0) + offset;
            }
            *ln_likelihood = match self.assignment {
                Assignment::Soft => normalise(row.as_slice_mut().expect("rows are contiguous")),
                Assignment::Hard => {
                    let (best, value) = argmax(row.view());
                    row.fill(0.0);
                    row[best] = 1.0;
                    value
                }
            };
        }
        (logits, ln_likelihoods)
    }
}

/// Turns logits into probabilities in place and returns their log-sum-exp.
fn normalise(logits: &mut [f64]) -> f64 {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for x in logits.iter_mut() {
        *x = (*x - max).exp();
        sum += *x;
    }
    logits.iter_mut().for_each(|x| *x /= sum);
    max + sum.ln()
}

/// Position and value of the largest entry; the first of equals.
pub(super) fn argmax(row: ArrayView1<'_, f64>) -> (usize, f64) {
    row.iter()
        .copied()
        .enumerate()
        .fold(
            (0, f64::NEG_INFINITY),
            |best, x| if x.1 > best.1 { x } else { best },
        )
}

/// Euclidean lengths of rows in `f64`, shape `(n_rows,)`, safe against overflow and underflow of squares.
pub(super) fn lengths<F: Float>(rows: ArrayView2<'_, F>) -> Array1<f64> {
    rows.map_axis(Axis(1), |row| {
        let square: f64 = row.iter().map(|&x| float(x) * float(x)).sum();
        if square.is_normal() && square.sqrt().is_finite() {
            return square.sqrt();
        }
        let scale = row
            .iter()
            .map(|&x| float(x).abs())
            .fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
        if scale == 0.0 || !scale.is_finite() {
            return scale;
        }
        scale
            * row
                .iter()
                .map(|&x| (float(x) / scale).powi(2))
                .sum::<f64>()
                .sqrt()
    })
}

pub(super) fn float<F: Float>(x: F) -> f64 {
    x.to_f64().expect("a float converts to f64")
}

/// `c = a b` by the `gemm` crate, single-threaded: the blocks are what runs in parallel.
#[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
fn product<F: Float>(a: ArrayView2<'_, F>, b: ArrayView2<'_, F>, mut c: ArrayViewMut2<'_, F>) {
    assert_eq!(
        (a.nrows(), a.ncols(), b.ncols()),
        (c.nrows(), b.nrows(), c.ncols())
    );
    let (a_strides, b_strides) = (a.strides().to_vec(), b.strides().to_vec());
    let c_strides = c.strides().to_vec();
    // SAFETY: pointers and strides come from live views whose shapes were just checked to agree, `c` is
    // borrowed exclusively, and `linfa::Float` is implemented for `f32` and `f64` alone.
    unsafe {
        gemm::gemm(
            c.nrows(),
            c.ncols(),
            a.ncols(),
            c.as_mut_ptr(),
            c_strides[1],
            c_strides[0],
            false,
            a.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.as_ptr(),
            b_strides[1],
            b_strides[0],
            F::zero(),
            F::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
