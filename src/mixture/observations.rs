//! Anything that can turn a model into statistics: data in memory, on disk, on a device, on a cluster.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, CowArray, concatenate, s};
use rayon::prelude::*;

use super::kernel::{Assignment, BLOCK_ROWS, Block, Kernel, Scorer, float, lengths};
use super::{ClusterMemory, MixtureError, Statistics};

/// Points on the sphere that the EM loop may sweep over, wherever they are.
///
/// What crosses this boundary is the model and the statistics, both `(n_components, dimension)`; never the data.
pub trait Observations: Sync {
    /// Number of points.
    fn n_samples(&self) -> usize;

    /// Dimension of the ambient space.
    fn dimension(&self) -> usize;

    /// One pass over all points.
    ///
    /// # Errors
    /// The data cannot be read, or does not fit the scorer.
    fn sweep(&self, scorer: &Scorer, assignment: Assignment) -> Result<Statistics, MixtureError>;

    /// One pass in which every point goes to the nearest of these unit centres, shape `(n_clusters, dimension)`. What is
    /// remembered may save looking at points again; passes with the same memory are over the same points.
    ///
    /// # Errors
    /// The data cannot be read, or does not fit the centres.
    fn cluster(
        &self,
        centres: &Array2<f64>,
        memory: &mut ClusterMemory,
    ) -> Result<Statistics, MixtureError> {
        let _ = memory;
        self.sweep(&Scorer::cosine(centres.clone()), Assignment::Hard)
    }

    /// The unit vectors of some points, shape `(rows.len(), dimension)`.
    ///
    /// # Errors
    /// The data cannot be read.
    fn directions(&self, rows: &[usize]) -> Result<Array2<f64>, MixtureError>;
}

/// The points of a matrix in memory, any layout, rows of any positive length.
pub struct InMemory<'a, F> {
    pub(super) rows: ArrayView2<'a, F>,
    lengths: Array1<f64>,
    sample_weights: Option<Array1<f64>>,
    pub(super) block_size: usize,
}

/// Blocks are summed in this many groups and the groups in order, for any number of threads: that is what makes
/// results bit-identical however many there are.
const GROUPS: usize = 16;

/// Rows of lengths outside this range are scaled on a copy, so that `f32` products neither overflow nor vanish.
const SAFE_LENGTHS: std::ops::Range<f64> = 1e-15..1e15;

impl<'a, F: Float> InMemory<'a, F> {
    /// Takes rows, shape `(n_samples, dimension)`, which need not have unit length, and optional sample weights.
    ///
    /// # Errors
    /// The dimension is below 2, a row has no direction (zero, infinite or not a number; the error names the
    /// row), or a weight is negative or not finite.
    pub fn new(
        rows: ArrayView2<'a, F>,
        sample_weights: Option<ArrayView1<'_, f32>>,
    ) -> Result<Self, MixtureError> {
        if rows.ncols() < 2 {
            return Err(MixtureError::DimensionTooSmall { got: rows.ncols() });
        }
        let lengths = lengths(rows);
        if let Some((row, &length)) = lengths
            .iter()
            .enumerate()
            .find(|(_, x)| !x.is_finite() || **x == 0.0)
        {
            return Err(MixtureError::NoDirection { row, length });
        }
        let sample_weights = sample_weights.map(|w| w.mapv(f64::from));
        if let Some(weights) = &sample_weights {
            if let Some((row, &weight)) = weights
                .iter()
                .enumerate()
                .find(|(_, w)| !w.is_finite() || **w < 0.0)
            {
                return Err(MixtureError::SampleWeight { row, weight });
            }
            if weights.sum() == 0.0 {
                return Err(MixtureError::NoWeight);
            }
        }
        Ok(Self {
            rows,
            lengths,
            sample_weights,
            block_size: BLOCK_ROWS,
        })
    }

    /// Takes this many rows at once, at least one; results are bit-identical for the same block size only.
    pub fn block_size(mut self, rows: usize) -> Self {
        self.block_size = rows.max(1);
        self
    }

