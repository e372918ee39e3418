//! The sharing out by kernels on CUDA.

use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, PushKernelArg};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::{DType, Device, Result, Tensor};

use super::super::kernel::{Assignment, Kernel};
use super::{Model, Shared, Tile, matrix};
use crate::device::launch::{Read, Source, grid, written};

static KERNELS: Source = Source::new("share_out.cu", include_str!("share_out.cu"));

/// Threads of a block, and those of a warp, which takes a row.
const THREADS: usize = 128;
const WARP: usize = 32;

/// Rows whose responsibilities one thread adds up.
const SUMMED: usize = 256;

/// What the kernels want of a scorer, in `f64`.
pub(super) struct Parameters {
    /// The means where the products with them are coarse, `(k, d)`.
    exact: Option<Tensor>,
    /// `(k)`.
    concentrations: Tensor,
    /// `(k)`.
    offsets: Tensor,
    /// `(k)`.
    slacks: Tensor,
}

impl Parameters {
    pub(super) fn new(kernel: &Kernel<f64>, device: &Device) -> Result<Self> {
        let exact = kernel.exact.as_ref();
        Ok(Parameters {
            exact: exact.map(|means| matrix(means, device)).transpose()?,
            concentrations: Tensor::new(kernel.concentrations.as_slice(), device)?,
            offsets: Tensor::new(kernel.offsets.as_slice(), device)?,
            slacks: Tensor::new(kernel.slacks.as_slice(), device)?,
        })
    }
}

/// Shares the rows of a tile out among the components.
pub(super) fn share_out(model: &Model, tile: &Tile, cosines: &Tensor) -> Result<Shared> {
    match (cosines.dtype(), &model.parameters.exact) {
        (DType::F32, None) => share_out_as::<f32, f32>(model, tile, cosines, ["f32", "f32"]),
        (DType::F32, Some(_)) => {
            share_out_as::<f32, f64>(model, tile, cosines, ["f32_exact", "f64"])
        }
        _ => share_out_as::<f64, f64>(model, tile, cosines, ["f64", "f64"]),
    }
}

/// From cosines in `T` to shares in `S`, by the variants of `share` and of `weigh` for these.
#[expect(unsafe_code, reason = "kernels take what they are given")]
fn share_out_as<T: CudaDType + DeviceRepr, S: CudaDType + DeviceRepr>(
    model: &Model,
    tile: &Tile,
    cosines: &Tensor,
    [share, weigh]: [&str; 2],
) -> Result<Shared> {
    let device = cosines.device().as_cuda_device()?;
    let (n, k) = cosines.dims2()?;
    let parts = n.div_ceil(SUMMED);
    // SAFETY: `share` and `weigh` write every element of the three before anything reads them.
    let (mut shares, mut log_likelihoods, mut masses) = unsafe {
        (
            device.alloc::<S>(n * k)?,
            device.alloc::<f64>(n)?,
            device.alloc::<f64>(parts * 2 * k)?,
        )
    };
    let (cosines, rows) = (Read::<T>::of(cosines)?, Read::<T>::of(&tile.rows)?);
    let scales = Read::<f64>::of(&tile.scales)?;
    let weights = Read::<f64>::of(&tile.weights)?;
    let parameters = &model.parameters;
    let exact = parameters.exact.as_ref().map(Read::<f64>::of).transpose()?;
    let concentrations = Read::<f64>::of(&parameters.concentrations)?;
    let offsets = Read::<f64>::of(&parameters.offsets)?;
    let slacks = Read::<f64>::of(&parameters.slacks)?;
    let (cosines, rows, scales) = (cosines.view()?, rows.view()?, scales.view()?);
    let exact = exact.as_ref().map(Read::view).transpose()?;
    let (concentrations, offsets) = (concentrations.view()?, offsets.view()?);
    let slacks = slacks.view()?;
    let weights = weights.view()?;

    let (n_rows, n_components) = (n as i32, k as i32);
    let (dimension, summed) = (tile.rows.dim(1)? as i32, SUMMED as i32);
    let assignment = match model.kernel.assignment {
        Assignment::Soft => 0_i32,
        Assignment::Hard => 1,
        Assignment::Stochastic => 2,
    };
    let first = tile.first as u64;
    let null = 0_u64;

    let stream = device.cuda_stream();
    let share = KERNELS.function(device, &format!("share_{share}"))?;
    let mut arguments = stream.launch_builder(&share);
    arguments.arg(&cosines).arg(&rows);
    match &exact {
        Some(exact) => arguments.arg(exact),
        None => arguments.arg(&null),
    };
    arguments
        .arg(&concentrations)
        .arg(&offsets)
        .arg(&slacks)
        .arg(&scales)
        .arg(&mut shares)
        .arg(&mut log_likelihoods)
        .arg(&n_rows)
        .arg(&n_components)
        .arg(&dimension)
        .arg(&assignment)
        .arg(&model.kernel.inverse_temperature)
        .arg(&model.kernel.seed)
        .arg(&first);
    let warps = grid(n.div_ceil(THREADS / WARP), 1, THREADS as u32);
    // SAFETY: the arguments are those of `share` in share_out.cu, in its order and of its types; the tensors have the
    // shapes that it is told, and a thread reads and writes within them alone.
    unsafe { arguments.launch(warps) }.w()?;

    let weigh = KERNELS.function(device, &format!("weigh_{weigh}"))?;
    let mut arguments = stream.launch_builder(&weigh);
    arguments
        .arg(&mut shares)
        .arg(&scales)
        .arg(&weights)
        .arg(&mut masses)
        .arg(&n_rows)
        .arg(&n_components)
        .arg(&summed);
    let columns = grid(k.div_ceil(THREADS), parts, THREADS as u32);
    // SAFETY: as above, for `weigh`.
    unsafe { arguments.launch(columns) }.w()?;

    let log_likelihoods = written(log_likelihoods, (1, n), device);
    Ok(Shared {
        shares: written(shares, (n, k), device),
        masses: written(masses, (parts, 2 * k), device),
        log_likelihood: log_likelihoods.matmul(&tile.weights.unsqueeze(1)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_compile() {
        let ptx = KERNELS.ptx().unwrap();
        for name in [
            "share_f32",
            "share_f32_exact",
            "share_f64",
            "weigh_f32",
            "weigh_f64",
        ] {
            assert!(ptx.contains(&format!(".entry {name}(")), "{name}");
        }
    }
}
