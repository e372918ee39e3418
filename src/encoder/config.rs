//! The towers' sizes, from Hugging Face's `config.json` or from the shapes of the weights.
//!
//! Files may leave out any field that has its usual value; the defaults are those of transformers' `CLIPTextConfig` and
//! `CLIPVisionConfig`, that is ViT-B/32.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::checkpoint::Weights;
use super::files::{CONFIG, OPEN_CLIP_CONFIG};
use super::kernels::Activation;
use super::modified_resnet::{self, ModifiedResNetShape};
use super::naming::Naming;
use super::text_transformer::TextTransformerShape;
use super::transformer::TransformerShape;
use super::vision_transformer::VisionTransformerShape;
use super::{EncoderError, models};

/// The one value of `model_type` that these towers are for.
pub(super) const CLIP: &str = "clip";

/// Coordinates of a head in all of OpenAI's models.
const HEAD_WIDTH: usize = 64;

/// The widest transformer of OpenAI's: wider ones have heads of other widths.
const WIDEST: usize = 1024;

/// Largest size that is believed: a damaged file must not make us reserve memory that no model needs.
pub(super) const LARGEST: usize = 1 << 20;

/// Largest side of an image that a tower is believed to see, in pixels.
pub(super) const LARGEST_IMAGE: usize = 4096;

/// Sizes of both towers, whatever file they come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClipConfig {
    /// Number of coordinates of an embedding.
    pub(super) dimension: usize,
    pub(super) text: TextTransformerShape,
    pub(super) vision: VisionShape,
}

/// Sizes of the vision tower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum VisionShape {
    Transformer(VisionTransformerShape),
    ResNet(ModifiedResNetShape),
}

impl VisionShape {
    /// Side of the square that the tower sees, in pixels.
    pub(super) fn image_size(&self) -> usize {
        match self {
            VisionShape::Transformer(shape) => shape.image_size,
            VisionShape::ResNet(shape) => shape.image_size,
        }
    }
}

