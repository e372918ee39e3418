//! The element-wise work of a transformer block, fused.
//!
//! Between two matrix products a block adds a bias, applies an activation, adds the residual, or normalises.
//! As single tensor operations each of these reads and writes the whole activation once, on one thread. On the processor
//! they are done here in one pass over rows, in parallel, for whatever vector unit the machine has; on other devices the
//! same functions fall back to the device's own operations. Tests hold the first against the second.
//!
//! # References
//! 1. M. Abramowitz, I. Stegun, *Handbook of Mathematical Functions*, 1964, formula 7.1.26: erf within 1.5e-7.

use candle_core::{CpuStorage, CustomOp3, InplaceOp2, InplaceOp3, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use serde::Deserialize;

/// The non-linearity between the two matrices of a block's perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Activation {
    /// `x sigmoid(1.702 x)`: OpenAI's models.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// `x Phi(x)`, by the error function: most other models.
    #[serde(rename = "gelu")]
    Gelu,
}

/// The slope that makes a logistic curve resemble the normal distribution function.
const QUICK_GELU_SLOPE: f32 = 1.702;

/// Rows that one task works on.
const ROWS_PER_TASK: usize = 8;

/// Layer normalisation over the last axis: `(x - mean) / sqrt(variance + epsilon) * weight + bias`.
pub(super) fn layer_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.apply_op3_no_bwd(weight, bias, &LayerNorm { epsilon })
    } else {
        candle_nn::ops::layer_norm(x, weight, bias, epsilon)
    }
}

/// `activation(x + bias)`; `x` is used up.
pub(super) fn bias_activation(x: Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.inplace_op2(bias, &BiasActivation(activation))?;
        return Ok(x);
    }
    let x = x.broadcast_add(bias)?;
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::QuickGelu => {
            let gate = candle_nn::ops::sigmoid(&(&x * f64::from(QUICK_GELU_SLOPE))?)?;
            x * gate
        }
    }
}

/// `x + bias + residual`; `x` is used up.
pub(super) fn bias_residual(x: Tensor, bias: &Tensor, residual: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.inplace_op3(bias, residual, &BiasResidual)?;
        return Ok(x);
    }
    x.broadcast_add(bias)? + residual
}

/// `exp(x)` to within 2 units in the last place: `2^k` times the series of `exp(r)` with `|r| <= ln(2) / 2`, whose
/// first neglected term is 5e-9. Below -87 it is 2e-38, above 88 it is 2e38.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding 3 * 2^22 leaves the nearest integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    /// The upper bits of ln 2, exact in products with small integers, and the rest.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut series = 1.0 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = series * r + coefficient;
    }
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32) + 127;
    series * f32::from_bits((exponent as u32) << 23)
}

#[inline(always)]
fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + exp(-QUICK_GELU_SLOPE * x))
}

/// Reference 1, formula 7.1.26, for `erf(|x| / sqrt(2))`.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut series = 1.061_405_4;
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        series = series * t + coefficient;
    }
    let erf = 1.0 - series * t * exp(-z * z);
    0.5 * x * (1.0 + erf.copysign(x))
}

/// The sum, in 16 partial sums that a vector unit can hold side by side.
#[inline(always)]
fn sum_by(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut partial = [0.0_f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&v| term(v)).sum();
    for chunk in chunks {
        for (sum, &value) in partial.iter_mut().zip(chunk) {
            *sum += term(value);
        }
    }
    partial.iter().sum::<f32>() + rest
}

/// The numbers of a tensor that lies in one piece.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => candle_core::bail!("a fused kernel needs a contiguous tensor"),
    }
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((from, to)), CpuStorage::F32(values)) => Ok(&mut values[from..to]),
        _ => candle_core::bail!("a fused kernel needs a contiguous tensor in f32"),
    }
}

struct LayerNorm {
    epsilon: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "fused-layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (floats(x, layout)?, floats(weight, weight_layout)?);
        let bias = floats(bias, bias_layout)?;
        let mut out = vec![0.0; x.len()];
        let block = weight.len() * ROWS_PER_TASK;
        out.par_chunks_mut(block)
            .zip(x.par_chunks(block))
            .for_each(|(out, x)| {
                Arch::new().dispatch(LayerNormRows {
                    x,
                    out,
                    weight,
                    bias,
                    epsilon: self.epsilon,
                });
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

struct LayerNormRows<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
}

impl WithSimd for LayerNormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.weight.len();
        let rows = self.out.chunks_exact_mut(width);
        for (out, x) in rows.zip(self.x.chunks_exact(width)) {
            let mean = sum_by(x, |v| v) / width as f32;
            let variance = sum_by(x, |v| (v - mean) * (v - mean)) / width as f32;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            let affine = self.weight.iter().zip(self.bias);
            for ((out, &x), (&weight, &bias)) in out.iter_mut().zip(x).zip(affine) {
                *out = (x - mean) * scale * weight + bias;
            }
        }
    }
}

