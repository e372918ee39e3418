//! CLIP's text transformer: token ids to features.
//!
//! Notation: `b` texts of `t` tokens, `w` coordinates. A token sees itself and those before it, so the end token alone
//! has seen the whole text: its state is the result.

use candle_core::{Result, Tensor};

use super::EncoderError;
use super::attention::causal_mask;
use super::checkpoint::Weights;
use super::config::TextConfig;
use super::tokenizer::TokenBatch;
use super::transformer::{LayerNorm, Transformer, TransformerShape};

/// The text tower with its projection.
pub(super) struct TextTransformer {
    /// `(vocabulary, w)`.
    token_embedding: Tensor,
    /// `(context length, w)`.
    positions: Tensor,
    /// `(context length, context length)`.
    mask: Tensor,
    transformer: Transformer,
    last_norm: LayerNorm,
    /// `(w, dimension)`.
    projection: Tensor,
}

impl TextTransformer {
    /// Loads `text_model` and `text_projection`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        config: &TextConfig,
        dimension: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let (w, context) = (config.hidden_size, config.max_position_embeddings);
        let tower = weights.at("text_model");
        let embeddings = tower.at("embeddings");
        let shape = TransformerShape {
            layers: config.num_hidden_layers,
            width: w,
            heads: config.num_attention_heads,
            inner_width: config.intermediate_size,
            activation: config.hidden_act,
            epsilon: config.layer_norm_eps,
        };
        Ok(TextTransformer {
            token_embedding: embeddings
                .tensor("token_embedding.weight", &[config.vocab_size, w])?,
            positions: embeddings.tensor("position_embedding.weight", &[context, w])?,
            mask: causal_mask(context, weights.device())?,
            transformer: Transformer::load(&tower.at("encoder"), &shape)?,
            last_norm: LayerNorm::load(&tower.at("final_layer_norm"), w, config.layer_norm_eps)?,
            projection: weights
                .tensor("text_projection.weight", &[dimension, w])?
                .t()?
                .contiguous()?,
        })
    }

    /// Features `(b, dimension)`, not yet of unit length.
    pub(super) fn forward(&self, batch: &TokenBatch) -> Result<Tensor> {
        let TokenBatch {
            ids,
            rows,
            width,
            ends,
        } = batch;
        let device = self.token_embedding.device();
        let ids = Tensor::from_slice(ids, rows * width, device)?;
        let w = self.positions.dim(1)?;
        let tokens = self
            .token_embedding
            .index_select(&ids, 0)?
            .reshape((*rows, *width, w))?
            .broadcast_add(&self.positions.narrow(0, 0, *width)?)?;
        let mask = self.mask.narrow(0, 0, *width)?.narrow(1, 0, *width)?;
        let states = self.transformer.forward(tokens, Some(&mask))?;
        let ends = Tensor::from_slice(ends, *rows, device)?;
        let states = states.reshape((rows * width, w))?.index_select(&ends, 0)?;
        self.last_norm.forward(&states)?.matmul(&self.projection)
    }
}