/// `config.json` of a CLIP model.
#[derive(Debug, Deserialize)]
struct File {
    model_type: Option<String>,
    projection_dim: Option<usize>,
    #[serde(default)]
    text_config: TextFields,
    #[serde(default)]
    vision_config: VisionFields,
    /// In old files; overrides `text_config`, as in transformers.
    text_config_dict: Option<TextFields>,
    /// In old files; overrides `vision_config`.
    vision_config_dict: Option<VisionFields>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct TextFields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: Activation,
    layer_norm_eps: f64,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct VisionFields {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: Activation,
    layer_norm_eps: f64,
}

impl Default for TextFields {
    fn default() -> Self {
        TextFields {
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

impl Default for VisionFields {
    fn default() -> Self {
        VisionFields {
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

/// The one field that says what a `config.json` is about.
#[derive(Deserialize)]
struct Kind {
    model_type: Option<String>,
}

/// The `model_type` of a `config.json`, if it names one.
///
/// # Errors
/// [`EncoderError::Unreadable`], [`EncoderError::Json`].
pub(super) fn model_type(path: &Path) -> Result<Option<String>, EncoderError> {
    read_json::<Kind>(path).map(|kind| kind.model_type)
}

impl ClipConfig {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::UnsupportedArchitecture`] if the file is of
    /// another kind of model, [`EncoderError::ConfigValue`] if sizes contradict each other.
    pub(super) fn from_file(path: &Path) -> Result<Self, EncoderError> {
        let File {
            model_type,
            projection_dim,
            text_config,
            vision_config,
            text_config_dict,
            vision_config_dict,
        } = read_json(path)?;
        let text = text_config_dict.unwrap_or(text_config);
        let vision = vision_config_dict.unwrap_or(vision_config);
        let kind = model_type.as_deref().unwrap_or("not named");
        if kind != CLIP {
            return Err(EncoderError::UnsupportedArchitecture {
                model: path.display().to_string(),
                architecture: format!("the architecture \"{kind}\""),
                known: models::names(),
            });
        }
        if vision.num_channels != 3 {
            return Err(EncoderError::config_value(
                path,
                "vision_config.num_channels",
                vision.num_channels.to_string(),
                "3",
            ));
        }
        let config = ClipConfig {
            dimension: projection_dim.unwrap_or(512),
            text: TextTransformerShape {
                vocabulary: text.vocab_size,
                context_length: text.max_position_embeddings,
                transformer: TransformerShape {
                    layers: text.num_hidden_layers,
                    width: text.hidden_size,
                    heads: text.num_attention_heads,
                    inner_width: text.intermediate_size,
                    activation: text.hidden_act,
                    epsilon: text.layer_norm_eps,
                },
            },
            vision: VisionShape::Transformer(VisionTransformerShape {
                image_size: vision.image_size,
                patch_size: vision.patch_size,
                transformer: TransformerShape {
                    layers: vision.num_hidden_layers,
                    width: vision.hidden_size,
                    heads: vision.num_attention_heads,
                    inner_width: vision.intermediate_size,
                    activation: vision.hidden_act,
                    epsilon: vision.layer_norm_eps,
                },
            }),
        };
        config.check(path)?;
        Ok(config)
    }

    /// What the shapes of the weights in `path` tell; what they do not tell is as in OpenAI's models.
    ///
    /// # Errors
    /// [`EncoderError::MissingFile`] if the weights are in Hugging Face's layout, whose models differ in what shapes do not
    /// tell; [`EncoderError::MissingTensor`], [`EncoderError::ConfigValue`] if they are not those of a CLIP model.
    pub(super) fn from_weights(weights: &Weights<'_>, path: &Path) -> Result<Self, EncoderError> {
        if weights.naming() == Naming::HuggingFace {
            return Err(EncoderError::MissingFile {
                folder: path.parent().unwrap_or(path).into(),
                file: CONFIG.into(),
            });
        }
        let shape = |name: &str| matrix(weights, name);
        let transformer = |tower: &str, width: usize| {
            if width > WIDEST {
                return Err(EncoderError::MissingFile {
                    folder: path.parent().unwrap_or(path).into(),
                    file: OPEN_CLIP_CONFIG.into(),
                });
            }
            let layers = weights.count(&format!("{tower}.encoder.layers"));
            Ok::<_, EncoderError>(TransformerShape {
                layers,
                width,
                heads: width / HEAD_WIDTH,
                inner_width: shape(&format!("{tower}.encoder.layers.0.mlp.fc1.weight"))?.0,
                activation: Activation::QuickGelu,
                epsilon: 1e-5,
            })
        };
        let (vocabulary, text_width) = shape("text_model.embeddings.token_embedding.weight")?;
        let (context_length, _) = shape("text_model.embeddings.position_embedding.weight")?;
        let (dimension, _) = shape("text_projection.weight")?;
        let vision = if modified_resnet::is_in(weights) {
            VisionShape::ResNet(ModifiedResNetShape::from_weights(weights)?)
        } else {
            let (positions, width) = shape("vision_model.embeddings.position_embedding.weight")?;
            let patch = weights.shape("vision_model.embeddings.patch_embedding.weight")?;
            let patch_size = patch.last().copied().unwrap_or(0);
            VisionShape::Transformer(VisionTransformerShape {
                image_size: patch_size * positions.saturating_sub(1).isqrt(),
                patch_size,
                transformer: transformer("vision_model", width)?,
            })
        };
        let config = ClipConfig {
            dimension,
            text: TextTransformerShape {
                vocabulary,
                context_length,
                transformer: transformer("text_model", text_width)?,
            },
            vision,
        };
        config.check(path)?;
        Ok(config)
    }

    /// Refuses sizes that contradict each other, in the words of `config.json`.
    pub(super) fn check(&self, path: &Path) -> Result<(), EncoderError> {
        let unusable = |field, got: usize, expected| {
            Err(EncoderError::config_value(path, field, got, expected))
        };
        let (text, vision) = (&self.text, &self.vision);
        let mut sizes = vec![
            ("the dimension of embeddings", self.dimension),
            ("the size of the vocabulary", text.vocabulary),
        ];
        let mut heads = Vec::new();
        let mut transformer = |tower: [&'static str; 3], shape: &TransformerShape| {
            sizes.extend([(tower[0], shape.width), (tower[1], shape.inner_width)]);
            heads.push((tower[2], shape.width, shape.heads));
        };
        transformer(
            [
                "the width of the text tower",
                "the inner width of the text tower",
                "the number of attention heads of the text tower",
            ],
            &text.transformer,
        );
        match vision {
            VisionShape::Transformer(vision) => {
                transformer(
                    [
                        "the width of the vision tower",
                        "the inner width of the vision tower",
                        "the number of attention heads of the vision tower",
                    ],
                    &vision.transformer,
                );
                if vision.patch_size == 0 || vision.image_size < vision.patch_size {
                    let got = vision.patch_size;
                    return unusable("the patch size", got, "1 to the image size");
                }
            }
            VisionShape::ResNet(vision) => {
                sizes.push(("the width of the vision tower", vision.width));
                sizes.extend(
                    vision
                        .blocks
                        .map(|blocks| ("the blocks of a stage", blocks)),
                );
                if vision.image_size < 32 {
                    return unusable("the image size", vision.image_size, "at least 32");
                }
                if vision.width % 2 != 0 {
                    return unusable(
                        "the width of the vision tower",
                        vision.width,
                        "an even number",
                    );
                }
                heads.push((
                    "the number of attention heads of the vision tower",
                    vision.features(),
                    vision.heads,
                ));
            }
        }
        if vision.image_size() > LARGEST_IMAGE {
            return unusable("the image size", vision.image_size(), "at most 4096");
        }
        if !(2..=LARGEST).contains(&text.context_length) {
            let got = text.context_length;
            return unusable("the context length of the text tower", got, "2 to 1048576");
        }
        if let Some((field, got)) = sizes
            .into_iter()
            .find(|(_, size)| !(1..=LARGEST).contains(size))
        {
            return unusable(field, got, "1 to 1048576");
        }
        for (field, width, heads) in heads {
            if heads == 0 || width % heads != 0 {
                return unusable(field, heads, "a divisor of the tower's width");
            }
        }
        Ok(())
    }
}

/// The two sides of a matrix.
fn matrix(weights: &Weights<'_>, name: &str) -> Result<(usize, usize), EncoderError> {
    match weights.shape(name)?[..] {
        [rows, columns] => Ok((rows, columns)),
        _ => Ok((0, 0)),
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
        assert_eq!(config.dimension, 512);
        let VisionShape::Transformer(vision) = config.vision else {
            panic!("{config:?}");
        };
        assert_eq!(vision.patch_size, 16);
        assert_eq!(vision.transformer.inner_width, 3072);
        assert_eq!(config.text.transformer.heads, 8);
        assert_eq!(config.text.transformer.activation, Activation::QuickGelu);
    }

    #[test]
    fn rejects_another_architecture() {
        let message = config(r#"{"model_type": "siglip2"}"#).unwrap_err();
        assert!(
            message.contains("needs the architecture \"siglip2\", which is not built"),
            "{message}"
        );
    }

    #[test]
    fn rejects_an_unknown_activation() {
        let json = r#"{"model_type": "clip", "text_config": {"hidden_act": "swish"}}"#;
        let message = config(json).unwrap_err();
        assert!(message.contains("unknown variant `swish`"), "{message}");
    }

    #[test]
    fn rejects_heads_that_do_not_divide_the_width() {
        let json = r#"{"model_type": "clip", "text_config": {"num_attention_heads": 7}}"#;
        let message = config(json).unwrap_err();
        let expected = "the number of attention heads of the text tower is 7, expected a divisor of the tower's width";
        assert!(message.ends_with(expected), "{message}");
    }
}
