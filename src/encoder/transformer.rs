//! The pre-norm transformer that both towers are made of.
//!
//! Notation: `b` images or texts, `t` tokens, `w` coordinates. A block computes
//! `x <- x + attention(norm(x))`, then `x <- x + perceptron(norm(x))`. Of the last block only one token of each image or
//! text is wanted, so only its row goes through that block's perceptron.
//!
//! # References
//! 1. A. Vaswani et al., *Attention is all you need*, NIPS 2017, section 3.
//! 2. R. Xiong et al., *On layer normalization in the transformer architecture*, ICML 2020: the norm before, not after.

use candle_core::{DType, Result, Tensor};

use super::EncoderError;
use super::any_device::{self, Mask};
use super::attention::{Attention, attention};
use super::checkpoint::Weights;
use super::kernels::{self, Activation, floats};

/// Widths and counts of a transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TransformerShape {
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) inner_width: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
}

/// Blocks, one after the other.
pub(super) struct Transformer {
    blocks: Vec<Block>,
}

impl Transformer {
    /// Loads `layers.0`, `layers.1` and so on.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        shape: &TransformerShape,
    ) -> std::result::Result<Self, EncoderError> {
        let blocks = (0..shape.layers)
            .map(|layer| Block::load(&weights.at(&format!("layers.{layer}")), shape))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Transformer { blocks })
    }

    /// On the processor and this thread: tokens `x`, `(b t, w)`, to one row of each image or text, `(b, w)`: `wanted`
    /// says which. With `causal`, a token sees only itself and those before it.
    pub(super) fn run(
        &self,
        mut x: Vec<f32>,
        tokens: usize,
        wanted: &[usize],
        causal: bool,
    ) -> Result<Vec<f32>> {
        let width = x.len() / (wanted.len() * tokens);
        let of_wanted = |values: &[f32]| -> Vec<f32> {
            let items = values.chunks_exact(tokens * width).zip(wanted);
            let rows = items.map(|(item, &token)| &item[token * width..][..width]);
            rows.flatten().copied().collect()
        };
        let mut buffers = Buffers::default();
        for (i, block) in self.blocks.iter().enumerate() {
            let mut mixed = block.attend(&x, tokens, causal, &mut buffers)?;
            if i + 1 == self.blocks.len() {
                (x, mixed) = (of_wanted(&x), of_wanted(&mixed));
            }
            block.finish(&mut x, mixed, &mut buffers)?;
        }
        if self.blocks.is_empty() {
            x = of_wanted(&x);
        }
        Ok(x)
    }

    /// On any device: tokens `(b, t, w)` to the rows `wanted` of `(b t, w)`.
    pub(super) fn forward(&self, x: &Tensor, wanted: &Tensor, mask: Mask<'_>) -> Result<Tensor> {
        let (b, t, w) = x.dims3()?;
        let mut x = x.reshape((b * t, w))?;
        for (i, block) in self.blocks.iter().enumerate() {
            let mut mixed = block.attend_on_device(&x, (b, t), mask)?;
            if i + 1 == self.blocks.len() {
                (x, mixed) = (x.index_select(wanted, 0)?, mixed.index_select(wanted, 0)?);
            }
            x = block.finish_on_device(&x, &mixed)?;
        }
        match self.blocks.is_empty() {
            true => x.index_select(wanted, 0),
            false => Ok(x),
        }
    }
}

/// What a task keeps from block to block.
#[derive(Default)]
struct Buffers {
    /// `(b t, w)`.
    narrow: Vec<f32>,
    /// `(b t, 3 w)` or `(b t, inner width)`.
    wide: Vec<f32>,
    /// `(b t, w)`, handed from one half of a block to the other.
    mixed: Vec<f32>,
}

struct Block {
    attention_norm: LayerNorm,
    queries_keys_values: Linear,
    attention_out: Linear,
    perceptron_norm: LayerNorm,
    perceptron_in: Linear,
    perceptron_out: Linear,
    heads: usize,
    activation: Activation,
}

