//! The transformers that sentence encoders are made of, by the `model_type` of their `config.json`.
//!
//! They differ in names, in what is added to a token's vector, and in MPNet's relative positions: `post_norm` has them all.

use std::path::{Path, PathBuf};

use candle_core::{Device, Result};
use rayon::prelude::*;
use serde::Deserialize;

use super::super::checkpoint::Checkpoint;
use super::super::config::{model_type, read_json};
use super::super::kernels::{Activation, items_per_task};
use super::super::placement::Opened;
use super::super::{EncoderError, Tokens, models};
use super::post_norm::{BUCKETS, PostNorm};

/// The families that can be run, as `model_type` spells them.
const FAMILIES: [(&str, Family); 5] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("mpnet", Family::Mpnet),
    ("distilbert", Family::DistilBert),
];

/// A kind of transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    /// RoBERTa and XLM-R, which differ in their tokeniser only.
    Roberta,
    Mpnet,
    DistilBert,
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
    pub(super) hidden_act: Activation,
    #[serde(default = "defaults::max_position_embeddings")]
    pub(super) max_position_embeddings: usize,
    #[serde(default = "defaults::type_vocab_size")]
    pub(super) type_vocab_size: usize,
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
            Err(EncoderError::config_value(path, field, got, expected))
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

    /// The token that fills rows up.
    pub(super) fn padding(&self) -> u32 {
        match self.family() {
            Family::Bert | Family::DistilBert => self.pad_token_id.unwrap_or(0),
            Family::Roberta => self.pad_token_id.unwrap_or(1),
            // Fixed in its code.
            Family::Mpnet => 1,
        }
    }

    /// Its kind.
    pub(super) fn family(&self) -> Family {
        let known = FAMILIES.iter().find(|(name, _)| *name == self.model_type);
        known.expect("checked by from_file").1
    }
}

/// A transformer: tokens to states.
pub(super) struct SentenceModel {
    network: PostNorm,
    width: usize,
    device: Device,
}

impl SentenceModel {
    /// Loads the transformer from weight files.
    ///
    /// # Errors
    /// [`EncoderError::Checkpoint`], [`EncoderError::MissingTensor`], [`EncoderError::TensorShape`].
    pub(super) fn load(
        weights: &[PathBuf],
        config: &SentenceConfig,
        opened: &Opened,
    ) -> std::result::Result<Self, EncoderError> {
        let checkpoint = Checkpoint::open(weights, opened)?;
        let weights = checkpoint.weights();
        // A checkpoint with a head keeps the transformer under the family's name.
        let prefix = ["", &config.model_type, "roberta"]
            .into_iter()
            .find(|name| weights.at(name).has("embeddings.word_embeddings.weight"));
        Ok(SentenceModel {
            network: PostNorm::load(&weights.at(prefix.unwrap_or_default()), config)?,
            width: config.hidden_size,
            device: opened.device.clone(),
        })
    }

    /// States of all tokens of each text, `(tokens, hidden size)`.
    pub(super) fn states(&self, texts: &[&Tokens]) -> Result<Vec<Vec<f32>>> {
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        if self.device.is_cpu() {
            let parts: Vec<Vec<Vec<f32>>> = texts
                .par_chunks(items_per_task(texts.len(), longest))
                .map(|texts| {
                    let states = self.network.run(texts)?;
                    let mut rest = &states[..];
                    let of_each = texts.iter().map(|text| {
                        let (this, after) = rest.split_at(text.ids.len() * self.width);
                        rest = after;
                        this.to_vec()
                    });
                    Ok(of_each.collect())
                })
                .collect::<Result<_>>()?;
            return Ok(parts.into_iter().flatten().collect());
        }
        if longest == 0 {
            return Ok(vec![Vec::new(); texts.len()]);
        }
        let states = self
            .network
            .forward(texts)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let rows = states.chunks_exact(longest * self.width).zip(texts);
        let of_each = rows.map(|(row, text)| row[..text.ids.len() * self.width].to_vec());
        Ok(of_each.collect())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn the_processor_computes_what_any_device_would() {
        let tokens = |ids: &[u32]| Tokens {
            ids: ids.into(),
            end: 0,
            types: vec![0; ids.len()],
            is_cut: false,
        };
        let texts = [
            tokens(&[2, 5, 7, 3]),
            tokens(&[2, 3]),
            tokens(&(2..12).collect::<Vec<_>>()),
        ];
        let texts: Vec<&Tokens> = texts.iter().collect();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sentence");
        for (family, config, weights) in [
            ("bert", "config.json", "model.safetensors"),
            ("distilbert", "config.json", "pytorch_model.bin"),
            ("mpnet", "config.json", "model.safetensors"),
            ("roberta/0_Transformer", "config.json", "model.safetensors"),
        ] {
            let folder = fixtures.join(family);
            let config = SentenceConfig::from_file(&folder.join(config)).unwrap();
            let weights = [folder.join(weights)];
            let load = |dtype| {
                let opened = Opened::processor(dtype);
                SentenceModel::load(&weights, &config, &opened).unwrap()
            };
            let model = load(DType::F32);
            let half = load(DType::F16).network.forward(&texts).unwrap();
            let fused = model.states(&texts).unwrap();
            let padded = model.network.forward(&texts).unwrap();
            let width = config.hidden_size;
            for (i, fused) in fused.iter().enumerate() {
                let row = padded
                    .get(i)
                    .and_then(|row| row.flatten_all()?.to_vec1::<f32>());
                let row = row.unwrap();
                assert_eq!(fused.len(), texts[i].ids.len() * width);
                let differences = fused.iter().zip(&row).map(|(a, b)| (a - b).abs());
                let largest = differences.fold(0.0, f32::max);
                assert!(largest < 2e-5, "{family}: {largest:e}");

                let row = half
                    .get(i)
                    .and_then(|row| row.flatten_all()?.to_vec1::<f32>());
                for (state, half) in fused.chunks(width).zip(row.unwrap().chunks(width)) {
                    let distance = 1.0 - cosine(state, half);
                    assert!(distance < 1e-4, "{family} in half precision: {distance:e}");
                }
            }
        }
    }
}
