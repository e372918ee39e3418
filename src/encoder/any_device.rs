//! What a tower does between its matrix products, by candle's operations or, on CUDA, by kernels of our own.
//!
//! Products may be taken in half precision; norms, weights of attention, activations and residuals are in f32 all the
//! same, as the biases are.
//!
//! Notation: `b` images or texts, `t` tokens, `h` heads of `d` coordinates, `w = h d`.

use candle_core::{D, DType, Device, Result, Tensor};

#[cfg(feature = "cuda")]
use super::cuda;
use super::kernels::{Activation, QUICK_GELU_SLOPE};

/// What is added to the scores of attention.
#[derive(Clone, Copy)]
pub(super) enum Mask<'a> {
    /// Nothing.
    None,
    /// Minus infinity where a token would look at one after it.
    Causal,
    /// These, in f32, `(b or 1, h or 1, t or 1, t)`.
    Added(&'a Tensor),
}

/// Layer normalisation over the last axis of `x`, in f32, to `dtype`.
pub(super) fn layer_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f32,
    dtype: DType,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::layer_norm(x, weight, bias, epsilon, dtype);
    }
    candle_nn::ops::layer_norm(x, weight, bias, epsilon)?.to_dtype(dtype)
}

/// Attention of all heads: `(b, t, 3 w)` without its bias, in f32, `(3 w)`, to `(b, t, w)`.
pub(super) fn attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    mask: Mask<'_>,
) -> Result<Tensor> {
    let (b, t, width) = qkv.dims3()?;
    let d = width / 3 / heads;
    #[cfg(feature = "cuda")]
    if qkv.device().is_cuda() {
        return cuda::attention(qkv, bias, heads, mask);
    }
    let dtype = qkv.dtype();
    let qkv = qkv
        .broadcast_add(&bias.to_dtype(dtype)?)?
        .reshape((b, t, 3, heads, d))?
        .permute((2, 0, 3, 1, 4))?
        .contiguous()?;
    let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
    let scores = (q * (d as f64).powf(-0.5))?.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
    let scores = scores.to_dtype(DType::F32)?;
    let scores = match mask {
        Mask::None => scores,
        Mask::Causal => scores.broadcast_add(&causal_mask(t, scores.device())?)?,
        Mask::Added(mask) => scores.broadcast_add(mask)?,
    };
    let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(dtype)?;
    merge_heads(&weights.matmul(&v)?)
}

/// `(b, h, t, d)` to `(b, t, w)`.
pub(super) fn merge_heads(x: &Tensor) -> Result<Tensor> {
    let (b, h, t, d) = x.dims4()?;
    x.transpose(1, 2)?.reshape((b, t, h * d))
}

/// 0 on and below the diagonal, minus infinity above: `(t, t)`.
fn causal_mask(tokens: usize, device: &Device) -> Result<Tensor> {
    let rows = (0..tokens)
        .flat_map(|i| (0..tokens).map(move |j| if j > i { f32::NEG_INFINITY } else { 0.0 }));
    Tensor::from_iter(rows, device)?.reshape((tokens, tokens))
}

/// `activation(x + bias)` in each row, with the bias in f32.
pub(super) fn bias_activation(x: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::bias_activation(x, bias, activation);
    }
    let x = x.broadcast_add(&bias.to_dtype(x.dtype())?)?;
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::QuickGelu => {
            let gate = candle_nn::ops::sigmoid(&(&x * f64::from(QUICK_GELU_SLOPE))?)?;
            x * gate
        }
    }
}

/// `x + y + bias` in each row, `x` and the bias in f32.
pub(super) fn add_with_bias(x: &Tensor, y: &Tensor, bias: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::add_with_bias(x, y, bias);
    }
    x + y.to_dtype(DType::F32)?.broadcast_add(bias)?
}