    /// Calls `visit` on each block, in parallel, and collects what it returns in the order of the rows.
    pub(super) fn map_blocks<T: Send>(
        &self,
        scorer: &Scorer,
        visit: impl Fn(&Kernel<F>, &Block<'_, F>) -> T + Sync,
    ) -> Result<Vec<T>, MixtureError> {
        self.check(scorer)?;
        let kernel = Kernel::<F>::new(scorer, Assignment::Soft);
        let starts: Vec<usize> = (0..self.rows.nrows()).step_by(self.block_size).collect();
        Ok(starts
            .into_par_iter()
            .map(|start| self.with_block(start, |block| visit(&kernel, block)))
            .collect())
    }

    /// The rows that `visit` makes of each block, shape `(n_samples, n_components)`.
    pub(super) fn map_rows(
        &self,
        scorer: &Scorer,
        visit: impl Fn(&Kernel<F>, &Block<'_, F>) -> Array2<f64> + Sync,
    ) -> Result<Array2<f64>, MixtureError> {
        let blocks = self.map_blocks(scorer, visit)?;
        if blocks.is_empty() {
            return Ok(Array2::zeros((0, scorer.concentrations.len())));
        }
        let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
        Ok(concatenate(Axis(0), &views).expect("blocks have the same width"))
    }

    pub(super) fn check(&self, scorer: &Scorer) -> Result<(), MixtureError> {
        let (got, expected) = (self.rows.ncols(), scorer.mean_directions.ncols());
        if got == expected {
            Ok(())
        } else {
            Err(MixtureError::DimensionMismatch { got, expected })
        }
    }

    /// Hands over the block of rows from `start` on.
    pub(super) fn with_block<T>(&self, start: usize, visit: impl FnOnce(&Block<'_, F>) -> T) -> T {
        let end = self.rows.nrows().min(start + self.block_size);
        let rows = self.rows.slice(s![start..end, ..]);
        let lengths = self.lengths.slice(s![start..end]);
        let (rows, inverse_lengths) = if lengths.iter().all(|x| SAFE_LENGTHS.contains(x)) {
            (rows.as_standard_layout(), lengths.mapv(f64::recip))
        } else {
            let mut scaled = rows.as_standard_layout().into_owned();
            for (mut row, length) in scaled.rows_mut().into_iter().zip(lengths) {
                row.mapv_inplace(|x| F::cast(float(x) / length));
            }
            (CowArray::from(scaled), Array1::ones(end - start))
        };
        visit(&Block {
            rows: rows.view(),
            inverse_lengths: inverse_lengths.view(),
            sample_weights: self
                .sample_weights
                .as_ref()
                .map(|weights| weights.slice(s![start..end])),
            first: start,
        })
    }

    /// Rows of a group.
    pub(super) fn group_rows(&self) -> usize {
        let rows = self.rows.nrows().div_ceil(GROUPS);
        rows.next_multiple_of(self.block_size).max(self.block_size)
    }

    /// Statistics of all rows: those of groups in parallel, merged in order. `add` gets the first row of a group.
    pub(super) fn sum_groups<T: Send>(
        &self,
        (n_components, dimension): (usize, usize),
        groups: impl IndexedParallelIterator<Item = T>,
        add: impl Fn(usize, T, &mut Statistics) + Sync,
    ) -> Statistics {
        let parts: Vec<Statistics> = groups
            .enumerate()
            .map(|(i, group)| {
                let mut part = Statistics::zeros(n_components, dimension);
                add(i * self.group_rows(), group, &mut part);
                part
            })
            .collect();
        let mut statistics = Statistics::zeros(n_components, dimension);
        parts.iter().for_each(|part| statistics.merge(part));
        statistics
    }
}

impl<F: Float> Observations for InMemory<'_, F> {
    fn n_samples(&self) -> usize {
        self.rows.nrows()
    }

    fn dimension(&self) -> usize {
        self.rows.ncols()
    }

    fn sweep(&self, scorer: &Scorer, assignment: Assignment) -> Result<Statistics, MixtureError> {
        self.check(scorer)?;
        let kernel = Kernel::<F>::new(scorer, assignment);
        let (n, group_rows) = (self.rows.nrows(), self.group_rows());
        let groups = (0..n.div_ceil(group_rows)).into_par_iter();
        let dimensions = scorer.mean_directions.dim();
        Ok(self.sum_groups(dimensions, groups, |first, _, part| {
            let mut scratch = kernel.scratch();
            for start in (first..n.min(first + group_rows)).step_by(self.block_size) {
                self.with_block(start, |block| kernel.accumulate(block, &mut scratch, part));
            }
        }))
    }

    fn cluster(
        &self,
        centres: &Array2<f64>,
        memory: &mut ClusterMemory,
    ) -> Result<Statistics, MixtureError> {
        self.cluster_within_bounds(centres, memory)
    }

    fn directions(&self, rows: &[usize]) -> Result<Array2<f64>, MixtureError> {
        Ok(Array2::from_shape_fn(
            (rows.len(), self.dimension()),
            |(i, j)| float(self.rows[[rows[i], j]]) / self.lengths[rows[i]],
        ))
    }
}
