//! A CLIP model, ready to use: two towers, their tokeniser and their preprocessing.

use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use ndarray::Array2;
use rayon::prelude::*;

use super::checkpoint::Checkpoint;
use super::config::ClipConfig;
use super::hub::HubRepository;
use super::models::{self, ModelInfo};
use super::text_transformer::TextTransformer;
use super::tokenizer::{TokenBatch, Tokenizer};
use super::vision_transformer::VisionTransformer;
use super::{Device, Encoder, EncoderError, Picture, Preprocessing, Tokens, Tower};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const PREPROCESSING: &str = "preprocessor_config.json";

/// Weight files, the preferred one first.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The mark of a folder in the layout of open_clip.
const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";

/// A CLIP model with a vision transformer.
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
    dimension: usize,
    device: candle_core::Device,
    vision: VisionTransformer,
    text: TextTransformer,
    tokenizer: Tokenizer,
    preprocessing: Preprocessing,
    logit_scale: f32,
}

/// The files of one model.
struct Files {
    config: PathBuf,
    weights: PathBuf,
    tokenizer: PathBuf,
    preprocessing: Option<PathBuf>,
}

impl ClipEncoder {
    /// Loads a model by its name in the registry (`ViT-B/32`), its Hugging Face id (`owner/name`) or its folder.
    ///
    /// A folder that exists comes first and never touches the network; then the registry; then Hugging Face.
    ///
    /// # Errors
    /// Any [`EncoderError`] about names, files, the network or the device.
    pub fn load(model: &str, device: Device) -> Result<Self, EncoderError> {
        let folder = Path::new(model);
        if folder.is_dir() {
            return Self::from_folder(folder, device);
        }
        match models::find(model) {
            Ok(known) => {
                refuse_unsupported(known)?;
                Self::from_files(&Files::from_hub(known.repository)?, known.name, device)
            }
            Err(EncoderError::UnknownModel { closest: None, .. }) if is_hub_id(model) => {
                let known = models::MODELS
                    .iter()
                    .find(|known| known.repository == model);
                known.map_or(Ok(()), refuse_unsupported)?;
                Self::from_files(&Files::from_hub(model)?, model, device)
            }
            Err(unknown) => Err(unknown),
        }
    }

    /// Loads a model from a folder with `config.json`, `tokenizer.json`, `model.safetensors` or `pytorch_model.bin`,
    /// and, where it differs from OpenAI's, `preprocessor_config.json`. Never touches the network.
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
    pub fn from_folder(folder: &Path, device: Device) -> Result<Self, EncoderError> {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Self::from_files(&Files::in_folder(folder)?, &name.to_string_lossy(), device)
    }

    fn from_files(files: &Files, name: &str, device: Device) -> Result<Self, EncoderError> {
        let config = ClipConfig::from_file(&files.config)?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        let tokenizer = Tokenizer::from_file(
            &files.tokenizer,
            text.max_position_embeddings,
            text.vocab_size,
        )?;
        let preprocessing = match &files.preprocessing {
            Some(path) => Preprocessing::from_file(path, vision.image_size)?,
            None => Preprocessing::openai(vision.image_size),
        };
        let device = device.open()?;
        let checkpoint = Checkpoint::open(&files.weights, &device)?;
        let weights = checkpoint.weights();
        let logit_scale = weights.tensor("logit_scale", &[])?.to_scalar::<f32>()?;
        Ok(ClipEncoder {
            name: name.into(),
            dimension: config.projection_dim,
            vision: VisionTransformer::load(&weights, vision, config.projection_dim)?,
            text: TextTransformer::load(&weights, text, config.projection_dim)?,
            device,
            tokenizer,
            preprocessing,
            logit_scale: logit_scale.exp(),
        })
    }

    /// How this model prepares pictures.
    #[must_use]
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn pixels(&self, pictures: &[Picture]) -> Result<Tensor, EncoderError> {
        let side = self.preprocessing.image_size();
        let mut pixels = vec![0.0; pictures.len() * 3 * side * side];
        pixels
            .par_chunks_mut(3 * side * side)
            .zip(pictures)
            .for_each(|(out, picture)| {
                if self.preprocessing.is_prepared(picture) {
                    self.preprocessing.normalise(picture, out);
                } else {
                    let prepared = self.preprocessing.prepare(picture);
                    self.preprocessing.normalise(&prepared, out);
                }
            });
        let shape = (pictures.len(), 3, side, side);
        Ok(Tensor::from_vec(pixels, shape, &self.device)?)
    }

    fn unit_rows(&self, features: &Tensor) -> Result<Array2<f32>, EncoderError> {
        let (rows, columns) = features.dims2()?;
        let values = features.flatten_all()?.to_vec1::<f32>()?;
        let mut features =
            Array2::from_shape_vec((rows, columns), values).expect("as many values as the shape");
        for mut row in features.rows_mut() {
            let length = row.dot(&row).sqrt();
            if length > 0.0 {
                row /= length;
            }
        }
        Ok(features)
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
        self.unit_rows(&self.text.forward(&TokenBatch::pad(tokens))?)
    }

    fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
        if pictures.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        self.unit_rows(&self.vision.forward(&self.pixels(pictures)?)?)
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

impl Files {
    fn in_folder(folder: &Path) -> Result<Self, EncoderError> {
        let present = |file: &str| Some(folder.join(file)).filter(|path| path.is_file());
        let required = |file: &str| {
            present(file).ok_or_else(|| EncoderError::MissingFile {
                folder: folder.into(),
                file: file.into(),
            })
        };
        if present(CONFIG).is_none() && present(OPEN_CLIP_CONFIG).is_some() {
            return Err(EncoderError::UnsupportedArchitecture {
                model: folder.display().to_string(),
                architecture: "the reader of open_clip's file layout".into(),
                working: models::supported(),
            });
        }
        Ok(Files {
            config: required(CONFIG)?,
            tokenizer: required(TOKENIZER)?,
            preprocessing: present(PREPROCESSING),
            weights: WEIGHTS
                .iter()
                .find_map(|file| present(file))
                .map_or_else(|| required(WEIGHTS[0]), Ok)?,
        })
    }

    fn from_hub(repository: &str) -> Result<Self, EncoderError> {
        let hub = HubRepository::from_env(repository)?;
        Ok(Files {
            config: hub.fetch(CONFIG)?,
            tokenizer: hub.fetch(TOKENIZER)?,
            preprocessing: Some(hub.fetch(PREPROCESSING)?),
            weights: hub.fetch_first_of(&WEIGHTS)?,
        })
    }
}

fn refuse_unsupported(known: &ModelInfo) -> Result<(), EncoderError> {
    if known.is_supported() {
        return Ok(());
    }
    Err(EncoderError::UnsupportedArchitecture {
        model: known.name.into(),
        architecture: "a ResNet tower".into(),
        working: models::supported(),
    })
}

/// `owner/name`, in the characters that Hugging Face allows.
pub(super) fn is_hub_id(model: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    model
        .split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}
