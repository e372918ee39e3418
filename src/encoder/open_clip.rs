//! The towers' sizes and the preprocessing, from open_clip's `open_clip_config.json`.
//!
//! Fields that are left out have the values of open_clip's `CLIPVisionCfg` and `CLIPTextCfg`.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::{ClipConfig, VisionShape, read_json};
use super::kernels::Activation;
use super::modified_resnet::ModifiedResNetShape;
use super::preprocess::OpenClipProfile;
use super::text_transformer::TextTransformerShape;
use super::transformer::TransformerShape;
use super::vision_transformer::VisionTransformerShape;
use super::{EncoderError, models};

/// torch's `LayerNorm`.
const EPSILON: f64 = 1e-5;

#[derive(Deserialize)]
struct File {
    model_cfg: Model,
    #[serde(default)]
    preprocess_cfg: OpenClipProfile,
}

#[derive(Deserialize)]
struct Model {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    #[serde(default)]
    vision_cfg: Vision,
    #[serde(default)]
    text_cfg: Text,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(default)]
struct Vision {
    layers: Layers,
    width: usize,
    head_width: usize,
    mlp_ratio: f64,
    /// Null in ResNets.
    patch_size: Option<usize>,
    image_size: Side,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(default)]
struct Text {
    layers: usize,
    width: usize,
    heads: usize,
    mlp_ratio: f64,
    context_length: usize,
    vocab_size: usize,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Blocks of a transformer, or of each stage of a ResNet.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Layers {
    Transformer(usize),
    ResNet([usize; 4]),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Two([usize; 2]),
}

impl Default for Vision {
    fn default() -> Self {
        Vision {
            layers: Layers::Transformer(12),
            width: 768,
            head_width: 64,
            mlp_ratio: 4.0,
            patch_size: Some(16),
            image_size: Side::One(224),
            others: Map::new(),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Text {
            layers: 12,
            width: 512,
            heads: 8,
            mlp_ratio: 4.0,
            context_length: 77,
            vocab_size: 49408,
            others: Map::new(),
        }
    }
}

/// Fields that are about training, or that say what the towers here are anyway.
const WITHOUT_EFFECT: [&str; 8] = [
    "custom_text",
    "drop_path_rate",
    "init_logit_scale",
    "output_tokens",
    "patch_dropout",
    "timm_drop",
    "timm_drop_path",
    "hf_model_pretrained",
];

/// Values that fields of other towers have when they say what the towers here are.
const USUAL: [(&str, &str); 13] = [
    ("pool_type", "tok"),
    ("pool_type", "argmax"),
    ("attn_pooler_heads", "8"),
    ("pos_embed_type", "learnable"),
    ("text_mask", "first"),
    ("pad_id", "0"),
    ("eos_id", "2"),
    ("proj_type", "linear"),
    ("attn_pooler_queries", "256"),
    ("timm_pool", "avg"),
    ("timm_proj", "linear"),
    ("hf_proj_type", "mlp"),
    ("hf_pooler_type", "mean_pooler"),
];

/// Reads the sizes of the towers and how pictures are prepared.
///
/// # Errors
/// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::UnsupportedArchitecture`] if a field asks for
/// another tower than CLIP's, [`EncoderError::ConfigValue`] if sizes contradict each other.
pub(super) fn read(path: &Path) -> Result<(ClipConfig, OpenClipProfile), EncoderError> {
    let File {
        model_cfg: model,
        preprocess_cfg,
    } = read_json(path)?;
    let (vision, text) = (&model.vision_cfg, &model.text_cfg);
    for (of, fields) in [
        ("model_cfg", &model.others),
        ("vision_cfg", &vision.others),
        ("text_cfg", &text.others),
    ] {
        if let Some((name, value)) = fields
            .iter()
            .find(|(name, value)| asks_for_more(name, value))
        {
            return Err(EncoderError::UnsupportedArchitecture {
                model: path.display().to_string(),
                architecture: format!("a tower with {of}.{name} = {value}"),
                known: models::names(),
            });
        }
    }
    let activation = if model.quick_gelu {
        Activation::QuickGelu
    } else {
        Activation::Gelu
    };
    let image_size = match vision.image_size {
        Side::One(side) => side,
        Side::Two([height, width]) if height == width => height,
        Side::Two([height, width]) => {
            return Err(EncoderError::config_value(
                path,
                "vision_cfg.image_size",
                format!("{height}x{width}"),
                "a square",
            ));
        }
    };
    let head_width = vision.head_width.max(1);
    let transformer = |layers, width, heads, mlp_ratio: f64| TransformerShape {
        layers,
        width,
        heads,
        inner_width: (width as f64 * mlp_ratio) as usize,
        activation,
        epsilon: EPSILON,
    };
    let config = ClipConfig {
        dimension: model.embed_dim,
        text: TextTransformerShape {
            vocabulary: text.vocab_size,
            context_length: text.context_length,
            transformer: transformer(text.layers, text.width, text.heads, text.mlp_ratio),
        },
        vision: match vision.layers {
            Layers::Transformer(layers) => VisionShape::Transformer(VisionTransformerShape {
                image_size,
                patch_size: vision.patch_size.unwrap_or(0),
                transformer: transformer(
                    layers,
                    vision.width,
                    vision.width / head_width,
                    vision.mlp_ratio,
                ),
            }),
            Layers::ResNet(blocks) => VisionShape::ResNet(ModifiedResNetShape {
                image_size,
                width: vision.width,
                blocks,
                heads: vision.width * 32 / head_width,
            }),
        },
    };
    config.check(path)?;
    Ok((config, preprocess_cfg))
}

fn asks_for_more(name: &str, value: &Value) -> bool {
    let is_off = match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || USUAL.contains(&(name, text)),
        Value::Number(number) => USUAL.contains(&(name, &number.to_string())),
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) => false,
    };
    !is_off && !WITHOUT_EFFECT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<ClipConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open_clip_config.json");
        std::fs::write(&path, json).unwrap();
        read(&path)
            .map(|(config, _)| config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_of_layers_is_a_resnet() {
        let json = r#"{"model_cfg": {"embed_dim": 640, "quick_gelu": true,
            "vision_cfg": {"image_size": 288, "layers": [4, 6, 10, 6], "width": 80, "patch_size": null},
            "text_cfg": {"width": 640, "heads": 10}}}"#;
        let config = config(json).unwrap();
        let VisionShape::ResNet(resnet) = config.vision else {
            panic!("{config:?}");
        };
        assert_eq!((resnet.width, resnet.heads), (80, 40));
        assert_eq!(config.text.transformer.heads, 10);
        assert_eq!(config.text.transformer.activation, Activation::QuickGelu);
    }

    #[test]
    fn heads_follow_from_their_width() {
        let json = r#"{"model_cfg": {"embed_dim": 1024,
            "vision_cfg": {"layers": 32, "width": 1280, "head_width": 80, "patch_size": 14, "mlp_ratio": 4.9231}}}"#;
        let VisionShape::Transformer(vision) = config(json).unwrap().vision else {
            panic!("no transformer");
        };
        assert_eq!(vision.transformer.heads, 16);
        assert_eq!(vision.transformer.inner_width, 6301);
        assert_eq!(vision.transformer.activation, Activation::Gelu);
    }

    #[test]
    fn rejects_towers_that_are_not_clips() {
        for (json, named) in [
            (
                r#""vision_cfg": {"timm_model_name": "convnext_base"}"#,
                "vision_cfg.timm_model_name",
            ),
            (
                r#""text_cfg": {"hf_model_name": "roberta-base"}"#,
                "text_cfg.hf_model_name",
            ),
            (
                r#""vision_cfg": {"no_ln_pre": true}"#,
                "vision_cfg.no_ln_pre",
            ),
            (
                r#""multimodal_cfg": {"width": 512}"#,
                "model_cfg.multimodal_cfg",
            ),
        ] {
            let json = format!(r#"{{"model_cfg": {{"embed_dim": 512, {json}}}}}"#);
            let message = config(&json).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
    }
}
