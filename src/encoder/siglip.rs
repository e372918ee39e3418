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

use candle_core::{Module, Tensor};
use candle_transformers::models::siglip::{
    Config, TextConfig, TextModel, VisionConfig, VisionModel,
};
use ndarray::Array2;
use serde::Deserialize;
use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, Replace, Strip};

use super::checkpoint::Checkpoint;
use super::config::read_json;
use super::files::{CONFIG, Folder, PREPROCESSING, Source, weights_below};
use super::rows::unit_rows;
use super::sentence::HiddenActivation;
use super::sentence::tokenizer::{Limits, SentenceTokenizer, Vocabulary, tokenizer_config};
use super::tokenizer::TOKENIZER;
use super::var_builder::with_var_builder;
use super::{Device, Encoder, EncoderError, Picture, Preprocessing, Tokens, Tower};

/// The value of `model_type` that these towers are for.
pub(super) const SIGLIP: &str = "siglip";

/// Python's tokeniser of the first SigLIP, and the token that it fills rows up with.
const SIGLIP_TOKENIZER: &str = "SiglipTokenizer";
const SIGLIP_PADDING: &str = "</s>";

/// What stands for a space in a SentencePiece vocabulary.
const SPACE: char = '\u{2581}';

/// What is replaced before a text of [`SIGLIP_TOKENIZER`] is cut into tokens: Python's `string.punctuation`, runs of
/// white space, and the mark of a word when no word follows.
const REPLACEMENTS: [(&str, &str); 3] = [
    (r"[!-/:-@\[-`{-~]", ""),
    (r"\s+", " "),
    (r"\A\x{2581}\s*\z", ""),
];

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
    text: TextModel,
    vision: VisionModel,
    tokenizer: SiglipTokenizer,
    preprocessing: Preprocessing,
    logit_scale: f32,
}

/// `config.json`.
#[derive(Deserialize)]
struct File {
    text_config: Option<TextFields>,
    vision_config: Option<VisionFields>,
}

#[derive(Deserialize)]
#[serde(default)]
struct TextFields {
    vocab_size: usize,
    max_position_embeddings: usize,
    projection_size: Option<usize>,
    #[serde(flatten)]
    transformer: TransformerFields,
}

#[derive(Deserialize)]
#[serde(default)]
struct VisionFields {
    num_channels: usize,
    image_size: usize,
    patch_size: usize,
    vision_use_head: bool,
    #[serde(flatten)]
    transformer: TransformerFields,
}

#[derive(Deserialize)]
#[serde(default)]
struct TransformerFields {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: HiddenActivation,
    layer_norm_eps: f64,
}

impl Default for TextFields {
    fn default() -> Self {
        TextFields {
            vocab_size: 32_000,
            max_position_embeddings: 64,
            projection_size: None,
            transformer: TransformerFields::default(),
        }
    }
}

impl Default for VisionFields {
    fn default() -> Self {
        VisionFields {
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            vision_use_head: true,
            transformer: TransformerFields::default(),
        }
    }
}

impl Default for TransformerFields {
    fn default() -> Self {
        TransformerFields {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            hidden_act: HiddenActivation::GeluTanh,
            layer_norm_eps: 1e-6,
        }
    }
}

impl SiglipEncoder {
    /// Loads a model from a folder. Never touches the network.
    ///
    /// # Errors
    /// Any [`EncoderError`] about files or the device.
    pub fn from_folder(folder: &Path, device: Device) -> Result<Self, EncoderError> {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Self::from_source(&Folder(folder), &name.to_string_lossy(), device)
    }

    pub(super) fn from_source(
        files: &dyn Source,
        name: &str,
        device: Device,
    ) -> Result<Self, EncoderError> {
        let config = read_config(&files.get(CONFIG)?)?;
        let tokenizer = SiglipTokenizer::load(files, &config.text_config)?;
        let preprocessing = files.find(PREPROCESSING)?;
        let image_size = config.vision_config.image_size;
        let preprocessing = Preprocessing::siglip(preprocessing.as_deref(), image_size)?;
        let device = device.open()?;
        let checkpoint = Checkpoint::open(&weights_below(files, "")?, &device)?;
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
            device,
            text,
            vision,
            tokenizer,
            preprocessing,
            logit_scale: logit_scale.to_scalar::<f32>()?.exp(),
        })
    }
}

