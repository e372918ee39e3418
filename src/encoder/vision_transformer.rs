//! CLIP's vision transformer: pixels to features.
//!
//! Notation: `b` images of `s x s` pixels in `g x g` patches of `p x p` pixels, `w` coordinates.
//!
//! # References
//! 1. A. Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021.

use candle_core::{DType, Result, Tensor};

use super::EncoderError;
use super::any_device::Mask;
use super::checkpoint::Weights;
use super::kernels::{floats, matmul};
use super::transformer::{LayerNorm, Transformer, TransformerShape};

/// Colour channels.
pub(super) const CHANNELS: usize = 3;

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

/// Sizes of a vision transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VisionTransformerShape {
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
    pub(super) transformer: TransformerShape,
}

impl VisionTransformer {
    /// Loads `vision_model` and `visual_projection`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        shape: &VisionTransformerShape,
        dimension: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let (w, p) = (shape.transformer.width, shape.patch_size);
        let epsilon = shape.transformer.epsilon;
        let patches = (shape.image_size / p).pow(2);
        let tower = weights.at("vision_model");
        let embeddings = tower.at("embeddings");
        let convolution = embeddings.tensor("patch_embedding.weight", &[w, CHANNELS, p, p])?;
        let positions = embeddings.tensor("position_embedding.weight", &[patches + 1, w])?;
        let class_token = embeddings.tensor("class_embedding", &[w])?;
        // The misspelling is part of the published name.
        let first_norm = tower.at("pre_layrnorm");
        Ok(VisionTransformer {
            patch_embedding: weights.for_products(convolution.flatten_from(1)?.t()?)?,
            class_token: (class_token + positions.get(0)?)?.reshape((1, 1, w))?,
            positions: positions.narrow(0, 1, patches)?.contiguous()?,
            first_norm: LayerNorm::load(&first_norm, w, epsilon)?,
            transformer: Transformer::load(&tower.at("encoder"), &shape.transformer)?,
            last_norm: LayerNorm::load(&tower.at("post_layernorm"), w, epsilon)?,
            projection: weights.transposed("visual_projection.weight", &[dimension, w])?,
            patch_size: p,
        })
    }

    /// On the processor and this thread: normalised pixels `(b, 3, s, s)` to features `(b, dimension)`, not yet of unit
    /// length.
    pub(super) fn run(&self, pixels: &[f32], size: usize, out: &mut [f32]) -> Result<()> {
        let (w, dimension) = self.projection.dims2()?;
        let (b, p, across) = (
            out.len() / dimension,
            self.patch_size,
            size / self.patch_size,
        );
        let tokens = across * across + 1;

        let mut patches = Vec::with_capacity(b * across * across * CHANNELS * p * p);
        for image in pixels.chunks_exact(CHANNELS * size * size) {
            for (down, right) in (0..across).flat_map(|y| (0..across).map(move |x| (y, x))) {
                for plane in image.chunks_exact(size * size) {
                    for row in plane.chunks_exact(size).skip(down * p).take(p) {
                        patches.extend_from_slice(&row[right * p..][..p]);
                    }
                }
            }
        }
        let mut embedded = vec![0.0; b * (tokens - 1) * w];
        matmul(&patches, &self.patch_embedding, &mut embedded)?;

        let (class_token, positions) = (floats(&self.class_token)?, floats(&self.positions)?);
        let mut x = Vec::with_capacity(b * tokens * w);
        for image in embedded.chunks_exact((tokens - 1) * w) {
            x.extend_from_slice(&class_token);
            x.extend(
                image
                    .iter()
                    .zip(&*positions)
                    .map(|(patch, position)| patch + position),
            );
        }
        let mut normed = vec![0.0; x.len()];
        self.first_norm.run(&x, &mut normed)?;
        let states = self.transformer.run(normed, tokens, &vec![0; b], false)?;
        let mut last = vec![0.0; b * w];
        self.last_norm.run(&states, &mut last)?;
        matmul(&last, &self.projection, out)
    }

    /// The same on any device.
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
            .to_dtype(self.patch_embedding.dtype())?
            .matmul(&self.patch_embedding)?
            .to_dtype(DType::F32)?
            .reshape((b, down * across, w))?
            .broadcast_add(&self.positions)?;
        let class_token = self.class_token.broadcast_as((b, 1, w))?;
        let tokens = Tensor::cat(&[&class_token, &patches], 1)?;
        let step = (down * across + 1) as u32;
        let firsts: Vec<u32> = (0..b as u32).map(|image| image * step).collect();
        let firsts = Tensor::new(firsts, pixels.device())?;
        let x = self.first_norm.forward(&tokens, DType::F32)?;
        let states = self.transformer.forward(&x, &firsts, Mask::None)?;
        let dtype = self.projection.dtype();
        self.last_norm
            .forward(&states, dtype)?
            .matmul(&self.projection)
    }

    /// Tokens of an image, for the division of work.
    pub(super) fn tokens(&self) -> usize {
        self.positions.dims()[0] + 1
    }
}
