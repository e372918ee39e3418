//! CLIP's text transformer: token ids to features.
//!
//! Notation: `b` texts of `t` tokens, `w` coordinates. A token sees itself and those before it, so the end token alone
//! has seen the whole text: its state is the result.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::EncoderError;
use super::any_device::Mask;
use super::checkpoint::Weights;
use super::kernels::{floats, items_per_task, matmul};
use super::tokenizer::TokenBatch;
use super::transformer::{LayerNorm, Transformer, TransformerShape};

/// The text tower with its projection.
pub(super) struct TextTransformer {
    /// `(vocabulary, w)`.
    token_embedding: Tensor,
    /// `(context length, w)`.
    positions: Tensor,
    transformer: Transformer,
    last_norm: LayerNorm,
    /// `(w, dimension)`.
    projection: Tensor,
}

/// Sizes of a text transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TextTransformerShape {
    pub(super) vocabulary: usize,
    pub(super) context_length: usize,
    pub(super) transformer: TransformerShape,
}

impl TextTransformer {
    /// Loads `text_model` and `text_projection`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        shape: &TextTransformerShape,
        dimension: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let (w, context) = (shape.transformer.width, shape.context_length);
        let epsilon = shape.transformer.epsilon;
        let tower = weights.at("text_model");
        let embeddings = tower.at("embeddings");
        Ok(TextTransformer {
            token_embedding: embeddings.tensor("token_embedding.weight", &[shape.vocabulary, w])?,
            positions: embeddings.tensor("position_embedding.weight", &[context, w])?,
            transformer: Transformer::load(&tower.at("encoder"), &shape.transformer)?,
            last_norm: LayerNorm::load(&tower.at("final_layer_norm"), w, epsilon)?,
            projection: weights.transposed("text_projection.weight", &[dimension, w])?,
        })
    }

    /// Largest number of tokens of a text.
    pub(super) fn context(&self) -> usize {
        self.positions.dims()[0]
    }

    /// Features `(b, dimension)`, not yet of unit length.
    pub(super) fn features(&self, batch: &TokenBatch) -> Result<Tensor> {
        if !self.projection.device().is_cpu() {
            return self.forward(batch);
        }
        let dimension = self.projection.dim(1)?;
        let mut features = vec![0.0; batch.rows() * dimension];
        let texts = items_per_task(batch.rows(), batch.width);
        features
            .par_chunks_mut(texts * dimension)
            .zip(batch.ids.par_chunks(texts * batch.width))
            .zip(batch.ends.par_chunks(texts))
            .try_for_each(|((out, ids), ends)| self.run(ids, ends, out))?;
        Tensor::from_vec(
            features,
            (batch.rows(), dimension),
            self.projection.device(),
        )
    }

    /// On the processor and this thread.
    fn run(&self, ids: &[u32], ends: &[usize], out: &mut [f32]) -> Result<()> {
        let (w, tokens) = (self.positions.dim(1)?, ids.len() / ends.len());
        let (embedding, positions) = (floats(&self.token_embedding)?, floats(&self.positions)?);
        let mut x = Vec::with_capacity(ids.len() * w);
        for text in ids.chunks_exact(tokens) {
            for (&id, position) in text.iter().zip(positions.chunks_exact(w)) {
                let Some(token) = embedding.chunks_exact(w).nth(id as usize) else {
                    candle_core::bail!("there is no token {id}");
                };
                x.extend(
                    token
                        .iter()
                        .zip(position)
                        .map(|(token, position)| token + position),
                );
            }
        }
        let states = self.transformer.run(x, tokens, ends, true)?;
        let mut last = vec![0.0; states.len()];
        self.last_norm.run(&states, &mut last)?;
        matmul(&last, &self.projection, out)
    }

    /// On any device.
    pub(super) fn forward(&self, batch: &TokenBatch) -> Result<Tensor> {
        let (rows, width) = (batch.rows(), batch.width);
        let device = self.token_embedding.device();
        let ids = Tensor::from_slice(&batch.ids, rows * width, device)?;
        let w = self.positions.dim(1)?;
        let tokens = self
            .token_embedding
            .index_select(&ids, 0)?
            .reshape((rows, width, w))?
            .broadcast_add(&self.positions.narrow(0, 0, width)?)?;
        let ends = (0..)
            .zip(&batch.ends)
            .map(|(row, end)| (row * width + end) as u32);
        let ends = Tensor::from_iter(ends, device)?;
        let states = self.transformer.forward(&tokens, &ends, Mask::Causal)?;
        let dtype = self.projection.dtype();
        self.last_norm
            .forward(&states, dtype)?
            .matmul(&self.projection)
    }
}
