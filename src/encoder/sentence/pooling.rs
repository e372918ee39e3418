//! From the states of a text's tokens to one vector: what follows the transformer in a sentence encoder.
//!
//! Notation: a text of `t` tokens has the states `x_1 ... x_t`. Several modes give their vectors one after the other.
//!
//! | mode | vector |
//! |---|---|
//! | `cls` | `x_1` |
//! | `max` | the largest of each coordinate |
//! | `mean` | `(x_1 + ... + x_t) / t` |
//! | `mean_sqrt_len_tokens` | `(x_1 + ... + x_t) / sqrt(t)` |
//! | `weightedmean` | `(1 x_1 + ... + t x_t) / (1 + ... + t)` |
//! | `lasttoken` | `x_t` |
//!
//! # References
//! 1. N. Reimers, I. Gurevych, *Sentence-BERT: sentence embeddings using Siamese BERT-networks*, EMNLP 2019, section 3.

use std::path::{Path, PathBuf};

use candle_core::{Device, Result, Tensor};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::Deserialize;

use super::super::EncoderError;
use super::super::checkpoint::Checkpoint;
use super::super::config::read_json;
use super::super::placement::Opened;
use super::super::rows::{to_rows, to_unit_rows};

/// How the states of a text become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Mode {
    #[serde(rename = "cls")]
    First,
    #[serde(rename = "max")]
    Max,
    #[serde(rename = "mean")]
    Mean,
    #[serde(rename = "mean_sqrt_len_tokens")]
    MeanSqrtLength,
    #[serde(rename = "weightedmean")]
    WeightedMean,
    #[serde(rename = "lasttoken")]
    Last,
}

/// `1_Pooling/config.json`, in its two spellings.
#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(alias = "embedding_dimension")]
    word_embedding_dimension: Option<usize>,
    pooling_mode: Option<Modes>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    include_prompt: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(Mode),
    Several(Vec<Mode>),
}

/// The states of tokens to one vector for each text.
#[derive(Clone, Debug)]
pub(super) struct Pooling {
    modes: Vec<Mode>,
    /// Whether the tokens of a prompt count.
    pub(super) includes_prompt: bool,
}

impl Pooling {
    /// What sentence-transformers does with a model that says nothing about pooling.
    pub(super) fn mean() -> Self {
        Pooling {
            modes: vec![Mode::Mean],
            includes_prompt: true,
        }
    }

    /// Reads `1_Pooling/config.json` for states of `width` coordinates.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::ConfigValue`].
    pub(super) fn from_file(path: &Path, width: usize) -> std::result::Result<Self, EncoderError> {
        let config: PoolingConfig = read_json(path)?;
        if let Some(got) = config.word_embedding_dimension.filter(|&got| got != width) {
            return Err(EncoderError::config_value(
                path,
                "word_embedding_dimension",
                got.to_string(),
                "hidden_size of the transformer",
            ));
        }
        let flags = [
            (config.pooling_mode_cls_token, Mode::First),
            (config.pooling_mode_max_tokens, Mode::Max),
            (config.pooling_mode_mean_tokens, Mode::Mean),
            (
                config.pooling_mode_mean_sqrt_len_tokens,
                Mode::MeanSqrtLength,
            ),
            (config.pooling_mode_weightedmean_tokens, Mode::WeightedMean),
            (config.pooling_mode_lasttoken, Mode::Last),
        ];
        let mut modes = match config.pooling_mode {
            Some(Modes::One(mode)) => vec![mode],
            Some(Modes::Several(modes)) => modes,
            None => flags
                .into_iter()
                .filter_map(|(on, mode)| on.then_some(mode))
                .collect(),
        };
        if modes.is_empty() {
            modes.push(Mode::Mean);
        }
        Ok(Pooling {
            modes,
            includes_prompt: config.include_prompt.unwrap_or(true),
        })
    }

    /// Number of coordinates of the result, for states of `width`.
    pub(super) fn dimension(&self, width: usize) -> usize {
        self.modes.len() * width
    }

    /// The states of each text, `(t, width)`, to `(b, dimension)`.
    ///
    /// The first `skipped` tokens of a text do not count; a text that has no others gives zeros.
    pub(super) fn pool(&self, texts: &[Vec<f32>], width: usize, skipped: usize) -> Array2<f32> {
        let mut out = Array2::zeros((texts.len(), self.dimension(width)));
        let rows = out.axis_iter_mut(Axis(0)).into_par_iter();
        rows.zip(texts).for_each(|(mut out, states)| {
            let shape = (states.len() / width, width);
            let states = ArrayView2::from_shape(shape, states).expect("whole rows");
            if skipped >= states.nrows() {
                return;
            }
            let length = states.nrows();
            let states = states.slice(s![skipped.., ..]);
            for (mode, out) in self.modes.iter().zip(
                out.as_slice_mut()
                    .into_iter()
                    .flat_map(|out| out.chunks_exact_mut(width)),
            ) {
                let pooled = match mode {
                    Mode::First => states.row(0).to_owned(),
                    Mode::Last => states.row(states.nrows() - 1).to_owned(),
                    Mode::Max => states.fold_axis(Axis(0), f32::NEG_INFINITY, |a, &b| a.max(b)),
                    Mode::Mean => states.sum_axis(Axis(0)) / states.nrows() as f32,
                    Mode::MeanSqrtLength => {
                        states.sum_axis(Axis(0)) / (states.nrows() as f32).sqrt()
                    }
                    Mode::WeightedMean => {
                        let weights = (skipped + 1..=length).map(|place| place as f32);
                        let weights: Array1<f32> = weights.collect();
                        weights.dot(&states) / weights.sum()
                    }
                };
                out.copy_from_slice(&pooled.to_vec());
            }
        });
        out
    }
}