impl Block {
    fn load(
        weights: &Weights<'_>,
        shape: &TransformerShape,
    ) -> std::result::Result<Self, EncoderError> {
        let (w, inner) = (shape.width, shape.inner_width);
        let attention = weights.at("self_attn");
        let parts = ["q_proj", "k_proj", "v_proj"].map(|part| attention.at(part));
        let perceptron = weights.at("mlp");
        Ok(Block {
            attention_norm: LayerNorm::load(&weights.at("layer_norm1"), w, shape.epsilon)?,
            queries_keys_values: Linear::load_side_by_side(&parts, w, w)?,
            attention_out: Linear::load(&attention.at("out_proj"), w, w)?,
            perceptron_norm: LayerNorm::load(&weights.at("layer_norm2"), w, shape.epsilon)?,
            perceptron_in: Linear::load(&perceptron.at("fc1"), w, inner)?,
            perceptron_out: Linear::load(&perceptron.at("fc2"), inner, w)?,
            heads: shape.heads,
            activation: shape.activation,
        })
    }

    /// What the tokens take from one another, not yet through the attention's own matrix: `(b t, w)` to `(b t, w)`.
    fn attend(
        &self,
        x: &[f32],
        tokens: usize,
        causal: bool,
        buffers: &mut Buffers,
    ) -> Result<Vec<f32>> {
        let Linear { weight, bias } = &self.queries_keys_values;
        let bias = floats(bias)?;
        buffers.narrow.resize(x.len(), 0.0);
        buffers.wide.resize(3 * x.len(), 0.0);
        self.attention_norm.run(x, &mut buffers.narrow)?;
        kernels::matmul(&buffers.narrow, weight, &mut buffers.wide)?;
        let mut mixed = std::mem::take(&mut buffers.mixed);
        mixed.resize(x.len(), 0.0);
        let all = Attention {
            tokens,
            heads: self.heads,
            causal,
            relative: None,
        };
        attention(&buffers.wide, &bias, all, &mut mixed);
        Ok(mixed)
    }

    /// The rest of the block, for any rows: `x <- x + mixed W + b`, then the perceptron.
    fn finish(&self, x: &mut [f32], mixed: Vec<f32>, buffers: &mut Buffers) -> Result<()> {
        let Linear { weight, bias } = &self.attention_out;
        buffers.narrow.resize(x.len(), 0.0);
        kernels::matmul(&mixed, weight, &mut buffers.narrow)?;
        kernels::add_with_bias(x, &buffers.narrow, &floats(bias)?);
        buffers.mixed = mixed;

        let Linear { weight, bias } = &self.perceptron_in;
        let bias = floats(bias)?;
        let rows = x.len() / self.attention_norm.width();
        buffers.wide.resize(rows * bias.len(), 0.0);
        self.perceptron_norm.run(x, &mut buffers.narrow)?;
        kernels::matmul(&buffers.narrow, weight, &mut buffers.wide)?;
        kernels::bias_activation(&mut buffers.wide, &bias, self.activation);
        let Linear { weight, bias } = &self.perceptron_out;
        kernels::matmul(&buffers.wide, weight, &mut buffers.narrow)?;
        kernels::add_with_bias(x, &buffers.narrow, &floats(bias)?);
        Ok(())
    }

    /// [`attend`](Self::attend) on any device: `(b t, w)` to `(b t, w)`.
    fn attend_on_device(
        &self,
        x: &Tensor,
        (b, t): (usize, usize),
        mask: Mask<'_>,
    ) -> Result<Tensor> {
        let qkv = &self.queries_keys_values;
        let x = self.attention_norm.forward(x, qkv.weight.dtype())?;
        let wide = qkv.product(&x)?.reshape((b, t, ()))?;
        any_device::attention(&wide, &qkv.bias, self.heads, mask)?.flatten_to(1)
    }

    /// [`finish`](Self::finish) on any device.
    fn finish_on_device(&self, x: &Tensor, mixed: &Tensor) -> Result<Tensor> {
        let (inner, out) = (&self.perceptron_in, &self.perceptron_out);
        let x = self.attention_out.add_to(x, mixed)?;
        let narrow = self.perceptron_norm.forward(&x, inner.weight.dtype())?;
        let wide =
            any_device::bias_activation(&inner.product(&narrow)?, &inner.bias, self.activation)?;
        out.add_to(&x, &wide)
    }
}

/// A matrix, ready to stand on the right of a product, and a bias.
pub(super) struct Linear {
    /// `(inputs, outputs)`, in the precision of products.
    pub(super) weight: Tensor,
    /// `(outputs)`, in f32.
    pub(super) bias: Tensor,
}

