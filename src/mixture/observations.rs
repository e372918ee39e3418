//! Anything that can turn a model into statistics: data in memory, on disk, on a device, on a cluster.

use std::ops::Range;

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

/// Rows of numbers, wherever they are, that can be had some at a time; [`Points`] makes [`Observations`] of them.
pub trait Rows: Sync {
    /// The type of the numbers.
    type Value: Float;

    /// Number of rows and of columns.
    fn dim(&self) -> (usize, usize);

    /// Hands some rows over, shape `(range.len(), n_columns)`, in standard layout.
    ///
    /// # Errors
    /// They cannot be read.
    fn with_rows<T>(
        &self,
        range: Range<usize>,
        visit: impl FnOnce(ArrayView2<'_, Self::Value>) -> T,
    ) -> Result<T, MixtureError>;
}

impl<F: Float> Rows for ArrayView2<'_, F> {
    type Value = F;

    fn dim(&self) -> (usize, usize) {
        self.dim()
    }

    fn with_rows<T>(
        &self,
        range: Range<usize>,
        visit: impl FnOnce(ArrayView2<'_, F>) -> T,
    ) -> Result<T, MixtureError> {
        Ok(visit(self.slice(s![range, ..]).as_standard_layout().view()))
    }
}

/// Points whose rows are had block by block. The same rows give the same results bit by bit wherever they are.
pub struct Points<R> {
    rows: R,
    lengths: Array1<f64>,
    sample_weights: Option<Array1<f64>>,
    pub(super) block_size: usize,
}

/// The points of a matrix in memory, any layout.
pub type InMemory<'a, F> = Points<ArrayView2<'a, F>>;

/// Blocks are summed in this many groups and the groups in order, for any number of threads: that is what makes
/// results bit-identical however many there are.
const GROUPS: usize = 16;

/// Rows of lengths outside this range are scaled on a copy, so that `f32` products neither overflow nor vanish.
const SAFE_LENGTHS: std::ops::Range<f64> = 1e-15..1e15;

impl<R: Rows> Points<R> {
    /// Takes rows, shape `(n_samples, dimension)`, of any positive lengths, and optional sample weights. Looks at all rows
    /// once.
    ///
    /// # Errors
    /// The dimension is below 2, a row has no direction (zero, infinite or not a number; the error names the
    /// row), a weight is negative or not finite, or the rows cannot be read.
    pub fn new(rows: R, sample_weights: Option<ArrayView1<'_, f32>>) -> Result<Self, MixtureError> {
        let (n_rows, got) = rows.dim();
        if got < 2 {
            return Err(MixtureError::DimensionTooSmall { got });
        }
        let lengths: Vec<Array1<f64>> = (0..n_rows.div_ceil(BLOCK_ROWS))
            .into_par_iter()
            .map(|block| {
                let first = block * BLOCK_ROWS;
                rows.with_rows(first..n_rows.min(first + BLOCK_ROWS), lengths)
            })
            .collect::<Result<_, _>>()?;
        let lengths: Array1<f64> = lengths.into_iter().flatten().collect();
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
        visit: impl Fn(&Kernel<R::Value>, &Block<'_, R::Value>) -> T + Sync,
    ) -> Result<Vec<T>, MixtureError> {
        self.check(scorer)?;
        let kernel = Kernel::new(scorer, Assignment::Soft);
        let starts: Vec<usize> = (0..self.n_samples()).step_by(self.block_size).collect();
        starts
            .into_par_iter()
            .map(|start| self.with_block(start, |block| visit(&kernel, block)))
            .collect()
    }

    /// The rows that `visit` makes of each block, shape `(n_samples, n_components)`.
    pub(super) fn map_rows(
        &self,
        scorer: &Scorer,
        visit: impl Fn(&Kernel<R::Value>, &Block<'_, R::Value>) -> Array2<f64> + Sync,
    ) -> Result<Array2<f64>, MixtureError> {
        let blocks = self.map_blocks(scorer, visit)?;
        if blocks.is_empty() {
            return Ok(Array2::zeros((0, scorer.concentrations.len())));
        }
        let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
        Ok(concatenate(Axis(0), &views).expect("blocks have the same width"))
    }

    /// Total weight of the points.
    pub(super) fn total_weight(&self) -> f64 {
        match &self.sample_weights {
            Some(weights) => weights.sum(),
            None => self.n_samples() as f64,
        }
    }

    pub(super) fn check(&self, scorer: &Scorer) -> Result<(), MixtureError> {
        let (got, expected) = (self.dimension(), scorer.mean_directions.ncols());
        if got == expected {
            Ok(())
        } else {
            Err(MixtureError::DimensionMismatch { got, expected })
        }
    }

    /// Hands over the block of rows from `start` on.
    pub(super) fn with_block<T>(
        &self,
        start: usize,
        visit: impl FnOnce(&Block<'_, R::Value>) -> T,
    ) -> Result<T, MixtureError> {
        let end = self.n_samples().min(start + self.block_size);
        let lengths = self.lengths.slice(s![start..end]);
        self.rows.with_rows(start..end, |rows| {
            let (rows, inverse_lengths) = if lengths.iter().all(|x| SAFE_LENGTHS.contains(x)) {
                (CowArray::from(rows), lengths.mapv(f64::recip))
            } else {
                let (mut scaled, mut inverse_lengths) = (rows.to_owned(), lengths.mapv(f64::recip));
                let rows = scaled.rows_mut().into_iter().zip(lengths);
                for ((mut row, &length), inverse) in rows.zip(&mut inverse_lengths) {
                    if !SAFE_LENGTHS.contains(&length) {
                        // A power of two, which rounds nothing.
                        let factor = length.log2().round().clamp(-1000.0, 1000.0);
                        let factor = 2_f64.powi(-factor as i32);
                        row.mapv_inplace(|x| R::Value::cast(float(x) * factor));
                        *inverse = 1.0 / (length * factor);
                    }
                }
                (CowArray::from(scaled), inverse_lengths)
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
        })
    }

    /// Rows of a group.
    pub(super) fn group_rows(&self) -> usize {
        let rows = self.n_samples().div_ceil(GROUPS);
        rows.next_multiple_of(self.block_size).max(self.block_size)
    }

    /// Statistics of all rows: those of groups in parallel, merged in order. `add` gets the first row of a group.
    pub(super) fn sum_groups<T: Send>(
        &self,
        (n_components, dimension): (usize, usize),
        groups: impl IndexedParallelIterator<Item = T>,
        add: impl Fn(usize, T, &mut Statistics) -> Result<(), MixtureError> + Sync,
    ) -> Result<Statistics, MixtureError> {
        let parts: Vec<Statistics> = groups
            .enumerate()
            .map(|(i, group)| {
                let mut part = Statistics::zeros(n_components, dimension);
                add(i * self.group_rows(), group, &mut part).map(|()| part)
            })
            .collect::<Result<_, _>>()?;
        let mut statistics = Statistics::zeros(n_components, dimension);
        parts.iter().for_each(|part| statistics.merge(part));
        Ok(statistics)
    }

    /// The first rows of the blocks of the group that begins with row `first`.
    pub(super) fn block_starts(&self, first: usize) -> impl Iterator<Item = usize> {
        (first..self.n_samples().min(first + self.group_rows())).step_by(self.block_size)
    }
}

impl<R: Rows> Observations for Points<R> {
    fn n_samples(&self) -> usize {
        self.lengths.len()
    }

    fn dimension(&self) -> usize {
        self.rows.dim().1
    }

    fn sweep(&self, scorer: &Scorer, assignment: Assignment) -> Result<Statistics, MixtureError> {
        self.check(scorer)?;
        let kernel = Kernel::new(scorer, assignment);
        let groups = (0..self.n_samples().div_ceil(self.group_rows())).into_par_iter();
        self.sum_groups(scorer.mean_directions.dim(), groups, |first, _, part| {
            let mut scratch = kernel.scratch();
            self.block_starts(first).try_for_each(|start| {
                self.with_block(start, |block| kernel.accumulate(block, &mut scratch, part))
            })
        })
    }

    fn cluster(
        &self,
        centres: &Array2<f64>,
        memory: &mut ClusterMemory,
    ) -> Result<Statistics, MixtureError> {
        self.cluster_within_bounds(centres, memory)
    }

    fn directions(&self, rows: &[usize]) -> Result<Array2<f64>, MixtureError> {
        let mut directions = Array2::zeros((rows.len(), self.dimension()));
        for (&row, mut direction) in rows.iter().zip(directions.rows_mut()) {
            self.rows.with_rows(row..row + 1, |found| {
                direction.assign(&found.row(0).mapv(float));
            })?;
            direction /= self.lengths[row];
        }
        Ok(directions)
    }
}
