//! The fused sweep over a block of rows: cosines, responsibilities and statistics, or per-row scores.
//!
//! A block stays in cache between its two halves. The first is a matrix product; the second is one too where many
//! components share a point, and a sum over the few that count where not, as is usual in many dimensions.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};

use super::Statistics;
use super::simd::{argmax, exp_in_place, largest, square_distance};
use crate::product::product;

/// Rows of a block unless set otherwise: in 768 dimensions they take three megabytes in `f32`.
pub const BLOCK_ROWS: usize = 1024;

/// Responsibilities below this are left out of the statistics: less than `f32` keeps of the sums they belong to.
const NEGLIGIBLE: f64 = 1e-8;

/// From this error of a logit on, in nats, what counts is computed again in `f64`: a product of `f32` is off
/// by about one unit in its last place, so that this is from concentrations of some hundreds on.
const COARSE: f64 = 5e-5;

/// Up to this many dimensions everything is computed in `f64`: it costs little there, and log-likelihoods are so small that the
/// errors of `f32` would show.
const FEW_DIMENSIONS: usize = 64;

/// Nats below the largest within which a logit counts for the likelihood.
const RELEVANT: f64 = 20.0;

/// Largest share of responsibilities that count for which summing over them beats the matrix product.
const SPARSE: f64 = 0.08;

/// Entries that are summed in the precision of the data before they are added in `f64`.
const TOGETHER: usize = 8;

/// How a point is shared among the components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assignment {
    /// By its responsibilities: EM.
    #[default]
    Soft,
    /// Wholly to the likeliest component: classification EM (Celeux & Govaert 1992).
    Hard,
    /// Wholly to one component drawn by the responsibilities: stochastic EM (Celeux & Diebolt 1985).
    Stochastic,
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
    /// Power to which densities are raised before they are shared out: below 1 while annealing.
    pub inverse_temperature: f64,
    /// Seed of the draws of [`Assignment::Stochastic`].
    pub seed: u64,
}

impl Scorer {
    /// Scores by the cosine alone, as spherical k-means does.
    pub fn cosine(mean_directions: Array2<f64>) -> Self {
        let k = mean_directions.nrows();
        Self {
            mean_directions,
            concentrations: Array1::ones(k),
            offsets: Array1::ones(k),
            inverse_temperature: 1.0,
            seed: 0,
        }
    }
}

/// A [`Scorer`] in the precision of the data.
pub(super) struct Kernel<F> {
    pub means: Array2<F>,
    /// The means in `f64`, where their products in the precision of the data are too coarse.
    pub exact: Option<Array2<f64>>,
    pub concentrations: Vec<f64>,
    /// The concentrations divided by what rounding has made of the means along themselves.
    slopes: Vec<f64>,
    /// What a logit may be off by, because of the product in it.
    pub slacks: Vec<f64>,
    pub offsets: Vec<f64>,
    /// The offsets less the concentrations.
    constants: Vec<f64>,
    pub assignment: Assignment,
    pub inverse_temperature: f64,
    pub seed: u64,
    pub arch: Arch,
}

/// A block of rows, each of which becomes a direction when multiplied by its inverse length.
pub(super) struct Block<'a, F> {
    /// In standard layout.
    pub rows: ArrayView2<'a, F>,
    pub inverse_lengths: ArrayView1<'a, f64>,
    pub sample_weights: Option<ArrayView1<'a, f64>>,
    /// Position of the first row among all: the draws of a point do not depend on the blocks.
    pub first: usize,
}

impl<F> Block<'_, F> {
    /// The values of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[F] {
        let d = self.rows.ncols();
        &self.rows.as_slice().expect("standard layout")[row * d..][..d]
    }

    /// The sample weight of a row.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.sample_weights.map_or(1.0, |weights| weights[row])
    }
}

/// What one thread needs to work on block after block.
pub(super) struct Scratch<F> {
    /// Cosines, then responsibilities over lengths, shape `(n_rows, n_components)`.
    shares: Array2<F>,
    /// Sums of a block, shape `(n_components, dimension)`; empty until a block is dense.
    sums: Array2<F>,
    /// Rows and shares that count, by component.
    entries: Vec<Vec<(u32, F)>>,
    /// The same in `f64`.
    exact_entries: Vec<Vec<(u32, f64)>>,
}