impl Linear {
    /// Loads `weight`, `(outputs, inputs)`, and `bias`, `(outputs)`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, EncoderError> {
        Self::load_side_by_side(std::slice::from_ref(weights), inputs, outputs)
    }

    /// Several matrices with the same inputs as one, their outputs side by side.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load_side_by_side(
        parts: &[Weights<'_>],
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let mut matrices = Vec::with_capacity(parts.len());
        let mut biases = Vec::with_capacity(parts.len());
        for part in parts {
            matrices.push(part.tensor("weight", &[outputs, inputs])?);
            biases.push(part.tensor("bias", &[outputs])?);
        }
        Ok(Linear {
            weight: parts[0].for_products(Tensor::cat(&matrices, 0)?.t()?)?,
            bias: Tensor::cat(&biases, 0)?,
        })
    }

    /// On any device, without the bias and in the precision of products: `(rows, inputs)` to `(rows, outputs)`.
    pub(super) fn product(&self, x: &Tensor) -> Result<Tensor> {
        x.to_dtype(self.weight.dtype())?.matmul(&self.weight)
    }

    /// On any device: `x` plus the outputs for `inputs`, in f32.
    pub(super) fn add_to(&self, x: &Tensor, inputs: &Tensor) -> Result<Tensor> {
        any_device::add_with_bias(x, &self.product(inputs)?, &self.bias)
    }
}

/// Layer normalisation with its weight and bias.
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl LayerNorm {
    /// Loads `weight` and `bias`, both `(w)`, or `gamma` and `beta` as old files call them.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        width: usize,
        epsilon: f64,
    ) -> std::result::Result<Self, EncoderError> {
        let (weight, bias) = match weights.has("gamma") {
            true => ("gamma", "beta"),
            false => ("weight", "bias"),
        };
        Ok(LayerNorm {
            weight: weights.tensor(weight, &[width])?,
            bias: weights.tensor(bias, &[width])?,
            epsilon: epsilon as f32,
        })
    }

    fn width(&self) -> usize {
        self.weight.elem_count()
    }

    /// On the processor: each row of `x`, `(rows, w)`, to `out`.
    pub(super) fn run(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
        let (weight, bias) = (floats(&self.weight)?, floats(&self.bias)?);
        kernels::layer_norm(x, &weight, &bias, self.epsilon, out);
        Ok(())
    }

    /// On any device: over the last axis of `x`, in f32, to `dtype`.
    pub(super) fn forward(&self, x: &Tensor, dtype: DType) -> Result<Tensor> {
        any_device::layer_norm(x, &self.weight, &self.bias, self.epsilon, dtype)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::kernels::tests::{largest_difference, numbers};
    use super::*;

    fn linear(inputs: usize, outputs: usize, seed: f64) -> Linear {
        Linear {
            weight: (numbers(&[inputs, outputs], seed) * 0.1).unwrap(),
            bias: numbers(&[outputs], seed + 0.5),
        }
    }

    fn norm(width: usize, seed: f64) -> LayerNorm {
        LayerNorm {
            weight: numbers(&[width], seed),
            bias: numbers(&[width], seed + 0.5),
            epsilon: 1e-5,
        }
    }

    #[test]
    fn the_processor_computes_what_any_device_would() {
        let (b, t, w, inner) = (3, 7, 24, 40);
        let block = |seed| Block {
            attention_norm: norm(w, seed),
            queries_keys_values: linear(w, 3 * w, seed + 1.0),
            attention_out: linear(w, w, seed + 2.0),
            perceptron_norm: norm(w, seed + 3.0),
            perceptron_in: linear(w, inner, seed + 4.0),
            perceptron_out: linear(inner, w, seed + 5.0),
            heads: 3,
            activation: Activation::QuickGelu,
        };
        let x = numbers(&[b, t, w], 9.0);
        let wanted = [0, 6, 3];
        let rows: Vec<u32> = (0..)
            .zip(wanted)
            .map(|(i, row)| i * 7 + row as u32)
            .collect();
        let rows = Tensor::new(rows, &Device::Cpu).unwrap();
        for blocks in [vec![], vec![block(0.0)], vec![block(0.0), block(10.0)]] {
            let transformer = Transformer { blocks };
            for (causal, mask) in [(false, Mask::None), (true, Mask::Causal)] {
                let plain = transformer.forward(&x, &rows, mask).unwrap();
                let values = floats(&x).unwrap().to_vec();
                let fused = transformer.run(values, t, &wanted, causal).unwrap();
                let error = largest_difference(&fused, &plain);
                assert!(error < 1e-4, "{error:e}");
            }
        }
    }
}
