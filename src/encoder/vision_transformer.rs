//! CLIP's vision transformer: pixels to features.
//!
//! Notation: `b` images of `s x s` pixels in `g x g` patches of `p x p` pixels, `w` coordinates.
//!
//! # References
//! 1. A. Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021.

use candle_core::{Result, Tensor};

use super::EncoderError;
use super::checkpoint::Weights;
use super::config::VisionConfig;
use super::transformer::{LayerNorm, Transformer, TransformerShape};

/// Colour channels.
const CHANNELS: usize = 3;

/// The vision tower with its projection.
pub(super) struct VisionTransformer {
    /// The patch convolution as a matrix, `(3 p p, w)`: patches do not overlap.
    patch_embedding: Tensor,
    /// Class token with its position, `(1, 1, w)`.
    class_token: Tensor,
    /// Positions of the patches, `(g g, w)`.
    positions: Tensor,
    first_norm: LayerNorm,
    transformer: Transformer,
    last_norm: LayerNorm,
    /// `(w, dimension)`.
    projection: Tensor,
    patch_size: usize,
}

impl VisionTransformer {
    /// Loads `vision_model` and `visual_projection`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        config: &VisionConfig,
        dimension: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let (w, p) = (config.hidden_size, config.patch_size);
        let patches = (config.image_size / p).pow(2);
        let tower = weights.at("vision_model");
        let embeddings = tower.at("embeddings");
        let convolution = embeddings.tensor("patch_embedding.weight", &[w, CHANNELS, p, p])?;
        let positions = embeddings.tensor("position_embedding.weight", &[patches + 1, w])?;
        let class_token = embeddings.tensor("class_embedding", &[w])?;
        let shape = TransformerShape {
            layers: config.num_hidden_layers,
            width: w,
            heads: config.num_attention_heads,
            inner_width: config.intermediate_size,
            activation: config.hidden_act,
            epsilon: config.layer_norm_eps,
        };
        // The misspelling is part of the published name.
        let first_norm = tower.at("pre_layrnorm");
        Ok(VisionTransformer {
            patch_embedding: convolution.flatten_from(1)?.t()?.contiguous()?,
            class_token: (class_token + positions.get(0)?)?.reshape((1, 1, w))?,
            positions: positions.narrow(0, 1, patches)?.contiguous()?,
            first_norm: LayerNorm::load(&first_norm, w, config.layer_norm_eps)?,
            transformer: Transformer::load(&tower.at("encoder"), &shape)?,
            last_norm: LayerNorm::load(&tower.at("post_layernorm"), w, config.layer_norm_eps)?,
            projection: weights
                .tensor("visual_projection.weight", &[dimension, w])?
                .t()?
                .contiguous()?,
            patch_size: p,
        })
    }

    /// Normalised pixels `(b, 3, s, s)` to features `(b, dimension)`, not yet of unit length.
    pub(super) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (b, channels, height, width) = pixels.dims4()?;
        let p = self.patch_size;
        let (down, across) = (height / p, width / p);
        let patches = pixels
            .narrow(2, 0, down * p)?
            .narrow(3, 0, across * p)?
            .reshape((b, channels, down, p, across, p))?
            .permute((0, 2, 4, 1, 3, 5))?
            .reshape((b * down * across, channels * p * p))?;
        let w = self.patch_embedding.dim(1)?;
        let patches = patches
            .matmul(&self.patch_embedding)?
            .reshape((b, down * across, w))?
            .broadcast_add(&self.positions)?;
        let class_token = self.class_token.broadcast_as((b, 1, w))?;
        let tokens = Tensor::cat(&[&class_token, &patches], 1)?;
        let tokens = self
            .transformer
            .forward(self.first_norm.forward(&tokens)?, None)?;
        let class_token = tokens.narrow(1, 0, 1)?.reshape((b, w))?;
        self.last_norm
            .forward(&class_token)?
            .matmul(&self.projection)
    }
}
