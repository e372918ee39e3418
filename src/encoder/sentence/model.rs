//! The transformers that sentence encoders are made of, by the `model_type` of their `config.json`.
//!
//! `bert`, `roberta` and `xlm-roberta` are those of candle-transformers; `mpnet` and `distilbert` are in `post_norm`.

use std::path::{Path, PathBuf};

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{bert, xlm_roberta};
use serde::Deserialize;

use super::super::checkpoint::Checkpoint;
use super::super::config::{model_type, read_json};
use super::super::var_builder::with_var_builder;
use super::super::{EncoderError, Tokens, models};
use super::post_norm::{BUCKETS, PostNorm, PostNormKind};

/// The families that can be run, as `model_type` spells them.
const FAMILIES: [(&str, Family); 5] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("mpnet", Family::Mpnet),
    ("distilbert", Family::DistilBert),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Bert,
    /// RoBERTa and XLM-R, which differ in their tokeniser only.
    Roberta,
    Mpnet,
    DistilBert,
}

/// The non-linearity of the perceptrons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in super::super) enum HiddenActivation {
    /// By the error function.
    #[default]
    #[serde(rename = "gelu")]
    Gelu,
    /// By the hyperbolic tangent.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    #[serde(rename = "relu")]
    Relu,
}

/// `config.json` of a model of the BERT family; DistilBERT has names of its own for the same sizes.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SentenceConfig {
    model_type: String,
    pub(super) vocab_size: usize,
    #[serde(alias = "dim")]
    pub(super) hidden_size: usize,
    #[serde(alias = "n_layers")]
    pub(super) num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    pub(super) num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    pub(super) intermediate_size: usize,
    #[serde(alias = "activation", default)]
    pub(super) hidden_act: HiddenActivation,
    #[serde(default = "defaults::max_position_embeddings")]
    pub(super) max_position_embeddings: usize,
    #[serde(default = "defaults::type_vocab_size")]
    type_vocab_size: usize,
    #[serde(default = "defaults::layer_norm_eps")]
    pub(super) layer_norm_eps: f64,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default = "defaults::buckets")]
    relative_attention_num_buckets: usize,
}

/// What transformers takes for a field that is left out.
mod defaults {
    pub(super) fn max_position_embeddings() -> usize {
        512
    }
    pub(super) fn type_vocab_size() -> usize {
        2
    }
    pub(super) fn layer_norm_eps() -> f64 {
        1e-12
    }
    pub(super) fn buckets() -> usize {
        super::BUCKETS
    }
}

/// Whether a `model_type` is of the BERT family.
pub(in super::super) fn is_family(model_type: &str) -> bool {
    FAMILIES.iter().any(|(name, _)| *name == model_type)
}

