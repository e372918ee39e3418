//! Points on a device: sweeps as products of candle's tensors, the same EM loop.
//!
//! Rows lie on the device in blocks, as many as fit; others are sent anew for each sweep. Of a block a tile at a time is
//! worked on, so that what is computed for each row and component takes a bounded part of the memory:
//!
//! ```text
//! rows (n, d)  x  means (d, k)  ->  cosines (n, k)  ->  shares (n, k)           masses, squares (k), log-likelihood
//! shares^T x rows, some thousand rows at a time    ->  (parts, k, d)  in f64 ->  resultants (k, d)
//! ```
//!
//! The sharing out is one kernel of our own on CUDA (`share_out.cu`). Elsewhere it is the processor's, which makes all of
//! this testable without a device.
//!
//! Cosines of `f32` are off by about one unit in the last place, by TF32 by 5e-4; where that matters for the likelihood, the
//! logits that count are computed again in `f64` and, without TF32, the resultants too, as on the processor.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Result as TensorResult, Tensor};
use linfa::Float;
use ndarray::{Array1, Array2};

use super::kernel::{Assignment, Block, Kernel, Scorer};
use super::{
    MixtureError, Observations, Points, Rows, Statistics, VonMisesFisherMixtureValidParams,
};
use crate::device::{Device, Products, free_memory, is_out_of_memory};

#[cfg(feature = "cuda")]
mod cuda;
mod processor;

/// Rows whose resultants are summed by one product before they are added in `f64`.
const TOGETHER: usize = 4096;

/// Bytes of a block of rows, about.
const BLOCK_BYTES: usize = 1 << 28;

/// Cosines of a tile, about; they, the shares and sums of parts exist together.
const TILE_VALUES: usize = 1 << 26;

/// What is left free for tiles, and the share of the rest that rows may take.
const WORKSPACE_BYTES: usize = 2 << 30;
const RESIDENT_SHARE: f64 = 0.9;

/// The rounding of a number to TF32.
const TF32_EPSILON: f64 = 4.883e-4;

/// Points whose rows are on a device.
///
/// # Example
/// ```
/// use ndarray::array;
/// use vmfmix::device::Device;
/// use vmfmix::mixture::{InMemory, OnDevice, VonMisesFisherMixture};
///
/// let x = array![[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]];
/// let points = OnDevice::new(InMemory::new(x.view(), None)?, Device::Auto)?;
/// let model = VonMisesFisherMixture::params(2).fit_observations(&points)?;
/// assert_eq!(model.n_components(), 2);
/// # Ok::<(), vmfmix::mixture::MixtureError>(())
/// ```
pub struct OnDevice<R> {
    points: Points<R>,
    device: candle_core::Device,
    tf32: bool,
    /// Rows of a block and of a part.
    block_rows: usize,
    together: usize,
    /// The first blocks.
    resident: Vec<Tile>,
    /// Halved when the device runs out of memory.
    tile_values: AtomicUsize,
}

/// Some rows on the device, filled up with rows of no weight to whole parts.
struct Tile {
    /// `(n, d)`, as they came.
    rows: Tensor,
    /// Inverse lengths, in `f64`, `(n)`.
    scales: Tensor,
    /// Sample weights, in `f64`, `(n)`.
    weights: Tensor,
    /// Place of the first among all.
    first: usize,
}

/// What a tile leaves behind, all of it in `f64` on the device.
struct Sums {
    /// `(k, d)`.
    resultants: Tensor,
    /// Masses and squares, `(2, k)`.
    masses: Tensor,
    /// `(1, 1)`.
    log_likelihood: Tensor,
}

/// What the sharing out of a tile gives.
struct Shared {
    /// Responsibilities times weights and inverse lengths, `(n, k)`.
    shares: Tensor,
    /// Sums of the weighted responsibilities and of their squares by parts of the tile, in `f64`, `(parts, 2 k)`.
    masses: Tensor,
    /// Weighted sum, in `f64`, `(1, 1)`.
    log_likelihood: Tensor,
}

/// A scorer on the device.
struct Model {
    kernel: Kernel<f64>,
    /// `(d, k)`, in the precision of the rows.
    means: Tensor,
    /// What the resultants are summed in.
    summed: DType,
    #[cfg(feature = "cuda")]
    parameters: cuda::Parameters,
}

