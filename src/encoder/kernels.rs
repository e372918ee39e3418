//! What a tower does between and in its matrix products, on the processor.
//!
//! As single tensor operations, a bias, an activation, a residual or a normalisation each reads and writes the whole
//! activation once, in freshly allocated memory. Here a task takes a few images or texts through the whole tower in
//! buffers that it keeps, and each of these is one pass over rows that are still in cache, for whatever vector unit the
//! machine has. `any_device` has the same for other devices; tests hold the first against the second.
//!
//! # References
//! 1. M. Abramowitz, I. Stegun, *Handbook of Mathematical Functions*, 1964, formula 7.1.26: erf within 1.5e-7.
//! 2. D. Hendrycks, K. Gimpel, *Gaussian error linear units*, 2016, arXiv:1606.08415.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Result, Storage, Tensor};
use ndarray::{ArrayView2, ArrayViewMut2};
use pulp::{Arch, Simd, WithSimd};
use serde::Deserialize;

use crate::product::product;

/// The non-linearity between the two matrices of a block's perceptron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Activation {
    /// `x sigmoid(1.702 x)`: OpenAI's models.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// `x Phi(x)`, by the error function: most other models.
    #[default]
    #[serde(rename = "gelu")]
    Gelu,
    /// The approximation of `x Phi(x)` by a hyperbolic tangent (reference 2).
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// `max(x, 0)`.
    #[serde(rename = "relu")]
    Relu,
}

/// The slope that makes a logistic curve resemble the normal distribution function.
pub(super) const QUICK_GELU_SLOPE: f32 = 1.702;

/// Rows of activations that a task takes through a tower: their products are nearly as fast as larger ones, and what
/// lies between two products stays in the nearest shared cache.
const ROWS_PER_TASK: usize = 400;

/// How many of `items` with so many rows each a task takes: every thread gets as many as any other.
pub(super) fn items_per_task(items: usize, rows_per_item: usize) -> usize {
    let tasks = (items * rows_per_item)
        .div_ceil(ROWS_PER_TASK)
        .next_multiple_of(rayon::current_num_threads());
    items.div_ceil(tasks.max(1)).max(1)
}

/// The numbers of a tensor that lies in one piece in the processor's memory.
pub(super) fn floats(tensor: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    match (layout.contiguous_offsets(), &*storage) {
        (Some((from, to)), Storage::Cpu(CpuStorage::F32(_))) => Ok(Floats {
            storage,
            range: from..to,
        }),
        _ => candle_core::bail!("expected contiguous numbers in f32 on the processor"),
    }
}

struct Floats<G> {
    storage: G,
    range: Range<usize>,
}

impl<G: Deref<Target = Storage>> Deref for Floats<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// `out = rows weight`, for a `weight` of `(inputs, outputs)`.
pub(super) fn matmul(rows: &[f32], weight: &Tensor, out: &mut [f32]) -> Result<()> {
    let (inputs, outputs) = weight.dims2()?;
    let n = rows.len() / inputs;
    let weight = floats(weight)?;
    if (rows.len(), out.len()) != (n * inputs, n * outputs) {
        candle_core::bail!(
            "{} numbers are no rows of {inputs} that give {}",
            rows.len(),
            out.len()
        );
    }
    match (
        ArrayView2::from_shape((n, inputs), rows),
        ArrayView2::from_shape((inputs, outputs), &weight),
        ArrayViewMut2::from_shape((n, outputs), out),
    ) {
        (Ok(rows), Ok(weight), Ok(out)) => product(rows, weight, out),
        _ => candle_core::bail!("{n} rows of {inputs} numbers do not give what is to be written"),
    }
    Ok(())
}

/// Layer normalisation of each row: `(x - mean) / sqrt(variance + epsilon) * weight + bias`.
pub(super) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    Arch::new().dispatch(LayerNorm {
        x,
        out,
        weight,
        bias,
        epsilon,
    });
}

/// `x <- activation(x + bias)` in each row.
pub(super) fn bias_activation(x: &mut [f32], bias: &[f32], activation: Activation) {
    Arch::new().dispatch(BiasActivation {
        x,
        bias,
        activation,
    });
}

/// `x <- x + y + bias` in each row.
pub(super) fn add_with_bias(x: &mut [f32], y: &[f32], bias: &[f32]) {
    Arch::new().dispatch(AddWithBias { x, y, bias });
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

/// `(1 + tanh(z)) / 2` is the logistic function of `2 z`.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    x / (1.0 + exp(-2.0 * SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)))
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

struct LayerNorm<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
}