/// A step after pooling.
pub(super) enum Step {
    /// Scales rows to unit length.
    Normalize,
    /// A matrix, a bias and an activation.
    Dense(Dense),
}

/// `activation(W x + b)`.
pub(super) struct Dense {
    linear: candle_nn::Linear,
    activation: DenseActivation,
    outputs: usize,
}

/// The activations that can stand behind a Dense module, by PyTorch's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum DenseActivation {
    #[default]
    #[serde(rename = "torch.nn.modules.activation.Tanh")]
    Tanh,
    #[serde(rename = "torch.nn.modules.linear.Identity")]
    Identity,
    #[serde(rename = "torch.nn.modules.activation.ReLU")]
    Relu,
    #[serde(rename = "torch.nn.modules.activation.GELU")]
    Gelu,
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default)]
    activation_function: DenseActivation,
    #[serde(default)]
    use_residual: bool,
}

fn yes() -> bool {
    true
}

impl Dense {
    /// Reads a Dense module that takes vectors of `inputs` coordinates.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::ConfigValue`], and those of the weights.
    pub(super) fn load(
        config_path: &Path,
        weights: &[PathBuf],
        inputs: usize,
        opened: &Opened,
    ) -> std::result::Result<Self, EncoderError> {
        let config: DenseConfig = read_json(config_path)?;
        let unusable = |field, got: String, expected| {
            Err(EncoderError::config_value(
                config_path,
                field,
                got,
                expected,
            ))
        };
        if config.in_features != inputs {
            let got = config.in_features.to_string();
            return unusable("in_features", got, "the outputs of the module before it");
        }
        if config.out_features == 0 {
            return unusable("out_features", "0".into(), "at least 1");
        }
        if config.use_residual {
            return unusable("use_residual", "true".into(), "false");
        }
        let checkpoint = Checkpoint::open(weights, opened)?;
        let linear = checkpoint.weights().at("linear");
        let weight = linear.tensor("weight", &[config.out_features, inputs])?;
        let bias = if config.bias {
            Some(linear.tensor("bias", &[config.out_features])?)
        } else {
            None
        };
        Ok(Dense {
            linear: candle_nn::Linear::new(weight, bias),
            activation: config.activation_function,
            outputs: config.out_features,
        })
    }
}

impl Step {
    /// Number of coordinates of the result, for vectors of `inputs`.
    pub(super) fn dimension(&self, inputs: usize) -> usize {
        match self {
            Step::Normalize => inputs,
            Step::Dense(dense) => dense.outputs,
        }
    }

    /// `(b, inputs)` to `(b, dimension)`.
    pub(super) fn forward(&self, mut x: Array2<f32>, device: &Device) -> Result<Array2<f32>> {
        match self {
            Step::Normalize => {
                to_unit_rows(&mut x);
                Ok(x)
            }
            Step::Dense(dense) => {
                let shape = x.dim();
                let x = Tensor::from_vec(x.into_raw_vec_and_offset().0, shape, device)?;
                let y = candle_nn::Module::forward(&dense.linear, &x)?;
                let y = match dense.activation {
                    DenseActivation::Tanh => y.tanh()?,
                    DenseActivation::Identity => y,
                    DenseActivation::Relu => y.relu()?,
                    DenseActivation::Gelu => y.gelu_erf()?,
                };
                to_rows(&y)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooling(json: &str) -> std::result::Result<Pooling, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        Pooling::from_file(&path, 2).map_err(|error| error.to_string())
    }

    /// Two texts of three tokens and one.
    fn states() -> [Vec<f32>; 2] {
        [vec![1.0, 2.0, 3.0, -2.0, 5.0, 9.0], vec![4.0, 6.0]]
    }

    #[test]
    fn each_mode_is_its_formula() {
        let third = 3.0_f32.sqrt();
        for (mode, expected) in [
            ("cls", [1.0, 2.0]),
            ("max", [5.0, 9.0]),
            ("mean", [3.0, 3.0]),
            ("mean_sqrt_len_tokens", [9.0 / third, 9.0 / third]),
            ("weightedmean", [22.0 / 6.0, 25.0 / 6.0]),
            ("lasttoken", [5.0, 9.0]),
        ] {
            let pooling = pooling(&format!(r#"{{"pooling_mode": "{mode}"}}"#)).unwrap();
            let pooled = pooling.pool(&states(), 2, 0);
            for (got, expected) in pooled.row(0).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{mode}: {pooled}");
            }
            assert_eq!(pooled.row(1).to_vec(), [4.0, 6.0], "{mode}");
        }
    }

    #[test]
    fn old_flags_and_new_names_agree_on_the_order() {
        let flags = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#;
        let names = r#"{"pooling_mode": ["cls", "mean"]}"#;
        let old = pooling(flags).unwrap();
        assert_eq!(old.modes, [Mode::First, Mode::Mean]);
        assert_eq!(old.modes, pooling(names).unwrap().modes);
        assert_eq!(pooling("{}").unwrap().modes, [Mode::Mean]);
        assert_eq!(old.dimension(2), 4);
    }

    #[test]
    fn a_text_that_is_all_prompt_gives_zeros() {
        let pooled = Pooling::mean().pool(&states(), 2, 2);
        assert_eq!(pooled.row(0).to_vec(), [5.0, 9.0]);
        assert_eq!(pooled.row(1).to_vec(), [0.0, 0.0]);
    }

    #[test]
    fn rejects_a_pooling_for_another_width() {
        let message = pooling(r#"{"word_embedding_dimension": 384}"#).unwrap_err();
        assert!(
            message.ends_with(
                "word_embedding_dimension is 384, expected hidden_size of the transformer"
            ),
            "{message}"
        );
    }
}
