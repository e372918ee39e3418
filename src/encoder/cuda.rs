//! What a tower does between its matrix products, by kernels on CUDA (`kernels.cu`).
#![expect(unsafe_code, reason = "kernels take what they are given")]
// SAFETY, here as a whole: every launch below gives a kernel of kernels.cu its arguments in their order and of their types,
// the sizes among them are those of the tensors, and the kernel writes every element of `out` before anything reads it.

use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, DeviceRepr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::{CudaDevice, D, DType, Result, Tensor};
use half::{bf16, f16};

use super::any_device::{Mask, merge_heads};
use super::kernels::Activation;
use crate::device::launch::{Read, Source, grid, written};

static KERNELS: Source = Source::new("kernels.cu", include_str!("kernels.cu"));

/// Threads of a warp, which takes a row where it is to be summed.
const WARP: usize = 32;

/// Values that a thread takes where the width allows it.
const PACK: usize = 4;

/// A type that products are taken in.
trait Value: CudaDType + DeviceRepr {}

impl<T: CudaDType + DeviceRepr> Value for T {}

/// Calls a function for the type of a tensor's values, with its name in `kernels.cu`.
macro_rules! in_type {
    ($dtype:expr, $function:ident($($argument:expr),*)) => {
        match $dtype {
            DType::F16 => $function::<f16>("f16", $($argument),*),
            DType::BF16 => $function::<bf16>("bf16", $($argument),*),
            _ => $function::<f32>("float", $($argument),*),
        }
    };
}

/// How many values a thread takes of rows of this width.
fn pack(width: usize) -> usize {
    if width.is_multiple_of(PACK) { PACK } else { 1 }
}

/// A grid of at least so many threads.
fn threads(count: usize) -> LaunchConfig {
    const THREADS: u32 = 256;
    grid(count.div_ceil(THREADS as usize), 1, THREADS)
}

/// Room for what a kernel writes.
fn room<T: Value>(device: &CudaDevice, values: usize) -> Result<CudaSlice<T>> {
    unsafe { device.alloc::<T>(values) }
}

/// [`super::any_device::layer_norm`].
pub(super) fn layer_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f32,
    dtype: DType,
) -> Result<Tensor> {
    in_type!(dtype, layer_norm_to(x, weight, bias, epsilon))
}

fn layer_norm_to<T: Value>(
    name: &str,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    let (device, shape) = (x.device().as_cuda_device()?, x.shape());
    let width = weight.elem_count();
    let rows = x.elem_count() / width;
    let function = KERNELS.function(device, &format!("layer_norm_{name}_{}", pack(width)))?;
    let mut out = room::<T>(device, rows * width)?;
    unsafe {
        device
            .cuda_stream()
            .launch_builder(&function)
            .arg(&Read::<f32>::of(x)?.view()?)
            .arg(&Read::<f32>::of(weight)?.view()?)
            .arg(&Read::<f32>::of(bias)?.view()?)
            .arg(&mut out)
            .arg(&(rows as i32))
            .arg(&(width as i32))
            .arg(&epsilon)
            .launch(threads(rows * WARP))
    }
    .w()?;
    Ok(written(out, shape, device))
}

/// [`super::any_device::attention`].
pub(super) fn attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    mask: Mask<'_>,
) -> Result<Tensor> {
    let d = qkv.dim(2)? / 3 / heads;
    let scale = (d as f32).powf(-0.5);
    let split = |scale: f32| in_type!(qkv.dtype(), split_heads(qkv, bias, heads, scale));
    #[cfg(feature = "flash-attn")]
    if qkv.dtype() != DType::F32 && d.is_multiple_of(8) && !matches!(mask, Mask::Added(_)) {
        let parts = split(1.0)?;
        let part = |at: usize| parts.get(at)?.transpose(1, 2);
        let causal = matches!(mask, Mask::Causal);
        let mixed = candle_flash_attn::flash_attn(&part(0)?, &part(1)?, &part(2)?, scale, causal)?;
        return mixed.flatten_from(2);
    }
    let parts = split(scale)?;
    let (q, k, v) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
    let scores = q.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
    let weights = in_type!(scores.dtype(), softmax(&scores, mask))?;
    merge_heads(&weights.matmul(&v)?)
}

/// `(b, t, 3 w)` without its bias to queries, keys and values, `(3, b, h, t, d)`, the queries times `scale`.
fn split_heads<T: Value>(
    name: &str,
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    scale: f32,
) -> Result<Tensor> {
    let device = qkv.device().as_cuda_device()?;
    let (b, t, width) = qkv.dims3()?;
    let d = width / 3 / heads;
    let function = KERNELS.function(device, &format!("split_heads_{name}_{}", pack(d)))?;
    let mut out = room::<T>(device, b * t * width)?;
    unsafe {
        device
            .cuda_stream()
            .launch_builder(&function)
            .arg(&Read::<T>::of(qkv)?.view()?)
            .arg(&Read::<f32>::of(bias)?.view()?)
            .arg(&mut out)
            .arg(&(b as i32))
            .arg(&(t as i32))
            .arg(&(heads as i32))
            .arg(&(d as i32))
            .arg(&scale)
            .launch(threads(b * t * width / pack(d)))
    }
    .w()?;
    Ok(written(out, (3, b, heads, t, d), device))
}

