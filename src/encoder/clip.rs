//! A CLIP model, ready to use: two towers, their tokeniser and their preprocessing.

use std::fmt;
use std::path::Path;

use candle_core::Tensor;
use ndarray::Array2;
use rayon::prelude::*;

use super::checkpoint::Checkpoint;
use super::config::{ClipConfig, VisionShape};
use super::files::{ConfigFile, ModelFiles};
use super::hub::HubRepository;
use super::kernels::{floats, items_per_task};
use super::modified_resnet::ModifiedResNet;
use super::placement::Opened;
use super::rows::unit_rows;
use super::text_transformer::TextTransformer;
use super::tokenizer::{TokenBatch, Tokenizer};
use super::vision_transformer::{CHANNELS, VisionTransformer};
use super::{
    Device, Encoder, EncoderError, Picture, Placement, Preprocessing, Tokens, Tower, open_clip,
};

/// A CLIP model.
///
/// # Example
/// ```no_run
/// use vmfmix::encoder::{ClipEncoder, Device, Encoder};
///
/// let encoder = ClipEncoder::load("ViT-B/32", Device::Auto)?;
/// let embeddings = encoder.embed_texts(&["a photo of a cat", "a photo of a dog"])?;
/// assert_eq!(embeddings.dim(), (2, 512));
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
pub struct ClipEncoder {
    name: String,
    pub(super) dimension: usize,
    pub(super) device: candle_core::Device,
    pub(super) vision: VisionTower,
    pub(super) text: TextTransformer,
    tokenizer: Tokenizer,
    preprocessing: Preprocessing,
    logit_scale: f32,
}

/// Either of the two kinds.
pub(super) enum VisionTower {
    Transformer(VisionTransformer),
    ResNet(ModifiedResNet),
}

impl ClipEncoder {
    /// Loads a model by its name in the registry (`ViT-B/32`), its Hugging Face id (`owner/name`) or its folder.
    ///
    /// A folder that exists comes first and never touches the network; then the registry; then Hugging Face.
    ///
    /// # Errors
    /// Any [`EncoderError`] about names, files, the network or the device.
    pub fn load(model: &str, placement: impl Into<Placement>) -> Result<Self, EncoderError> {
        let placement = placement.into();
        let folder = Path::new(model);
        if folder.is_dir() {
            return Self::from_folder(folder, placement);
        }
        let (hub, name) = HubRepository::of_model(model)?;
        Self::from_hub(&hub, name, placement)
    }

    /// Loads a model from its repository.
    pub(super) fn from_hub(
        hub: &HubRepository,
        name: &str,
        placement: Placement,
    ) -> Result<Self, EncoderError> {
        Self::from_files(&ModelFiles::from_hub(hub)?, name, placement)
    }

    /// Loads a model from a folder in the layout of Hugging Face (`config.json`, `model.safetensors` or
    /// `pytorch_model.bin`, `preprocessor_config.json` where it differs from OpenAI's) or of open_clip
    /// (`open_clip_config.json`, `open_clip_model.safetensors` or `open_clip_pytorch_model.bin`), weights whole or in
    /// shards, with `tokenizer.json`, or `vocab.json` and `merges.txt`, or OpenAI's `bpe_simple_vocab_16e6.txt.gz`.
    /// Without a configuration the sizes of a model in open_clip's layout follow from the weights, and everything else is
    /// as in OpenAI's models. Never touches the network, and never runs code from a file.
    ///
    /// # Errors
    /// Any [`EncoderError`] about files or the device.
    ///
    /// # Example
    /// ```no_run
    /// use std::path::Path;
    /// use vmfmix::encoder::{ClipEncoder, Device, Encoder};
    ///
    /// let encoder = ClipEncoder::from_folder(Path::new("datasets/tiny-clip"), Device::Cpu)?;
    /// let embeddings = encoder.embed_texts(&["a red circle"])?;
    /// assert!((embeddings.row(0).dot(&embeddings.row(0)) - 1.0).abs() < 1e-5);
    /// # Ok::<(), vmfmix::encoder::EncoderError>(())
    /// ```
    pub fn from_folder(
        folder: &Path,
        placement: impl Into<Placement>,
    ) -> Result<Self, EncoderError> {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Self::from_files(
            &ModelFiles::in_folder(folder)?,
            &name.to_string_lossy(),
            placement.into(),
        )
    }

    fn from_files(
        files: &ModelFiles,
        name: &str,
        placement: Placement,
    ) -> Result<Self, EncoderError> {
        Self::from_opened(files, name, placement.open()?)
    }

