//! Kernels of our own on CUDA: compiled once in a program, for any device, when first wanted.

use std::marker::PhantomData;
use std::sync::OnceLock;

use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaSlice, CudaView, LaunchConfig};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{Error, Result, Shape, Storage, StorageRef, Tensor};

/// A file of kernels.
pub(crate) struct Source {
    /// Name of the file, as compilers report it.
    name: &'static str,
    code: &'static str,
    ptx: OnceLock<std::result::Result<String, String>>,
}

impl Source {
    pub(crate) const fn new(name: &'static str, code: &'static str) -> Self {
        Source {
            name,
            code,
            ptx: OnceLock::new(),
        }
    }

    /// The kernels as PTX, which the driver makes into code for its device.
    pub(crate) fn ptx(&self) -> Result<&str> {
        let compile = || {
            let options = CompileOptions {
                name: Some(self.name.into()),
                options: vec!["--std=c++17".into()],
                ..CompileOptions::default()
            };
            compile_ptx_with_opts(self.code, options)
                .map(|ptx| ptx.to_src())
                .map_err(|cause| format!("{}: {cause:?}", self.name))
        };
        let ptx = self.ptx.get_or_init(compile);
        ptx.as_deref().map_err(Error::msg)
    }

    /// A kernel on a device.
    pub(crate) fn function(&self, device: &CudaDevice, function: &str) -> Result<CudaFunction> {
        device
            .get_or_load_custom_func(function, self.name, self.ptx()?)
            .map(|function| function.into_cuda_function())
    }
}

/// What a tensor holds, for a kernel to read.
pub(crate) struct Read<'a, T> {
    storage: StorageRef<'a>,
    start: usize,
    value: PhantomData<T>,
}

impl<'a, T: CudaDType> Read<'a, T> {
    /// The values of a tensor that lies in one piece.
    pub(crate) fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, _)) = layout.contiguous_offsets() else {
            candle_core::bail!("a kernel reads tensors in one piece only");
        };
        Ok(Read {
            storage,
            start,
            value: PhantomData,
        })
    }

    pub(crate) fn view(&self) -> Result<CudaView<'_, T>> {
        match &*self.storage {
            Storage::Cuda(storage) => Ok(storage.as_cuda_slice::<T>()?.slice(self.start..)),
            _ => candle_core::bail!("a kernel reads tensors on its own device only"),
        }
    }
}

/// What a kernel has written, as a tensor.
pub(crate) fn written<T: CudaDType>(
    values: CudaSlice<T>,
    shape: impl Into<Shape>,
    device: &CudaDevice,
) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}

/// A grid of blocks of so many threads each.
pub(crate) fn grid(x: usize, y: usize, threads: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (x as u32, y as u32, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_a_kernel_is_named() {
        let source = Source::new("broken.cu", "this is no kernel");
        let message = source.ptx().unwrap_err().to_string();
        assert!(message.contains("broken.cu"), "{message}");
    }
}