impl<R: Rows> OnDevice<R> {
    /// Sends rows to a device, as many as fit into its memory with room to work; the others follow in each sweep.
    ///
    /// # Errors
    /// The device cannot be used, or the rows cannot be read.
    pub fn new(points: Points<R>, device: Device) -> Result<Self, MixtureError> {
        let device = device.open()?;
        let room = free_memory(&device).map_or(usize::MAX, |free| {
            (free.saturating_sub(WORKSPACE_BYTES) as f64 * RESIDENT_SHARE) as usize
        });
        Self::open(points, device, room)
    }

    /// As [`new`](Self::new), keeping no more than so many bytes of rows on the device.
    ///
    /// # Errors
    /// The device cannot be used, or the rows cannot be read.
    pub fn within(points: Points<R>, device: Device, bytes: usize) -> Result<Self, MixtureError> {
        Self::open(points, device.open()?, bytes)
    }

    fn open(
        points: Points<R>,
        device: candle_core::Device,
        room: usize,
    ) -> Result<Self, MixtureError> {
        let (n, d) = (points.n_samples(), points.dimension());
        let row_bytes = d * size_of::<R::Value>();
        let together = n.clamp(1, TOGETHER);
        let parts = (BLOCK_BYTES / row_bytes / together).max(1);
        let block_rows = together * parts.min(n.div_ceil(together).max(1));
        let mut on_device = Self {
            points: points.block_size(block_rows),
            device,
            tf32: false,
            block_rows,
            together,
            resident: Vec::new(),
            tile_values: AtomicUsize::new(TILE_VALUES),
        };
        let blocks = n.div_ceil(block_rows);
        for block in 0..blocks.min(room / (block_rows * row_bytes)) {
            match on_device.send(block * block_rows) {
                Ok(sent) => on_device.resident.push(sent),
                Err(MixtureError::Computation { cause }) if is_out_of_memory(&cause) => {
                    // Somebody else's memory: what was sent last makes room to work.
                    on_device.resident.pop();
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(on_device)
    }

    /// Takes products of `f32` by TF32, which tensor cores do several times as fast.
    ///
    /// Likelihoods stay exact where concentrations are above 20, since the products that count for them are taken again in
    /// `f64`; after a step, mean directions are off by 2e-5, and concentrations by 1e-4 of themselves.
    pub fn tf32(mut self, tf32: bool) -> Self {
        self.tf32 = tf32;
        self
    }

    /// Where the rows are; never [`Device::Auto`].
    pub fn device(&self) -> Device {
        Device::of(&self.device)
    }

    /// Rows that stay on the device from sweep to sweep.
    pub fn n_resident(&self) -> usize {
        self.points
            .n_samples()
            .min(self.resident.len() * self.block_rows)
    }

    /// Sends the block of rows from `first` on.
    fn send(&self, first: usize) -> Result<Tile, MixtureError> {
        let send = |block: &Block<'_, R::Value>| -> TensorResult<Tile> {
            let n = block.rows.nrows().next_multiple_of(self.together);
            let padded = |mut values: Vec<f64>| {
                values.resize(n, 0.0);
                Tensor::from_vec(values, n, &self.device)
            };
            let weights = (0..block.rows.nrows()).map(|row| block.weight(row));
            Ok(Tile {
                rows: rows_of(block, n, &self.device)?,
                scales: padded(block.inverse_lengths.to_vec())?,
                weights: padded(weights.collect())?,
                first,
            })
        };
        Ok(self.points.with_block(first, send)??)
    }

    /// Adds the statistics of a block, tile by tile.
    fn add(&self, model: &Model, block: &Tile, sums: &mut Sums) -> TensorResult<()> {
        let (n, k) = (block.rows.dim(0)?, model.means.dim(1)?);
        let mut start = 0;
        while start < n {
            let values = self.tile_values.load(Ordering::Relaxed);
            let parts = (values / k / self.together).max(1);
            let rows = (parts * self.together).min(n - start);
            let added = block
                .narrow(start, rows)
                .and_then(|tile| model.sums(&tile, self.together))
                .and_then(|tile| sums.plus(&tile));
            match added {
                Ok(added) => {
                    *sums = added;
                    start += rows;
                }
                Err(error) if rows > self.together && is_out_of_memory(&error) => {
                    self.tile_values.store(rows * k / 2, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The rows of a block as a tensor of `n` rows, zeros where there are no more.
fn rows_of<F: Float>(
    block: &Block<'_, F>,
    n: usize,
    device: &candle_core::Device,
) -> TensorResult<Tensor> {
    let d = block.rows.ncols();
    let mut values: Vec<F> = Vec::with_capacity(n * d);
    values.extend_from_slice(block.rows.as_slice().expect("standard layout"));
    values.resize(n * d, F::zero());
    // `Float` is f32 or f64, which the compiler does not know.
    let values: Box<dyn Any> = Box::new(values);
    match values.downcast::<Vec<f32>>() {
        Ok(values) => Tensor::from_vec(*values, (n, d), device),
        Err(values) => {
            let values = values.downcast::<Vec<f64>>();
            Tensor::from_vec(*values.expect("floats are f32 or f64"), (n, d), device)
        }
    }
}

impl<R: Rows> Observations for OnDevice<R> {
    fn n_samples(&self) -> usize {
        self.points.n_samples()
    }

    fn dimension(&self) -> usize {
        self.points.dimension()
    }

    fn sweep(&self, scorer: &Scorer, assignment: Assignment) -> Result<Statistics, MixtureError> {
        self.points.check(scorer)?;
        let _products = Products::begin(self.tf32);
        let (dtype, epsilon) = match (size_of::<R::Value>(), self.tf32) {
            (8, _) => (DType::F64, f64::EPSILON),
            (_, false) => (DType::F32, f64::from(f32::EPSILON)),
            (_, true) => (DType::F32, TF32_EPSILON),
        };
        let kernel = Kernel::with_precision(scorer, assignment, epsilon);
        let summed = match kernel.exact.is_some() && !self.tf32 {
            true => DType::F64,
            false => dtype,
        };
        let model = Model::new(kernel, dtype, summed, &self.device)?;
        let mut sums = Sums::zeros(scorer.mean_directions.dim(), &self.device)?;
        for first in (0..self.n_samples()).step_by(self.block_rows) {
            match self.resident.get(first / self.block_rows) {
                Some(block) => self.add(&model, block, &mut sums)?,
                None => self.add(&model, &self.send(first)?, &mut sums)?,
            }
        }
        Ok(sums.read(self.points.total_weight())?)
    }

    fn directions(&self, rows: &[usize]) -> Result<Array2<f64>, MixtureError> {
        self.points.directions(rows)
    }
}

impl<R> VonMisesFisherMixtureValidParams<R> {
    /// Puts points where the settings want them to be swept: leaves them, or sends them to a device.
    ///
    /// # Errors
    /// The device cannot be used, or the rows cannot be read.
    pub fn place<'a, P: Rows + 'a>(
        &self,
        points: Points<P>,
    ) -> Result<Box<dyn Observations + 'a>, MixtureError> {
        points
            .block_size(self.block_size())
            .on(self.device(), self.tf32())
    }
}

impl<'a, R: Rows + 'a> Points<R> {
    /// The points where they are to be swept: on the processor as they are, or on a device.
    pub(super) fn on(
        self,
        device: Device,
        tf32: bool,
    ) -> Result<Box<dyn Observations + 'a>, MixtureError> {
        match device.resolve()? {
            Device::Cpu => Ok(Box::new(self)),
            device => Ok(Box::new(OnDevice::new(self, device)?.tf32(tf32))),
        }
    }
}

impl Tile {
    fn narrow(&self, start: usize, rows: usize) -> TensorResult<Tile> {
        Ok(Tile {
            rows: self.rows.narrow(0, start, rows)?,
            scales: self.scales.narrow(0, start, rows)?,
            weights: self.weights.narrow(0, start, rows)?,
            first: self.first + start,
        })
    }
}

impl Model {
    fn new(
        kernel: Kernel<f64>,
        dtype: DType,
        summed: DType,
        device: &candle_core::Device,
    ) -> TensorResult<Self> {
        Ok(Model {
            means: matrix(&kernel.means, device)?
                .to_dtype(dtype)?
                .t()?
                .contiguous()?,
            summed,
            #[cfg(feature = "cuda")]
            parameters: cuda::Parameters::new(&kernel, device)?,
            kernel,
        })
    }

    /// The statistics of a tile of whole parts of `together` rows.
    fn sums(&self, tile: &Tile, together: usize) -> TensorResult<Sums> {
        let (n, d) = tile.rows.dims2()?;
        let k = self.means.dim(1)?;
        #[cfg(test)]
        tests::allocate(n * k)?;
        let cosines = tile.rows.matmul(&self.means)?;
        let shared = match &cosines {
            #[cfg(feature = "cuda")]
            cosines if cosines.device().is_cuda() => cuda::share_out(self, tile, cosines)?,
            cosines => processor::share_out(self, tile, cosines)?,
        };
        drop(cosines);
        let parts = n / together;
        let shares = shared.shares.to_dtype(self.summed)?;
        let shares = shares.reshape((parts, together, k))?;
        let rows = tile.rows.to_dtype(self.summed)?;
        let rows = rows.reshape((parts, together, d))?;
        let resultants = shares.transpose(1, 2)?.matmul(&rows)?;
        let resultants = resultants.to_dtype(DType::F64)?.reshape((parts, k * d))?;
        Ok(Sums {
            resultants: sum_rows(&resultants)?.reshape((k, d))?,
            masses: sum_rows(&shared.masses)?.reshape((2, k))?,
            log_likelihood: shared.log_likelihood,
        })
    }
}

fn matrix(values: &Array2<f64>, device: &candle_core::Device) -> TensorResult<Tensor> {
    Tensor::from_iter(values.iter().copied(), device)?.reshape(values.dim())
}

/// The sum of all rows, as a product: a reduction over the first axis would not read them in order.
fn sum_rows(x: &Tensor) -> TensorResult<Tensor> {
    Tensor::ones((1, x.dim(0)?), x.dtype(), x.device())?.matmul(x)
}

impl Sums {
    fn zeros((k, d): (usize, usize), device: &candle_core::Device) -> TensorResult<Self> {
        Ok(Sums {
            resultants: Tensor::zeros((k, d), DType::F64, device)?,
            masses: Tensor::zeros((2, k), DType::F64, device)?,
            log_likelihood: Tensor::zeros((1, 1), DType::F64, device)?,
        })
    }

    fn plus(&self, other: &Sums) -> TensorResult<Sums> {
        Ok(Sums {
            resultants: (&self.resultants + &other.resultants)?,
            masses: (&self.masses + &other.masses)?,
            log_likelihood: (&self.log_likelihood + &other.log_likelihood)?,
        })
    }

    /// Off the device.
    fn read(&self, total: f64) -> TensorResult<Statistics> {
        let (k, d) = self.resultants.dims2()?;
        let values = |x: &Tensor| x.flatten_all()?.to_vec1::<f64>();
        let mut masses = values(&self.masses)?;
        let squares = masses.split_off(k);
        let resultants = Array2::from_shape_vec((k, d), values(&self.resultants)?);
        Ok(Statistics {
            total,
            log_likelihood: values(&self.log_likelihood)?[0],
            masses: Array1::from(masses),
            squares: Array1::from(squares),
            resultants: resultants.expect("as many values as the shape"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::mixture::InMemory;

    thread_local! {
        /// Cosines of a tile for which there is memory.
        static CAPACITY: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Fails as the driver does where there is no memory for so many values.
    pub(super) fn allocate(values: usize) -> TensorResult<()> {
        if values > CAPACITY.get() {
            candle_core::bail!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
        }
        Ok(())
    }

    #[test]
    fn a_tile_that_does_not_fit_is_halved_and_nothing_is_lost() {
        let rows = Array2::from_shape_fn((20_000, 3), |(i, j)| ((i * 3 + j) as f32).sin());
        let points = InMemory::new(rows.view(), None).unwrap();
        let points = OnDevice::new(points, Device::Cpu).unwrap();
        let scorer = Scorer::cosine(Array2::eye(3));
        let sweep = |capacity: usize| {
            CAPACITY.set(capacity);
            points.sweep(&scorer, Assignment::Soft)
        };
        let whole = sweep(usize::MAX).unwrap();
        assert_eq!(sweep(3 * TOGETHER).unwrap().total, 20_000.0);
        let halved = sweep(3 * TOGETHER).unwrap();
        let difference = (whole.log_likelihood - halved.log_likelihood).abs();
        assert!(difference < 1e-9, "{difference:e}");
        assert!(
            (&whole.masses - &halved.masses)
                .iter()
                .all(|x| x.abs() < 1e-9)
        );
        let error = sweep(0).unwrap_err().to_string();
        CAPACITY.set(usize::MAX);
        assert!(
            error.contains("or fewer components if it ran out of memory"),
            "{error}"
        );
    }
}
