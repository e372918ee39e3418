//! CUDA devices as we keep them: one stream each, and memory that is not given back between batches.
#![expect(
    unsafe_code,
    reason = "the driver's pool of memory, and one stream alone"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::CudaContext;
use candle_core::cuda_backend::cudarc::driver::result::{device, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::{CUmemPool_attribute, CUmemoryPool};
use candle_core::{CudaDevice, Device, Error, Result};

/// Devices that have been opened, each with its compiled kernels.
static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

/// Opens a device, once in a program.
pub(super) fn open(index: usize) -> Result<Device> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&index) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda_with_stream(index).map_err(without_backtrace)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: what is on the device is made, used and freed on this one stream, in the order of the calls.
    unsafe { cuda.disable_event_tracking() };
    keep_memory(&context(cuda))?;
    opened.insert(index, device.clone());
    Ok(device)
}

/// The driver's words alone.
fn without_backtrace(error: Error) -> Error {
    match error {
        Error::WithBacktrace { inner, .. } => without_backtrace(*inner),
        error => error,
    }
}

/// Its name.
pub(super) fn name(device: &CudaDevice) -> Option<String> {
    context(device).name().ok()
}

/// Bytes that may be allocated on it.
pub(super) fn free_memory(device: &CudaDevice) -> Option<usize> {
    let context = context(device);
    device.cuda_stream().synchronize().ok()?;
    // SAFETY: the pool is the device's own, which lives as long as that.
    unsafe { mem_pool::trim_to(pool(&context).ok()?, 0) }.ok()?;
    context.mem_get_info().ok().map(|(free, _)| free)
}

fn context(device: &CudaDevice) -> Arc<CudaContext> {
    device.cuda_stream().context().clone()
}

fn pool(context: &CudaContext) -> Result<CUmemoryPool> {
    context.bind_to_thread().w()?;
    // SAFETY: the device is that of a living context.
    unsafe { device::get_default_mem_pool(context.cu_device()) }.w()
}

/// Lets the driver keep freed memory for what comes next: without it, every wait for a result gives all of it back.
fn keep_memory(context: &CudaContext) -> Result<()> {
    let mut all = u64::MAX;
    let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own, and the threshold a number of 64 bits.
    unsafe { mem_pool::set_attribute(pool(context)?, threshold, (&raw mut all).cast()) }.w()
}