/// Reads and checks `config.json`.
fn read_config(path: &Path) -> Result<Config, EncoderError> {
    let file: File = read_json(path)?;
    let text = file.text_config.unwrap_or_default();
    let vision = file.vision_config.unwrap_or_default();
    let unusable = |field, got: String, expected| {
        Err(EncoderError::ConfigValue {
            path: path.into(),
            field,
            got,
            expected,
        })
    };
    let (words, patches) = (&text.transformer, &vision.transformer);
    for (field, tower) in [
        ("text_config.num_attention_heads", words),
        ("vision_config.num_attention_heads", patches),
    ] {
        let (width, heads) = (tower.hidden_size, tower.num_attention_heads);
        if width == 0 || heads == 0 || width % heads != 0 {
            return unusable(field, heads.to_string(), "a divisor of hidden_size");
        }
    }
    if let Some(size) = text
        .projection_size
        .filter(|&size| size != words.hidden_size)
    {
        let (field, expected) = ("text_config.projection_size", "text_config.hidden_size");
        return unusable(field, size.to_string(), expected);
    }
    if patches.hidden_size != words.hidden_size {
        let (field, expected) = ("vision_config.hidden_size", "text_config.hidden_size");
        return unusable(field, patches.hidden_size.to_string(), expected);
    }
    if text.max_position_embeddings < 2 {
        let got = text.max_position_embeddings.to_string();
        return unusable("text_config.max_position_embeddings", got, "at least 2");
    }
    if vision.num_channels != 3 {
        let got = vision.num_channels.to_string();
        return unusable("vision_config.num_channels", got, "3");
    }
    if vision.patch_size == 0 || vision.image_size < vision.patch_size {
        let got = vision.patch_size.to_string();
        return unusable("vision_config.patch_size", got, "1 to the image_size");
    }
    if !vision.vision_use_head {
        let expected = "true: without its head the tower gives states, not embeddings";
        return unusable("vision_config.vision_use_head", "false".into(), expected);
    }
    Ok(Config {
        text_config: TextConfig {
            vocab_size: text.vocab_size,
            hidden_size: words.hidden_size,
            intermediate_size: words.intermediate_size,
            num_hidden_layers: words.num_hidden_layers,
            num_attention_heads: words.num_attention_heads,
            max_position_embeddings: text.max_position_embeddings,
            hidden_act: words.hidden_act.into(),
            layer_norm_eps: words.layer_norm_eps,
            // The special tokens, which the tower does not look at.
            ..Config::base_patch16_224().text_config
        },
        vision_config: VisionConfig {
            hidden_size: patches.hidden_size,
            intermediate_size: patches.intermediate_size,
            num_hidden_layers: patches.num_hidden_layers,
            num_attention_heads: patches.num_attention_heads,
            num_channels: vision.num_channels,
            image_size: vision.image_size,
            patch_size: vision.patch_size,
            hidden_act: patches.hidden_act.into(),
            layer_norm_eps: patches.layer_norm_eps,
        },
    })
}

/// A tokeniser with the padding of its rows.
struct SiglipTokenizer {
    inner: SentenceTokenizer,
    padding: u32,
    /// Number of tokens of each row, padding included.
    context: usize,
}

impl SiglipTokenizer {
    fn load(files: &dyn Source, config: &TextConfig) -> Result<Self, EncoderError> {
        let path = files.find("tokenizer_config.json")?;
        let settings = tokenizer_config(path.as_deref())?;
        let unusable = |field, got: &str, expected| EncoderError::ConfigValue {
            path: path.clone().unwrap_or_default(),
            field,
            got: got.into(),
            expected,
        };
        if let Some(side) = settings
            .padding_side
            .as_deref()
            .filter(|&side| side != "right")
        {
            return Err(unusable("padding_side", side, "right"));
        }
        let context = settings.at_most(config.max_position_embeddings);
        if context < 2 {
            let got = context.to_string();
            return Err(unusable("model_max_length", &got, "at least 2"));
        }
        let class = settings
            .tokenizer_class
            .as_deref()
            .unwrap_or(SIGLIP_TOKENIZER);
        let is_siglip = class.trim_end_matches("Fast") == SIGLIP_TOKENIZER;
        let json = files.get(TOKENIZER)?;
        let mut first: Vec<NormalizerWrapper> = Vec::new();
        if is_siglip {
            if settings.do_lower_case {
                first.push(Lowercase.into());
            }
            for (pattern, by) in REPLACEMENTS {
                let replace = Replace::new(ReplacePattern::Regex(pattern.into()), by);
                let replace = replace.map_err(|cause| EncoderError::TokenizerFile {
                    path: json.clone(),
                    cause,
                })?;
                first.push(replace.into());
            }
            first.push(Strip::new(true, true).into());
        }
        let prompt = if is_siglip {
            SPACE.into()
        } else {
            String::new()
        };
        let limits = Limits {
            vocabulary: config.vocab_size,
            segments: 0,
            context,
        };
        let vocabulary = Vocabulary::Json(&json);
        let inner = SentenceTokenizer::load(&vocabulary, &settings, first, prompt, &limits)?;
        let padding = settings.pad_token();
        let padding = padding.unwrap_or(if is_siglip { SIGLIP_PADDING } else { "" });
        let expected = "the token of tokenizer.json that rows are filled up with";
        Ok(SiglipTokenizer {
            padding: inner
                .id(padding)
                .ok_or_else(|| unusable("pad_token", &format!("{padding:?}"), expected))?,
            inner,
            context,
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
        // In a text it is a space, and only the prompt's stands for the beginning.
        self.tokenizer.inner.encode(&text.replace(SPACE, " "))
    }

    fn embed_tokens(&self, tokens: &[&Tokens]) -> Result<Array2<f32>, EncoderError> {
        if tokens.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        let SiglipTokenizer {
            padding, context, ..
        } = self.tokenizer;
        let mut ids = vec![padding; tokens.len() * context];
        for (row, tokens) in ids.chunks_exact_mut(context).zip(tokens) {
            for (place, &id) in row.iter_mut().zip(&tokens.ids) {
                *place = id;
            }
        }
        let ids = Tensor::from_vec(ids, (tokens.len(), context), &self.device)?;
        Ok(unit_rows(&self.text.forward(&ids)?)?)
    }

    fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
        if pictures.is_empty() {
            return Ok(Array2::zeros((0, self.dimension)));
        }
        let pixels = self.preprocessing.pixels(pictures, &self.device)?;
        Ok(unit_rows(&self.vision.forward(&pixels)?)?)
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