impl<F: Float> Kernel<F> {
    pub(super) fn new(scorer: &Scorer, assignment: Assignment) -> Self {
        Self::with_precision(scorer, assignment, float(F::epsilon()))
    }

    /// A kernel for products whose last place is `epsilon`.
    pub(super) fn with_precision(scorer: &Scorer, assignment: Assignment, epsilon: f64) -> Self {
        let largest = scorer.concentrations.iter().copied().fold(0.0, f64::max);
        let is_rounded = epsilon > f64::EPSILON;
        // With small concentrations all products would count.
        let is_coarse = (largest * epsilon > COARSE && largest > RELEVANT)
            || (is_rounded && scorer.mean_directions.ncols() <= FEW_DIMENSIONS);
        let means = scorer.mean_directions.mapv(F::cast);
        // Higham (2002), section 3.1: half a unit in the last place for each addition, and for what was rounded before.
        let off_by = (means.ncols() + 2) as f64 * epsilon / 2.0;
        let along = (&means.mapv(float) * &scorer.mean_directions).sum_axis(Axis(1));
        Self {
            exact: is_coarse.then(|| scorer.mean_directions.clone()),
            slopes: (&scorer.concentrations / &along).to_vec(),
            slacks: (&scorer.concentrations * off_by).to_vec(),
            offsets: scorer.offsets.to_vec(),
            means,
            concentrations: scorer.concentrations.to_vec(),
            constants: (&scorer.offsets - &scorer.concentrations).to_vec(),
            assignment,
            inverse_temperature: scorer.inverse_temperature,
            seed: scorer.seed,
            arch: Arch::new(),
        }
    }

    pub(super) fn scratch(&self) -> Scratch<F> {
        Scratch {
            shares: Array2::zeros((0, self.means.nrows())),
            sums: Array2::zeros((0, 0)),
            entries: vec![Vec::new(); self.means.nrows()],
            exact_entries: vec![Vec::new(); self.means.nrows()],
        }
    }

    /// Adds the statistics of a block.
    pub(super) fn accumulate(
        &self,
        block: &Block<'_, F>,
        scratch: &mut Scratch<F>,
        into: &mut Statistics,
    ) {
        self.cosines(block, &mut scratch.shares);
        if self.exact.is_some() {
            let entries = &mut scratch.exact_entries;
            entries.iter_mut().for_each(Vec::clear);
            self.share_out(block, &mut scratch.shares, Some(entries), into);
            sum_entries(self.arch, block, entries, float, &mut into.resultants);
            return;
        }
        let count = self.share_out(block, &mut scratch.shares, None, into);
        if count > SPARSE * scratch.shares.len() as f64 {
            if scratch.sums.is_empty() {
                scratch.sums = Array2::zeros(self.means.dim());
            }
            product(scratch.shares.t(), block.rows, scratch.sums.view_mut());
            into.resultants
                .zip_mut_with(&scratch.sums, |total, &sum| *total += float(sum));
            return;
        }
        scratch.entries.iter_mut().for_each(Vec::clear);
        for (i, shares) in (0..).zip(scratch.shares.rows()) {
            for (k, &share) in shares.iter().enumerate() {
                if share != F::zero() {
                    scratch.entries[k].push((i, share));
                }
            }
        }
        let entries = &scratch.entries;
        sum_entries(self.arch, block, entries, |x| x, &mut into.resultants);
    }

    /// Turns products with the means, `(n_rows, n_components)`, into what each row counts with in the resultants, adds all
    /// statistics but these, and counts the shares that are not zero. `entries` takes these in `f64`, by component.
    pub(super) fn share_out(
        &self,
        block: &Block<'_, F>,
        shares: &mut Array2<F>,
        entries: Option<&mut Vec<Vec<(u32, f64)>>>,
        into: &mut Statistics,
    ) -> f64 {
        self.arch.dispatch(ShareOut {
            kernel: self,
            block,
            shares,
            entries,
            into,
        })
    }