impl WithSimd for LayerNorm<'_> {
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

struct BiasActivation<'a> {
    x: &'a mut [f32],
    bias: &'a [f32],
    activation: Activation,
}

impl WithSimd for BiasActivation<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for row in self.x.chunks_exact_mut(self.bias.len()) {
            let row = row.iter_mut().zip(self.bias);
            match self.activation {
                Activation::QuickGelu => row.for_each(|(x, bias)| *x = quick_gelu(*x + bias)),
                Activation::Gelu => row.for_each(|(x, bias)| *x = gelu(*x + bias)),
                Activation::GeluTanh => row.for_each(|(x, bias)| *x = gelu_tanh(*x + bias)),
                Activation::Relu => row.for_each(|(x, bias)| *x = (*x + bias).max(0.0)),
            }
        }
    }
}

struct AddWithBias<'a> {
    x: &'a mut [f32],
    y: &'a [f32],
    bias: &'a [f32],
}

impl WithSimd for AddWithBias<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.bias.len();
        let rows = self.x.chunks_exact_mut(width);
        for (row, y) in rows.zip(self.y.chunks_exact(width)) {
            for ((x, y), bias) in row.iter_mut().zip(y).zip(self.bias) {
                *x += y + bias;
            }
        }
    }
}

/// `x <- x + bias` in each row.
pub(super) fn add_bias(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        for (x, bias) in row.iter_mut().zip(bias) {
            *x += bias;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use candle_core::{DType, Device};

    use super::super::any_device;
    use super::*;

    /// Numbers between -4 and 4 that repeat only after a long while.
    pub(in super::super) fn numbers(shape: &[usize], seed: f64) -> Tensor {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|i| ((i as f64 + seed) * 12.9898).sin() as f32 * 4.0);
        Tensor::from_iter(values, &Device::Cpu)
            .and_then(|tensor| tensor.reshape(shape))
            .unwrap()
    }

    pub(in super::super) fn largest_difference(a: &[f32], b: &Tensor) -> f32 {
        let b = b.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(a.len(), b.len());
        let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
    }

    fn owned(tensor: &Tensor) -> Vec<f32> {
        floats(tensor).unwrap().to_vec()
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
        let x = (numbers(&[15, 70], 0.0) + 20.0).unwrap();
        let (weight, bias) = (numbers(&[70], 1.0), numbers(&[70], 2.0));
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
        let plain = candle_nn::ops::layer_norm_slow(&wide(&x), &wide(&weight), &wide(&bias), 1e-5)
            .and_then(|p| p.to_dtype(DType::F32))
            .unwrap();
        let mut fused = vec![0.0; 15 * 70];
        layer_norm(&owned(&x), &owned(&weight), &owned(&bias), 1e-5, &mut fused);
        assert!(largest_difference(&fused, &plain) < 1e-5);
    }

    #[test]
    fn activations_are_the_plain_ones() {
        let (x, bias) = (numbers(&[36, 33], 0.0), numbers(&[33], 1.0));
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::QuickGelu,
            Activation::Relu,
        ] {
            let mut fused = owned(&x);
            bias_activation(&mut fused, &owned(&bias), activation);
            let plain = any_device::bias_activation(&x, &bias, activation).unwrap();
            assert!(largest_difference(&fused, &plain) < 2e-6, "{activation:?}");
        }
    }

    #[test]
    fn bias_and_residual_are_added() {
        let (x, y) = (numbers(&[36, 33], 0.0), numbers(&[36, 33], 5.0));
        let bias = numbers(&[33], 1.0);
        let plain = any_device::add_with_bias(&x, &y, &bias).unwrap();
        let mut fused = owned(&x);
        add_with_bias(&mut fused, &owned(&y), &owned(&bias));
        assert!(largest_difference(&fused, &plain) < 2e-6);
    }

    #[test]
    fn every_thread_gets_as_many_items() {
        let threads = rayon::current_num_threads();
        for (items, rows) in [(32_usize, 50), (1, 257), (512, 3), (7, 77)] {
            let tasks = items.div_ceil(items_per_task(items, rows));
            assert!(
                tasks >= threads.min(items),
                "{items} items in {tasks} tasks"
            );
        }
        assert_eq!(items_per_task(0, 50), 1);
    }
}