impl SentenceConfig {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::UnsupportedArchitecture`],
    /// [`EncoderError::ConfigValue`].
    pub(super) fn from_file(path: &Path) -> std::result::Result<Self, EncoderError> {
        let kind = model_type(path)?.unwrap_or_else(|| "not named".into());
        if !is_family(&kind) {
            return Err(EncoderError::UnsupportedArchitecture {
                model: path.display().to_string(),
                architecture: format!("the architecture \"{kind}\""),
                known: models::names(),
            });
        }
        let config: SentenceConfig = read_json(path)?;
        let unusable = |field, got: String, expected| {
            Err(EncoderError::ConfigValue {
                path: path.into(),
                field,
                got,
                expected,
            })
        };
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        if width == 0 || heads == 0 || width % heads != 0 {
            return unusable(
                "num_attention_heads",
                heads.to_string(),
                "a divisor of hidden_size",
            );
        }
        if config.context() < 3 {
            return unusable(
                "max_position_embeddings",
                config.max_position_embeddings.to_string(),
                "room for at least 3 tokens",
            );
        }
        if config.padding() as usize >= config.vocab_size {
            return unusable(
                "pad_token_id",
                config.padding().to_string(),
                "less than vocab_size",
            );
        }
        if let Some(kind) = config.position_embedding_type.as_deref()
            && kind != "absolute"
        {
            return unusable("position_embedding_type", kind.into(), "absolute");
        }
        if config.relative_attention_num_buckets != BUCKETS {
            return unusable(
                "relative_attention_num_buckets",
                config.relative_attention_num_buckets.to_string(),
                "32",
            );
        }
        Ok(config)
    }

    /// The largest number of tokens that there are positions for.
    pub(super) fn context(&self) -> usize {
        let before_first = match self.family() {
            Family::Bert | Family::DistilBert => 0,
            Family::Roberta | Family::Mpnet => self.padding() as usize + 1,
        };
        self.max_position_embeddings.saturating_sub(before_first)
    }

    /// Number of segments that tokens can belong to; 0 if the model does not ask.
    pub(super) fn segments(&self) -> usize {
        match self.family() {
            Family::Bert => self.type_vocab_size,
            Family::Roberta | Family::Mpnet | Family::DistilBert => 0,
        }
    }

    fn padding(&self) -> u32 {
        match self.family() {
            Family::Bert | Family::DistilBert => self.pad_token_id.unwrap_or(0),
            Family::Roberta => self.pad_token_id.unwrap_or(1),
            // Fixed in its code.
            Family::Mpnet => 1,
        }
    }

    fn family(&self) -> Family {
        let known = FAMILIES.iter().find(|(name, _)| *name == self.model_type);
        known.expect("checked by from_file").1
    }
}

impl From<HiddenActivation> for candle_nn::Activation {
    fn from(activation: HiddenActivation) -> Self {
        match activation {
            HiddenActivation::Gelu => candle_nn::Activation::Gelu,
            HiddenActivation::GeluTanh => candle_nn::Activation::NewGelu,
            HiddenActivation::Relu => candle_nn::Activation::Relu,
        }
    }
}

/// Tokens of several texts, padded to the longest.
pub(super) struct TokenRows {
    /// Ids, `(count, width)`.
    pub(super) ids: Vec<u32>,
    /// Segments, `(count, width)`.
    types: Vec<u32>,
    /// Number of tokens of each row.
    pub(super) lengths: Vec<usize>,
    pub(super) count: usize,
    pub(super) width: usize,
}

/// A transformer: tokens to states.
pub(super) struct SentenceModel {
    network: Network,
    padding: u32,
    device: Device,
}

enum Network {
    Bert(bert::BertModel),
    Roberta(xlm_roberta::XLMRobertaModel),
    PostNorm(PostNorm),
}

impl SentenceModel {
    /// Loads the transformer from a weight file.
    ///
    /// # Errors
    /// [`EncoderError::Checkpoint`], [`EncoderError::MissingTensor`], [`EncoderError::TensorShape`].
    pub(super) fn load(
        weights: &[PathBuf],
        config: &SentenceConfig,
        device: &Device,
    ) -> std::result::Result<Self, EncoderError> {
        let checkpoint = Checkpoint::open(weights, device)?;
        let weights = checkpoint.weights();
        // A checkpoint with a head keeps the transformer under the family's name.
        let prefix = ["", &config.model_type, "roberta"]
            .into_iter()
            .find(|name| {
                let norm = weights.at(name).at("embeddings.LayerNorm");
                norm.has("weight") || norm.has("gamma")
            });
        let network = with_var_builder(weights.at(prefix.unwrap_or_default()), |weights| {
            Network::load(&weights, config)
        })?;
        Ok(SentenceModel {
            network,
            padding: config.padding(),
            device: device.clone(),
        })
    }

    /// Pads the tokens of a batch.
    pub(super) fn pad(&self, tokens: &[&Tokens]) -> TokenRows {
        let lengths: Vec<usize> = tokens.iter().map(|row| row.ids.len()).collect();
        let width = lengths.iter().copied().max().unwrap_or(0);
        let mut ids = vec![self.padding; tokens.len() * width];
        let mut types = vec![0; tokens.len() * width];
        for (i, row) in tokens.iter().enumerate() {
            ids[i * width..][..row.ids.len()].copy_from_slice(&row.ids);
            types[i * width..][..row.types.len()].copy_from_slice(&row.types);
        }
        TokenRows {
            ids,
            types,
            lengths,
            count: tokens.len(),
            width,
        }
    }

    /// States of all tokens, `(count, width, hidden size)`.
    pub(super) fn forward(&self, rows: &TokenRows) -> Result<Tensor> {
        let (count, width) = (rows.count, rows.width);
        let visible = rows
            .lengths
            .iter()
            .flat_map(|&length| (0..width).map(move |at| if at < length { 1.0_f32 } else { 0.0 }));
        let visible = Tensor::from_iter(visible, &self.device)?.reshape((count, width))?;
        let ids = || Tensor::from_slice(&rows.ids, (count, width), &self.device);
        let types = || Tensor::from_slice(&rows.types, (count, width), &self.device);
        match &self.network {
            Network::Bert(model) => model.forward(&ids()?, &types()?, Some(&visible)),
            Network::Roberta(model) => {
                model.forward(&ids()?, &visible, &types()?, None, None, None)
            }
            Network::PostNorm(model) => {
                let mask = ((visible - 1.0)? * f64::from(f32::MAX))?;
                model.forward(rows, &mask.reshape((count, 1, 1, width))?)
            }
        }
    }
}

impl Network {
    fn load(weights: &VarBuilder<'_>, config: &SentenceConfig) -> Result<Self> {
        match config.family() {
            Family::Bert => {
                let config = bert::Config {
                    vocab_size: config.vocab_size,
                    hidden_size: config.hidden_size,
                    num_hidden_layers: config.num_hidden_layers,
                    num_attention_heads: config.num_attention_heads,
                    intermediate_size: config.intermediate_size,
                    hidden_act: match config.hidden_act {
                        HiddenActivation::Gelu => bert::HiddenAct::Gelu,
                        HiddenActivation::GeluTanh => bert::HiddenAct::GeluApproximate,
                        HiddenActivation::Relu => bert::HiddenAct::Relu,
                    },
                    max_position_embeddings: config.max_position_embeddings,
                    type_vocab_size: config.type_vocab_size,
                    layer_norm_eps: config.layer_norm_eps,
                    pad_token_id: config.padding() as usize,
                    // The prefix is known: a second try with another would hide the first error.
                    model_type: None,
                    ..bert::Config::default()
                };
                bert::BertModel::load(weights.clone(), &config).map(Network::Bert)
            }
            Family::Roberta => {
                let config = xlm_roberta::Config {
                    hidden_size: config.hidden_size,
                    layer_norm_eps: config.layer_norm_eps,
                    attention_probs_dropout_prob: 0.0,
                    hidden_dropout_prob: 0.0,
                    num_attention_heads: config.num_attention_heads,
                    position_embedding_type: "absolute".into(),
                    intermediate_size: config.intermediate_size,
                    hidden_act: config.hidden_act.into(),
                    num_hidden_layers: config.num_hidden_layers,
                    vocab_size: config.vocab_size,
                    max_position_embeddings: config.max_position_embeddings,
                    type_vocab_size: config.type_vocab_size,
                    pad_token_id: config.padding(),
                };
                xlm_roberta::XLMRobertaModel::new(&config, weights.clone()).map(Network::Roberta)
            }
            Family::Mpnet => {
                PostNorm::load(weights, config, PostNormKind::Mpnet).map(Network::PostNorm)
            }
            Family::DistilBert => {
                PostNorm::load(weights, config, PostNormKind::DistilBert).map(Network::PostNorm)
            }
        }
    }
}