    /// Responsibilities `(n_rows, n_components)` and log-likelihoods `(n_rows,)` against the uniform measure.
    pub(super) fn responsibilities(&self, block: &Block<'_, F>) -> (Array2<f64>, Array1<f64>) {
        let mut cosines = Array2::zeros((0, self.means.nrows()));
        self.cosines(block, &mut cosines);
        let mut responsibilities = Array2::zeros(cosines.dim());
        let mut ln_likelihoods = Array1::zeros(cosines.nrows());
        let rows = responsibilities.rows_mut().into_iter();
        for (i, (mut row, ln_likelihood)) in rows.zip(&mut ln_likelihoods).enumerate() {
            *ln_likelihood = self.share(
                cosines.row(i).as_slice().expect("rows are contiguous"),
                block.row(i),
                block.inverse_lengths[i],
                block.first + i,
                row.as_slice_mut().expect("rows are contiguous"),
            );
        }
        (responsibilities, ln_likelihoods)
    }

    /// Cosines of the rows to the means, shape `(n_rows, n_components)`.
    pub(super) fn scaled_cosines(&self, block: &Block<'_, F>) -> Array2<f64> {
        let mut cosines = Array2::zeros((0, self.means.nrows()));
        self.cosines(block, &mut cosines);
        let scales = block.inverse_lengths.insert_axis(Axis(1));
        cosines.mapv(float) * scales
    }

    /// Products of the rows with the means.
    fn cosines(&self, block: &Block<'_, F>, into: &mut Array2<F>) {
        let shape = (block.rows.nrows(), self.means.nrows());
        if into.dim() != shape {
            *into = Array2::zeros(shape);
        }
        product(block.rows, self.means.t(), into.view_mut());
    }

    /// The responsibilities of one row `x` from its products with the means, and its log-likelihood.
    #[inline(always)]
    fn share(&self, cosines: &[F], x: &[F], scale: f64, row: usize, shares: &mut [f64]) -> f64 {
        let parameters = self.slopes.iter().zip(&self.constants);
        for ((share, &cosine), (slope, constant)) in shares.iter_mut().zip(cosines).zip(parameters)
        {
            *share = slope * (float(cosine) * scale) + constant;
        }
        let most = match &self.exact {
            Some(means) => self.correct(shares, means, x, scale),
            None => largest(shares),
        };
        if self.assignment == Assignment::Hard {
            let best = argmax(shares, most);
            shares.fill(0.0);
            shares[best] = 1.0;
            return most;
        }
        let mut ln_likelihood = None;
        if self.inverse_temperature != 1.0 {
            let sum: f64 = shares.iter().map(|x| (x - most).exp()).sum();
            ln_likelihood = Some(most + sum.ln());
        }
        for share in shares.iter_mut() {
            *share = self.inverse_temperature * (*share - most);
        }
        let sum = exp_in_place(shares);
        let ln_likelihood = ln_likelihood.unwrap_or(most + sum.ln());
        if self.assignment == Assignment::Stochastic {
            let best = draw(shares, sum * uniform(self.seed, row));
            shares.fill(0.0);
            shares[best] = 1.0;
            return ln_likelihood;
        }
        let over_sum = 1.0 / sum;
        shares.iter_mut().for_each(|share| *share *= over_sum);
        ln_likelihood
    }
}

impl<F: Float> Kernel<F> {
    /// Computes the logits of a row again that may count, and returns the largest.
    #[inline(always)]
    fn correct(&self, logits: &mut [f64], means: &Array2<f64>, x: &[F], scale: f64) -> f64 {
        let surely = logits.iter().zip(&self.slacks);
        let least = surely.fold(f64::NEG_INFINITY, |least, (logit, slack)| {
            least.max(logit - slack)
        }) - RELEVANT;
        let parameters = self.concentrations.iter().zip(&self.offsets);
        let parameters = parameters.zip(&self.slacks).zip(means.rows());
        for (logit, (((kappa, offset), slack), mean)) in logits.iter_mut().zip(parameters) {
            if *logit + slack >= least {
                let mean = mean.to_slice().expect("rows are contiguous");
                // By the distance: of the cosine only what it lacks to 1 counts, which a product would round away.
                *logit = offset - 0.5 * kappa * square_distance(x, scale, mean);
            }
        }
        largest(logits)
    }
}

/// [`Kernel::share_out`].
struct ShareOut<'a, 'b, F> {
    kernel: &'a Kernel<F>,
    block: &'a Block<'b, F>,
    shares: &'a mut Array2<F>,
    entries: Option<&'a mut Vec<Vec<(u32, f64)>>>,
    into: &'a mut Statistics,
}

