//! The pre-norm transformer that both towers are made of.
//!
//! Notation: `b` images or texts, `t` tokens, `w` coordinates. A block computes
//! `x <- x + attention(norm(x))`, then `x <- x + perceptron(norm(x))`.
//!
//! # References
//! 1. A. Vaswani et al., *Attention is all you need*, NIPS 2017, section 3.
//! 2. R. Xiong et al., *On layer normalization in the transformer architecture*, ICML 2020: the norm before, not after.

use candle_core::{Result, Tensor};

use super::EncoderError;
use super::attention::attention;
use super::checkpoint::Weights;
use super::kernels::{self, Activation};

/// Widths and counts of a transformer.
#[derive(Clone, Copy, Debug)]
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

    /// `(b, t, w)` to `(b, t, w)`; with `mask`, `(t, t)`, a token sees only itself and those before it.
    pub(super) fn forward(&self, x: Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (b, t, w) = x.dims3()?;
        let mut x = x.reshape((b * t, w))?;
        for block in &self.blocks {
            x = block.forward(&x, (b, t), mask)?;
        }
        x.reshape((b, t, w))
    }
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

    /// `(b t, w)` to `(b t, w)`.
    fn forward(&self, x: &Tensor, (b, t): (usize, usize), mask: Option<&Tensor>) -> Result<Tensor> {
        let (rows, w) = x.dims2()?;
        let Linear { weight, bias } = &self.queries_keys_values;
        let qkv = self.attention_norm.forward(x)?.matmul(weight)?;
        let mixed = attention(&qkv.reshape((b, t, 3 * w))?, bias, self.heads, mask)?;
        let Linear { weight, bias } = &self.attention_out;
        let mixed = mixed.reshape((rows, w))?.matmul(weight)?;
        let x = kernels::bias_residual(mixed, bias, x)?;

        let Linear { weight, bias } = &self.perceptron_in;
        let inner = self.perceptron_norm.forward(&x)?.matmul(weight)?;
        let inner = kernels::bias_activation(inner, bias, self.activation)?;
        let Linear { weight, bias } = &self.perceptron_out;
        kernels::bias_residual(inner.matmul(weight)?, bias, &x)
    }
}

/// A matrix, ready to stand on the right of a product, and the bias that a later kernel adds.
struct Linear {
    /// `(inputs, outputs)`.
    weight: Tensor,
    /// `(outputs)`.
    bias: Tensor,
}

impl Linear {
    fn load(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, EncoderError> {
        Self::load_side_by_side(std::slice::from_ref(weights), inputs, outputs)
    }

    /// Several matrices with the same inputs as one, their outputs side by side.
    fn load_side_by_side(
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
            weight: Tensor::cat(&matrices, 0)?.t()?.contiguous()?,
            bias: Tensor::cat(&biases, 0)?,
        })
    }
}

/// Layer normalisation with its weight and bias.
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl LayerNorm {
    /// Loads `weight` and `bias`, both `(w)`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        width: usize,
        epsilon: f64,
    ) -> std::result::Result<Self, EncoderError> {
        Ok(LayerNorm {
            weight: weights.tensor("weight", &[width])?,
            bias: weights.tensor("bias", &[width])?,
            epsilon: epsilon as f32,
        })
    }

    /// Over the last axis of `x`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        kernels::layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}
