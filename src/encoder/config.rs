//! The towers' sizes, from Hugging Face's `config.json`.
//!
//! Files may leave out any field that has its usual value; the defaults are those of transformers' `CLIPTextConfig` and
//! `CLIPVisionConfig`, that is ViT-B/32.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::kernels::Activation;
use super::{EncoderError, models};

/// The one value of `model_type` that these towers are for.
const MODEL_TYPE: &str = "clip";

/// `config.json` of a CLIP model.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ClipConfig {
    model_type: Option<String>,
    #[serde(default = "defaults::projection_dim")]
    pub(super) projection_dim: usize,
    #[serde(default)]
    pub(super) text_config: TextConfig,
    #[serde(default)]
    pub(super) vision_config: VisionConfig,
}

/// Sizes of the text tower.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) hidden_act: Activation,
    pub(super) layer_norm_eps: f64,
}

/// Sizes of the vision tower.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_channels: usize,
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
    pub(super) hidden_act: Activation,
    pub(super) layer_norm_eps: f64,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        VisionConfig {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

mod defaults {
    pub(super) fn projection_dim() -> usize {
        512
    }
}

impl ClipConfig {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::UnsupportedArchitecture`] if the file is of
    /// another kind of model, [`EncoderError::ConfigValue`] if sizes contradict each other.
    pub(super) fn from_file(path: &Path) -> Result<Self, EncoderError> {
        let config: ClipConfig = read_json(path)?;
        let kind = config.model_type.as_deref().unwrap_or("not named");
        if kind != MODEL_TYPE {
            return Err(EncoderError::UnsupportedArchitecture {
                model: path.display().to_string(),
                architecture: format!("the architecture \"{kind}\""),
                working: models::supported(),
            });
        }
        let unusable = |field, got: usize, expected| {
            Err(EncoderError::ConfigValue {
                path: path.into(),
                field,
                got: got.to_string(),
                expected,
            })
        };
        let (text, vision) = (&config.text_config, &config.vision_config);
        if config.projection_dim == 0 {
            return unusable("projection_dim", 0, "at least 1");
        }
        for (field, width, heads) in [
            (
                "text_config.num_attention_heads",
                text.hidden_size,
                text.num_attention_heads,
            ),
            (
                "vision_config.num_attention_heads",
                vision.hidden_size,
                vision.num_attention_heads,
            ),
        ] {
            if width == 0 || heads == 0 || width % heads != 0 {
                return unusable(field, heads, "a divisor of hidden_size");
            }
        }
        if text.max_position_embeddings < 2 {
            let got = text.max_position_embeddings;
            return unusable("text_config.max_position_embeddings", got, "at least 2");
        }
        if vision.num_channels != 3 {
            return unusable("vision_config.num_channels", vision.num_channels, "3");
        }
        if vision.patch_size == 0 || vision.image_size < vision.patch_size {
            let got = vision.patch_size;
            return unusable("vision_config.patch_size", got, "1 to image_size");
        }
        Ok(config)
    }
}

/// Reads a JSON file.
///
/// # Errors
/// [`EncoderError::Unreadable`], [`EncoderError::Json`].
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EncoderError> {
    let text = std::fs::read(path).map_err(|cause| EncoderError::Unreadable {
        path: path.into(),
        cause,
    })?;
    serde_json::from_slice(&text).map_err(|cause| EncoderError::Json {
        path: path.into(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<ClipConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        ClipConfig::from_file(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_as_in_transformers() {
        let sparse = r#"{"model_type": "clip", "vision_config": {"patch_size": 16}}"#;
        let config = config(sparse).unwrap();
        assert_eq!(config.projection_dim, 512);
        assert_eq!(config.vision_config.patch_size, 16);
        assert_eq!(config.vision_config.intermediate_size, 3072);
        assert_eq!(config.text_config.num_attention_heads, 8);
        assert_eq!(config.text_config.hidden_act, Activation::QuickGelu);
    }

    #[test]
    fn rejects_another_architecture() {
        let message = config(r#"{"model_type": "siglip"}"#).unwrap_err();
        assert!(
            message.contains("needs the architecture \"siglip\", which is not built yet"),
            "{message}"
        );
    }

    #[test]
    fn rejects_an_unknown_activation() {
        let json = r#"{"model_type": "clip", "text_config": {"hidden_act": "relu"}}"#;
        let message = config(json).unwrap_err();
        assert!(message.contains("unknown variant `relu`"), "{message}");
    }

    #[test]
    fn rejects_heads_that_do_not_divide_the_width() {
        let json = r#"{"model_type": "clip", "text_config": {"num_attention_heads": 7}}"#;
        let message = config(json).unwrap_err();
        assert!(
            message.ends_with(
                "text_config.num_attention_heads is 7, expected a divisor of hidden_size"
            )
        );
    }
}
