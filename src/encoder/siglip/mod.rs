//! A SigLIP model, ready to use: both towers of candle-transformers, their tokeniser and their preprocessing.
//!
//! The folder is that of transformers: `config.json` of the type `siglip`, `model.safetensors` or `pytorch_model.bin`,
//! `preprocessor_config.json`, `tokenizer.json`, `tokenizer_config.json`. The fixed resolutions of SigLIP 2 have the same
//! layout; the others are of the type `siglip2`, and refused.
//!
//! What differs from CLIP:
//!
//! - Each row of tokens is filled up to the full context, since the text tower attends to padding and reads its result at
//!   the last place. A text of three words would be another one without its padding.
//! - The vision tower has no class token; attention with a learnt query pools its states.
//! - A text loses its capitals, its ASCII punctuation and its double spaces before it is cut into tokens, if its tokeniser
//!   is transformers' `SiglipTokenizer`. White space at its beginning leaves a token, as there. A capital sigma at the end
//!   of a word becomes the same letter as elsewhere, unlike there. SigLIP 2 has Gemma's tokeniser, which keeps all of
//!   these, though the model learnt from texts without capitals.
//! - The loss was a sigmoid: cosines times [`logit_scale`](Encoder::logit_scale) lack the bias that probabilities of single
//!   pairs need, and that a softmax over labels does not.
//!
//! # References
//! 1. X. Zhai, B. Mustafa, A. Kolesnikov, L. Beyer, *Sigmoid loss for language image pre-training*, ICCV 2023.

use std::fmt;
use std::path::Path;

use candle_core::{DType, Module, Tensor};
use candle_transformers::models::siglip::{TextModel, VisionModel};
use ndarray::Array2;

use self::tokenizer::SiglipTokenizer;
use super::checkpoint::Checkpoint;
use super::files::{CONFIG, Folder, PREPROCESSING, Source, weights_below};
use super::placement::Opened;
use super::rows::unit_rows;
use super::var_builder::with_var_builder;
use super::{Device, Encoder, EncoderError, Picture, Placement, Preprocessing, Tokens, Tower};

mod config;
mod tokenizer;

/// The value of `model_type` that these towers are for.
pub(super) const SIGLIP: &str = "siglip";

/// A SigLIP model.
///
/// # Example
/// ```no_run
/// use std::path::Path;
/// use vmfmix::encoder::{Device, Encoder, SiglipEncoder};
///
/// let encoder = SiglipEncoder::from_folder(Path::new("models/siglip-base-patch16-224"), Device::Cpu)?;
/// let embeddings = encoder.embed_texts(&["a photo of a cat", "a photo of a dog"])?;
/// assert_eq!(embeddings.dim(), (2, 768));
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
pub struct SiglipEncoder {
    name: String,
    dimension: usize,
    device: candle_core::Device,
    dtype: DType,
    text: TextModel,
    vision: VisionModel,
    tokenizer: SiglipTokenizer,
    preprocessing: Preprocessing,
    logit_scale: f32,
}

impl SiglipEncoder {
    /// Loads a model from a folder. Never touches the network.
    ///
    /// # Errors
    /// Any [`EncoderError`] about files or the device.
    pub fn from_folder(
        folder: &Path,
        placement: impl Into<Placement>,
    ) -> Result<Self, EncoderError> {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Self::from_source(&Folder(folder), &name.to_string_lossy(), placement.into())
    }

    pub(super) fn from_source(
        files: &dyn Source,
        name: &str,
        placement: Placement,
    ) -> Result<Self, EncoderError> {
        Self::from_opened(files, name, placement.open()?)
    }

    fn from_opened(files: &dyn Source, name: &str, opened: Opened) -> Result<Self, EncoderError> {
        let config = config::read(&files.get(CONFIG)?)?;
        let tokenizer = SiglipTokenizer::load(files, &config.text_config)?;
        let preprocessing = files.find(PREPROCESSING)?;
        let image_size = config.vision_config.image_size;
        let preprocessing = Preprocessing::siglip(preprocessing.as_deref(), image_size)?;
        let checkpoint = Checkpoint::open(&weights_below(files, "")?, &opened)?;
        let weights = checkpoint.weights();
        let logit_scale = weights.tensor("logit_scale", &[1])?.squeeze(0)?;
        let (text, vision) = with_var_builder(weights, |weights| {
            let text = TextModel::new(&config.text_config, weights.pp("text_model"))?;
            let vision = weights.pp("vision_model");
            Ok((text, VisionModel::new(&config.vision_config, true, vision)?))
        })?;
        Ok(SiglipEncoder {
            name: name.into(),
            dimension: config.text_config.hidden_size,
            device: opened.device,
            dtype: opened.dtype,
            text,
            vision,
            tokenizer,
            preprocessing,
            logit_scale: logit_scale.to_scalar::<f32>()?.exp(),
        })
    }
}

impl Encoder for SiglipEncoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn towers(&self) -> &[Tower] {
        &[Tower::Text, Tower::Image]
    }

    fn logit_scale(&self) -> Option<f32> {
        Some(self.logit_scale)
    }

    fn device(&self) -> Device {
        Device::of(&self.device)
    }

    fn prepare(&self, picture: &Picture) -> Picture {
        self.preprocessing.prepare(picture)
    }

    /// The tokens without their padding.
    fn tokenize(&self, text: &str) -> Result<Tokens, EncoderError> {
        self.tokenizer.encode(text)
    }

    fn embed_tokens(&self, tokens: &[&Tokens]) -> Result<Array2<f32>, EncoderError> {
        if tokens.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        let ids = self.tokenizer.pad(tokens);
        let ids = Tensor::from_vec(ids, (tokens.len(), self.tokenizer.context()), &self.device)?;
        Ok(unit_rows(&self.text.forward(&ids)?)?)
    }

    fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
        if pictures.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        let pixels = self.preprocessing.pixels(pictures, &self.device)?;
        let features = self.vision.forward(&pixels.to_dtype(self.dtype)?)?;
        Ok(unit_rows(&features)?)
    }
}

impl fmt::Debug for SiglipEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiglipEncoder")
            .field("name", &self.name)
            .field("dimension", &self.dimension)
            .field("device", &self.device.location())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_keeps_directions() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/siglip");
        let embed = |dtype| {
            let opened = Opened::processor(dtype);
            let encoder = SiglipEncoder::from_opened(&Folder(&folder), "siglip", opened).unwrap();
            let side = encoder.preprocessing.image_size();
            let bytes = (0..3 * side * side).map(|i| (i * 31 % 251) as u8).collect();
            let picture = Picture::from_rgb(side, side, bytes).unwrap();
            let texts = encoder.embed_texts(&["a red circle", "two words"]).unwrap();
            let images = encoder.embed_images(&[picture]).unwrap();
            ndarray::concatenate![ndarray::Axis(0), texts, images]
        };
        let cosines = embed(DType::F32) * embed(DType::F16);
        for cosine in cosines.sum_axis(ndarray::Axis(1)) {
            assert!(cosine > 1.0 - 1e-4, "{cosine}");
        }
    }
}