    /// Loads a model for a device that is open.
    pub(super) fn from_opened(
        files: &ModelFiles,
        name: &str,
        opened: Opened,
    ) -> Result<Self, EncoderError> {
        let checkpoint = Checkpoint::open(&files.weights, &opened)?;
        let weights = checkpoint.weights();
        let (config, preprocessing) = match &files.config {
            ConfigFile::HuggingFace(path) => (ClipConfig::from_file(path)?, None),
            ConfigFile::OpenClip(path) => {
                let (config, profile) = open_clip::read(path)?;
                let size = config.vision.image_size();
                let preprocessing = Preprocessing::from_open_clip(&profile, path, size)?;
                (config, Some(preprocessing))
            }
            ConfigFile::Missing => {
                let path = files.weights.first().map_or(Path::new(""), |path| path);
                (ClipConfig::from_weights(&weights, path)?, None)
            }
        };
        let image_size = config.vision.image_size();
        let preprocessing = match (preprocessing, &files.preprocessing) {
            (Some(preprocessing), _) => preprocessing,
            (None, Some(path)) => Preprocessing::from_file(path, image_size)?,
            (None, None) => Preprocessing::openai(image_size),
        };
        let text = &config.text;
        let tokenizer = Tokenizer::open(&files.tokenizer, text.context_length, text.vocabulary)?;
        let dimension = config.dimension;
        let logit_scale = weights.tensor("logit_scale", &[])?.to_scalar::<f32>()?;
        let encoder = ClipEncoder {
            name: name.into(),
            dimension,
            vision: match &config.vision {
                VisionShape::Transformer(shape) => {
                    VisionTower::Transformer(VisionTransformer::load(&weights, shape, dimension)?)
                }
                VisionShape::ResNet(shape) => {
                    VisionTower::ResNet(ModifiedResNet::load(&weights, shape, dimension)?)
                }
            },
            text: TextTransformer::load(&weights, text, dimension)?,
            device: opened.device,
            tokenizer,
            preprocessing,
            logit_scale: logit_scale.exp(),
        };
        checkpoint.check_all_read()?;
        Ok(encoder)
    }

    /// How this model prepares pictures.
    #[must_use]
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }
}

impl VisionTower {
    /// Normalised pixels `(b, 3, s, s)` to features `(b, dimension)`, not yet of unit length.
    pub(super) fn features(
        &self,
        pixels: &Tensor,
        dimension: usize,
    ) -> candle_core::Result<Tensor> {
        if !pixels.device().is_cpu() {
            return match self {
                VisionTower::Transformer(tower) => tower.forward(pixels),
                VisionTower::ResNet(tower) => tower.forward(pixels),
            };
        }
        let (b, _, size, _) = pixels.dims4()?;
        let images = items_per_task(b, self.rows_per_image());
        let mut features = vec![0.0; b * dimension];
        let values = floats(pixels)?;
        features
            .par_chunks_mut(images * dimension)
            .zip(values.par_chunks(images * CHANNELS * size * size))
            .try_for_each(|(out, pixels)| match self {
                VisionTower::Transformer(tower) => tower.run(pixels, size, out),
                VisionTower::ResNet(tower) => tower.run(pixels, size, out),
            })?;
        Tensor::from_vec(features, (b, dimension), pixels.device())
    }

    /// Rows of the products that an image takes part in, for the division of work.
    fn rows_per_image(&self) -> usize {
        match self {
            VisionTower::Transformer(tower) => tower.tokens(),
            // The products of the last stage have a row for each cell, those before it four times as many and more.
            VisionTower::ResNet(tower) => 2 * tower.cells(),
        }
    }
}

impl Encoder for ClipEncoder {
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

    fn tokenize(&self, text: &str) -> Result<Tokens, EncoderError> {
        self.tokenizer.encode(text)
    }

    fn embed_tokens(&self, tokens: &[&Tokens]) -> Result<Array2<f32>, EncoderError> {
        if tokens.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        let context = self.text.context();
        let fits = |text: &Tokens| text.end < text.ids.len() && text.ids.len() <= context;
        if let Some(row) = tokens.iter().position(|text| !fits(text)) {
            return Err(EncoderError::TokenRow {
                row,
                length: tokens[row].ids.len(),
                end: tokens[row].end,
                context,
            });
        }
        Ok(unit_rows(&self.text.features(&TokenBatch::pad(tokens))?)?)
    }

    fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
        if pictures.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        let pixels = self.preprocessing.pixels(pictures, &self.device)?;
        let features = self.vision.features(&pixels, self.dimension)?;
        Ok(unit_rows(&features)?)
    }
}

impl fmt::Debug for ClipEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClipEncoder")
            .field("name", &self.name)
            .field("dimension", &self.dimension)
            .field("device", &self.device.location())
            .finish_non_exhaustive()
    }
}