/// Scores `(b, h, t, t)` to weights that sum to one.
fn softmax<T: Value>(name: &str, scores: &Tensor, mask: Mask<'_>) -> Result<Tensor> {
    let device = scores.device().as_cuda_device()?;
    let (b, h, t, _) = scores.dims4()?;
    let added = match mask {
        Mask::Added(mask) => Some(mask),
        Mask::None | Mask::Causal => None,
    };
    let mut strides = [0_i32; 3];
    if let Some(mask) = added {
        let sizes = mask.dims();
        for (axis, stride) in strides.iter_mut().enumerate() {
            if sizes[axis] > 1 {
                *stride = sizes[axis + 1..].iter().product::<usize>() as i32;
            }
        }
    }
    let [item, head, query] = strides;
    let added = added.map(Read::<f32>::of).transpose()?;
    let added = added.as_ref().map(Read::view).transpose()?;
    let function = KERNELS.function(device, &format!("softmax_{name}"))?;
    let mut out = room::<T>(device, scores.elem_count())?;
    let (stream, scores) = (device.cuda_stream(), Read::<T>::of(scores)?);
    let scores = scores.view()?;
    let null = 0_u64;
    let mut arguments = stream.launch_builder(&function);
    arguments.arg(&scores);
    match &added {
        Some(mask) => arguments.arg(mask),
        None => arguments.arg(&null),
    };
    unsafe {
        arguments
            .arg(&mut out)
            .arg(&(b as i32))
            .arg(&(h as i32))
            .arg(&(t as i32))
            .arg(&i32::from(matches!(mask, Mask::Causal)))
            .arg(&item)
            .arg(&head)
            .arg(&query)
            .launch(threads(b * h * t * WARP))
    }
    .w()?;
    Ok(written(out, (b, h, t, t), device))
}

/// [`super::any_device::bias_activation`].
pub(super) fn bias_activation(x: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    in_type!(x.dtype(), bias_activation_in(x, bias, activation))
}

fn bias_activation_in<T: Value>(
    name: &str,
    x: &Tensor,
    bias: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    let (device, shape) = (x.device().as_cuda_device()?, x.shape());
    let width = bias.elem_count();
    let packs = x.elem_count() / pack(width);
    let activation = match activation {
        Activation::QuickGelu => 0_i32,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
    };
    let function = KERNELS.function(device, &format!("bias_activation_{name}_{}", pack(width)))?;
    let mut out = room::<T>(device, x.elem_count())?;
    unsafe {
        device
            .cuda_stream()
            .launch_builder(&function)
            .arg(&Read::<T>::of(x)?.view()?)
            .arg(&Read::<f32>::of(bias)?.view()?)
            .arg(&mut out)
            .arg(&(packs as u64))
            .arg(&(width as i32))
            .arg(&activation)
            .launch(threads(packs))
    }
    .w()?;
    Ok(written(out, shape, device))
}

/// [`super::any_device::add_with_bias`].
pub(super) fn add_with_bias(x: &Tensor, y: &Tensor, bias: &Tensor) -> Result<Tensor> {
    in_type!(y.dtype(), add_with_bias_in(x, y, bias))
}

fn add_with_bias_in<T: Value>(name: &str, x: &Tensor, y: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (device, shape) = (x.device().as_cuda_device()?, x.shape());
    let width = bias.elem_count();
    let packs = x.elem_count() / pack(width);
    let function = KERNELS.function(device, &format!("add_with_bias_{name}_{}", pack(width)))?;
    let mut out = room::<f32>(device, x.elem_count())?;
    unsafe {
        device
            .cuda_stream()
            .launch_builder(&function)
            .arg(&Read::<f32>::of(x)?.view()?)
            .arg(&Read::<T>::of(y)?.view()?)
            .arg(&Read::<f32>::of(bias)?.view()?)
            .arg(&mut out)
            .arg(&(packs as u64))
            .arg(&(width as i32))
            .launch(threads(packs))
    }
    .w()?;
    Ok(written(out, shape, device))
}

/// Bytes of pixels, `(b, h, w, 3)`, to normalised planes, `(b, 3, h, w)`, by a table for each channel, `(3, 256)`.
pub(super) fn normalise(pixels: &Tensor, table: &Tensor) -> Result<Tensor> {
    let device = pixels.device().as_cuda_device()?;
    let (b, height, width, channels) = pixels.dims4()?;
    let function = KERNELS.function(device, "normalise")?;
    let mut out = room::<f32>(device, pixels.elem_count())?;
    unsafe {
        device
            .cuda_stream()
            .launch_builder(&function)
            .arg(&Read::<u8>::of(pixels)?.view()?)
            .arg(&Read::<f32>::of(table)?.view()?)
            .arg(&mut out)
            .arg(&(pixels.elem_count() as u64))
            .arg(&((height * width) as i32))
            .launch(threads(pixels.elem_count()))
    }
    .w()?;
    Ok(written(out, (b, channels, height, width), device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_compile() {
        let ptx = KERNELS.ptx().unwrap();
        for name in [
            "layer_norm_bf16_4",
            "softmax_f16",
            "add_with_bias_float_1",
            "normalise",
        ] {
            assert!(ptx.contains(&format!(".entry {name}(")), "{name}");
        }
    }
}