struct BiasActivation(Activation);

impl InplaceOp2 for BiasActivation {
    fn name(&self) -> &'static str {
        "fused-bias-activation"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<()> {
        let bias = floats(bias, bias_layout)?;
        floats_mut(x, layout)?
            .par_chunks_mut(bias.len() * ROWS_PER_TASK)
            .for_each(|x| {
                Arch::new().dispatch(BiasActivationRows {
                    x,
                    bias,
                    activation: self.0,
                });
            });
        Ok(())
    }
}

struct BiasActivationRows<'a> {
    x: &'a mut [f32],
    bias: &'a [f32],
    activation: Activation,
}

impl WithSimd for BiasActivationRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for row in self.x.chunks_exact_mut(self.bias.len()) {
            let row = row.iter_mut().zip(self.bias);
            match self.activation {
                Activation::QuickGelu => row.for_each(|(x, bias)| *x = quick_gelu(*x + bias)),
                Activation::Gelu => row.for_each(|(x, bias)| *x = gelu(*x + bias)),
            }
        }
    }
}

struct BiasResidual;

impl InplaceOp3 for BiasResidual {
    fn name(&self) -> &'static str {
        "fused-bias-residual"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        let bias = floats(bias, bias_layout)?;
        let block = bias.len() * ROWS_PER_TASK;
        floats_mut(x, layout)?
            .par_chunks_mut(block)
            .zip(floats(residual, residual_layout)?.par_chunks(block))
            .for_each(|(x, residual)| Arch::new().dispatch(BiasResidualRows { x, bias, residual }));
        Ok(())
    }
}

struct BiasResidualRows<'a> {
    x: &'a mut [f32],
    bias: &'a [f32],
    residual: &'a [f32],
}

impl WithSimd for BiasResidualRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.bias.len();
        let rows = self.x.chunks_exact_mut(width);
        for (row, residual) in rows.zip(self.residual.chunks_exact(width)) {
            for ((x, bias), residual) in row.iter_mut().zip(self.bias).zip(residual) {
                *x += bias + residual;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// Numbers between -4 and 4 that repeat only after a long while.
    pub(in super::super) fn numbers(shape: &[usize], seed: f64) -> Tensor {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|i| ((i as f64 + seed) * 12.9898).sin() as f32 * 4.0);
        Tensor::from_iter(values, &Device::Cpu)
            .and_then(|tensor| tensor.reshape(shape))
            .unwrap()
    }

    pub(in super::super) fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let difference = (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0));
        difference.unwrap().to_scalar().unwrap()
    }

    #[test]
    fn exp_is_exact_to_two_units_in_the_last_place() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.4e-7, "exp({x}): {error:e}");
        }
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn layer_norm_is_the_plain_one() {
        let x = (numbers(&[3, 5, 70], 0.0) + 20.0).unwrap();
        let (weight, bias) = (numbers(&[70], 1.0), numbers(&[70], 2.0));
        let wide = x.to_dtype(DType::F64).unwrap();
        let plain = candle_nn::ops::layer_norm_slow(
            &wide,
            &weight.to_dtype(DType::F64).unwrap(),
            &bias.to_dtype(DType::F64).unwrap(),
            1e-5,
        );
        let plain = plain.and_then(|p| p.to_dtype(DType::F32)).unwrap();
        let fused = layer_norm(&x, &weight, &bias, 1e-5).unwrap();
        assert!(largest_difference(&fused, &plain) < 1e-5);
    }

    #[test]
    fn activations_are_the_plain_ones() {
        let (x, bias) = (numbers(&[4, 9, 33], 0.0), numbers(&[33], 1.0));
        let sum = x.broadcast_add(&bias).unwrap();
        let exact = sum.gelu_erf().unwrap();
        let fused = bias_activation(x.copy().unwrap(), &bias, Activation::Gelu).unwrap();
        assert!(largest_difference(&fused, &exact) < 2e-6);
        let gate = candle_nn::ops::sigmoid(&(&sum * 1.702).unwrap()).unwrap();
        let plain = (&sum * gate).unwrap();
        let fused = bias_activation(x, &bias, Activation::QuickGelu).unwrap();
        assert!(largest_difference(&fused, &plain) < 2e-6);
    }

    #[test]
    fn bias_and_residual_are_added() {
        let (x, residual) = (numbers(&[4, 9, 33], 0.0), numbers(&[4, 9, 33], 5.0));
        let bias = numbers(&[33], 1.0);
        let plain = x
            .broadcast_add(&bias)
            .and_then(|sum| sum + &residual)
            .unwrap();
        let fused = bias_residual(x, &bias, &residual).unwrap();
        assert!(largest_difference(&fused, &plain) < 2e-6);
    }
}