impl<F: Float> WithSimd for ShareOut<'_, '_, F> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Self {
            kernel,
            block,
            shares,
            mut entries,
            into,
        } = self;
        let n_components = kernel.means.nrows();
        let mut responsibilities = vec![0.0; n_components];
        let mut counts = vec![0.0; n_components];
        let masses = into.masses.as_slice_mut().expect("a vector is contiguous");
        let squares = into.squares.as_slice_mut().expect("a vector is contiguous");
        for (i, mut row) in shares.rows_mut().into_iter().enumerate() {
            let row = row.as_slice_mut().expect("rows are contiguous");
            let scale = block.inverse_lengths[i];
            let weight = block.weight(i);
            let place = block.first + i;
            let ln_likelihood =
                kernel.share(row, block.row(i), scale, place, &mut responsibilities);
            into.total += weight;
            into.log_likelihood += weight * ln_likelihood;
            let sums = masses.iter_mut().zip(squares.iter_mut()).zip(&mut counts);
            let shares = responsibilities.iter().zip(row);
            for (((mass, square), count), (&r, share)) in sums.zip(shares) {
                let r = if r < NEGLIGIBLE { 0.0 } else { r };
                *mass += weight * r;
                *square += weight * r * r;
                *count += if r > 0.0 { 1.0 } else { 0.0 };
                *share = F::cast(weight * scale * r);
            }
            if let Some(entries) = &mut entries {
                for (entries, &r) in entries.iter_mut().zip(&responsibilities) {
                    if r >= NEGLIGIBLE {
                        entries.push((i as u32, weight * scale * r));
                    }
                }
            }
        }
        counts.iter().sum()
    }
}

/// Adds to each component's resultant its rows of the block, each times its share, in the precision that `widen` takes them to.
pub(super) fn sum_entries<F: Float, A: Float>(
    arch: Arch,
    block: &Block<'_, F>,
    entries: &[Vec<(u32, A)>],
    widen: impl Fn(F) -> A,
    resultants: &mut Array2<f64>,
) {
    arch.dispatch(SumEntries {
        block,
        entries,
        widen,
        resultants,
    });
}

struct SumEntries<'a, 'b, F, A, W> {
    block: &'a Block<'b, F>,
    entries: &'a [Vec<(u32, A)>],
    widen: W,
    resultants: &'a mut Array2<f64>,
}

impl<F: Float, A: Float, W: Fn(F) -> A> WithSimd for SumEntries<'_, '_, F, A, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let row = |i: u32| self.block.row(i as usize);
        for (entries, mut resultant) in self.entries.iter().zip(self.resultants.rows_mut()) {
            let total = resultant.as_slice_mut().expect("rows are contiguous");
            let mut groups = entries.chunks_exact(TOGETHER);
            for group in &mut groups {
                let group: &[(u32, A); TOGETHER] = group.try_into().expect("a whole group");
                let (shares, rows) = (group.map(|(_, share)| share), group.map(|(i, _)| row(i)));
                assert!(rows.iter().all(|row| row.len() == total.len()));
                for (j, total) in total.iter_mut().enumerate() {
                    let mut products = [A::zero(); TOGETHER];
                    for ((product, &share), row) in products.iter_mut().zip(&shares).zip(&rows) {
                        *product = share * (self.widen)(row[j]);
                    }
                    let [a, b, c, d, e, f, g, h] = products;
                    *total += float(((a + b) + (c + d)) + ((e + f) + (g + h)));
                }
            }
            for &(i, w) in groups.remainder() {
                for (total, &x) in total.iter_mut().zip(row(i)) {
                    *total += float(w * (self.widen)(x));
                }
            }
        }
    }
}

/// Where the running sum of weights passes the target.
#[inline(always)]
fn draw(weights: &[f64], target: f64) -> usize {
    let mut sum = 0.0;
    for (k, weight) in weights.iter().enumerate() {
        sum += weight;
        if sum > target {
            return k;
        }
    }
    argmax(weights, largest(weights))
}

/// A number in `[0, 1)` for a row, by the mixing function of SplitMix64 (Steele, Lea & Flood 2014).
#[inline(always)]
fn uniform(seed: u64, row: usize) -> f64 {
    let mut z = seed.wrapping_add((row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
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

#[inline(always)]
pub(super) fn float<F: Float>(x: F) -> f64 {
    x.to_f64().expect("a float converts to f64")
}
