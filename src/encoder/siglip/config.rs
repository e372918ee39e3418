//! The sizes of SigLIP's towers, from `config.json`.
//!
//! Files may leave out any field that has its usual value; the defaults are those of transformers' `SiglipTextConfig` and
//! `SiglipVisionConfig`, that is siglip-base-patch16-224.

use std::path::Path;

use candle_nn::Activation;
use candle_transformers::models::siglip::{Config, TextConfig, VisionConfig};
use serde::Deserialize;

use super::super::EncoderError;
use super::super::config::{LARGEST, LARGEST_IMAGE, read_json};

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
    hidden_act: Activation,
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
            hidden_act: Activation::GeluPytorchTanh,
            layer_norm_eps: 1e-6,
        }
    }
}

/// Reads and checks `config.json`.
///
/// # Errors
/// [`EncoderError::Unreadable`], [`EncoderError::Json`]; [`EncoderError::ConfigValue`] for what the towers cannot do.
pub(super) fn read(path: &Path) -> Result<Config, EncoderError> {
    let file: File = read_json(path)?;
    let text = file.text_config.unwrap_or_default();
    let vision = file.vision_config.unwrap_or_default();
    let unusable =
        |field, got: String, expected| Err(EncoderError::config_value(path, field, got, expected));
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
    let sizes = [
        ("text_config.vocab_size", text.vocab_size, LARGEST),
        (
            "text_config.max_position_embeddings",
            text.max_position_embeddings,
            LARGEST,
        ),
        ("text_config.hidden_size", words.hidden_size, LARGEST),
        (
            "text_config.intermediate_size",
            words.intermediate_size,
            LARGEST,
        ),
        (
            "text_config.num_hidden_layers",
            words.num_hidden_layers,
            LARGEST,
        ),
        (
            "vision_config.intermediate_size",
            patches.intermediate_size,
            LARGEST,
        ),
        (
            "vision_config.num_hidden_layers",
            patches.num_hidden_layers,
            LARGEST,
        ),
        ("vision_config.image_size", vision.image_size, LARGEST_IMAGE),
    ];
    if let Some((field, got, _)) = sizes.into_iter().find(|(_, got, most)| got > most) {
        return unusable(field, got.to_string(), "at most 1048576, of an image 4096");
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
            hidden_act: words.hidden_act,
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
            hidden_act: patches.hidden_act,
            layer_norm_eps: patches.layer_norm_eps,
        },
    })
}
