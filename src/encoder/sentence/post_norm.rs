//! The transformer of the BERT family: the norm after each residual.
//!
//! Notation: `b` texts of `t` tokens, `w` coordinates. A block computes
//! `x <- norm(x + attention(x))`, then `x <- norm(x + perceptron(x))`. BERT adds to each token a vector of its segment;
//! RoBERTa, XLM-R and MPNet count positions from behind the padding token's id; MPNet adds to each score a bias that
//! depends on how far apart two tokens are.
//!
//! # References
//! 1. J. Devlin et al., *BERT: pre-training of deep bidirectional transformers*, NAACL 2019.
//! 2. Y. Liu et al., *RoBERTa: a robustly optimized BERT pretraining approach*, 2019, arXiv:1907.11692.
//! 3. K. Song et al., *MPNet: masked and permuted pre-training for language understanding*, NeurIPS 2020.
//! 4. V. Sanh et al., *DistilBERT, a distilled version of BERT*, 2019, arXiv:1910.01108.
//! 5. C. Raffel et al., *Exploring the limits of transfer learning with a unified text-to-text transformer*, JMLR 2020,
//!    section 2.1: relative positions in buckets that widen with the distance.

use candle_core::{DType, Result, Tensor};

use super::super::any_device::{self, Mask};
use super::super::attention::{Attention, attention};
use super::super::checkpoint::Weights;
use super::super::kernels::{self, Activation, floats};
use super::super::transformer::{LayerNorm, Linear};
use super::super::{EncoderError, Tokens};
use super::model::{Family, SentenceConfig};

/// Buckets of relative positions, half of them for either direction; MPNet ignores what its configuration says.
pub(super) const BUCKETS: usize = 32;

/// The distance from which on all positions share the last bucket.
const FURTHEST: f32 = 128.0;

/// The names of a block's parts.
struct Names {
    blocks: &'static str,
    queries: &'static str,
    keys: &'static str,
    values: &'static str,
    attention_out: &'static str,
    attention_norm: &'static str,
    perceptron_in: &'static str,
    perceptron_out: &'static str,
    perceptron_norm: &'static str,
}

const BERT: Names = Names {
    blocks: "encoder.layer",
    queries: "attention.self.query",
    keys: "attention.self.key",
    values: "attention.self.value",
    attention_out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    perceptron_in: "intermediate.dense",
    perceptron_out: "output.dense",
    perceptron_norm: "output.LayerNorm",
};

const MPNET: Names = Names {
    queries: "attention.attn.q",
    keys: "attention.attn.k",
    values: "attention.attn.v",
    attention_out: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    ..BERT
};

const DISTILBERT: Names = Names {
    blocks: "transformer.layer",
    queries: "attention.q_lin",
    keys: "attention.k_lin",
    values: "attention.v_lin",
    attention_out: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    perceptron_in: "ffn.lin1",
    perceptron_out: "ffn.lin2",
    perceptron_norm: "output_layer_norm",
};

/// A transformer of the BERT family without a head.
pub(super) struct PostNorm {
    /// `(vocabulary, w)`.
    tokens: Tensor,
    /// `(positions, w)`.
    positions: Tensor,
    /// `(segments, w)`.
    segments: Option<Tensor>,
    norm: LayerNorm,
    blocks: Vec<Block>,
    /// `(BUCKETS, h)`.
    relative: Option<Tensor>,
    /// The padding token, where positions are counted from behind its id.
    padding: Option<u32>,
}

impl PostNorm {
    /// Loads the transformer.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        config: &SentenceConfig,
    ) -> std::result::Result<Self, EncoderError> {
        let family = config.family();
        let (names, epsilon) = match family {
            Family::Bert | Family::Roberta => (&BERT, config.layer_norm_eps),
            Family::Mpnet => (&MPNET, config.layer_norm_eps),
            // Its code names this number, its configuration does not.
            Family::DistilBert => (&DISTILBERT, 1e-12),
        };
        let w = config.hidden_size;
        let embeddings = weights.at("embeddings");
        let table = |name: &str, rows| embeddings.tensor(name, &[rows, w]);
        let blocks = weights.at(names.blocks);
        let block =
            |layer: usize| Block::load(&blocks.at(&layer.to_string()), config, names, epsilon);
        let relative = "encoder.relative_attention_bias.weight";
        Ok(PostNorm {
            tokens: table("word_embeddings.weight", config.vocab_size)?,
            positions: table("position_embeddings.weight", config.max_position_embeddings)?,
            segments: match family {
                Family::Bert | Family::Roberta => Some(table(
                    "token_type_embeddings.weight",
                    config.type_vocab_size,
                )?),
                Family::Mpnet | Family::DistilBert => None,
            },
            norm: LayerNorm::load(&embeddings.at("LayerNorm"), w, epsilon)?,
            blocks: (0..config.num_hidden_layers)
                .map(block)
                .collect::<std::result::Result<_, _>>()?,
            relative: match family {
                Family::Mpnet => {
                    Some(weights.tensor(relative, &[BUCKETS, config.num_attention_heads])?)
                }
                _ => None,
            },
            padding: match family {
                Family::Roberta | Family::Mpnet => Some(config.padding()),
                Family::Bert | Family::DistilBert => None,
            },
        })
    }

    /// On the processor and this thread: states of all tokens of the texts, one text after the other, `(tokens, w)`.
    pub(super) fn run(&self, texts: &[&Tokens]) -> Result<Vec<f32>> {
        let w = self.tokens.dim(1)?;
        let (tokens, positions) = (floats(&self.tokens)?, floats(&self.positions)?);
        let segments = self.segments.as_ref().map(floats).transpose()?;
        let mut x = Vec::new();
        for text in texts {
            for (i, (&id, position)) in text.ids.iter().zip(self.positions_of(text)).enumerate() {
                let at = x.len();
                x.extend_from_slice(row(&tokens, w, id)?);
                add(&mut x[at..], row(&positions, w, position)?);
                if let Some(segments) = &segments {
                    let segment = text.types.get(i).copied().unwrap_or(0);
                    add(&mut x[at..], row(segments, w, segment)?);
                }
            }
        }
        let mut normed = vec![0.0; x.len()];
        self.norm.run(&x, &mut normed)?;
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let relative = self.relative(lengths.iter().copied().max().unwrap_or(0))?;
        let relative = relative.as_ref().map(floats).transpose()?;
        let mut buffers = Buffers::default();
        for block in &self.blocks {
            block.run(&mut normed, &lengths, relative.as_deref(), &mut buffers)?;
        }
        Ok(normed)
    }

    /// On any device: states of the texts, each padded to the longest, `(b, t, w)`.
    pub(super) fn forward(&self, texts: &[&Tokens]) -> Result<Tensor> {
        let device = self.tokens.device();
        let b = texts.len();
        let t = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let padded = |values: &dyn Fn(&Tokens) -> Vec<u32>| {
            let rows = texts.iter().flat_map(|text| {
                let mut row = values(text);
                row.resize(t, 0);
                row
            });
            Tensor::from_iter(rows, device)
        };
        let mut x = self
            .tokens
            .index_select(&padded(&|text| text.ids.clone())?, 0)?;
        let positions = padded(&|text| self.positions_of(text))?;
        x = (x + self.positions.index_select(&positions, 0)?)?;
        if let Some(segments) = &self.segments {
            x = (x + segments.index_select(&padded(&|text| text.types.clone())?, 0)?)?;
        }
        let mut x = self.norm.forward(&x, DType::F32)?;
        let visible = texts
            .iter()
            .flat_map(|text| (0..t).map(|at| if at < text.ids.len() { 0.0 } else { f32::MIN }));
        let mut mask = Tensor::from_iter(visible, device)?.reshape((b, 1, 1, t))?;
        if let Some(relative) = self.relative(t)? {
            mask = mask.broadcast_add(&relative.unsqueeze(0)?)?;
        }
        for block in &self.blocks {
            x = block.forward(&x, (b, t), &mask)?;
        }
        x.reshape((b, t, self.tokens.dim(1)?))
    }

    /// The row of each token in the table of positions.
    fn positions_of(&self, text: &Tokens) -> Vec<u32> {
        let Some(padding) = self.padding else {
            return (0..text.ids.len() as u32).collect();
        };
        let mut last = padding;
        let position = |&id: &u32| {
            if id == padding {
                return padding;
            }
            last += 1;
            last
        };
        text.ids.iter().map(position).collect()
    }

    /// What is added to the scores of each head, query and key, `(h, t, t)`: reference 5, in single precision as PyTorch
    /// computes it.
    fn relative(&self, tokens: usize) -> Result<Option<Tensor>> {
        let Some(relative) = &self.relative else {
            return Ok(None);
        };
        let pairs = (0..tokens).flat_map(|query| (0..tokens).map(move |key| bucket(query, key)));
        let pairs = Tensor::from_iter(pairs, relative.device())?;
        let heads = relative.dim(1)?;
        let values = relative.index_select(&pairs, 0)?;
        let values = values.t()?.reshape((heads, tokens, tokens))?;
        values.contiguous().map(Some)
    }
}

fn row(table: &[f32], width: usize, at: u32) -> Result<&[f32]> {
    match table.chunks_exact(width).nth(at as usize) {
        Some(row) => Ok(row),
        None => candle_core::bail!("a table of {} rows has no row {at}", table.len() / width),
    }
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// The bucket of a pair.
fn bucket(query: usize, key: usize) -> u32 {
    const ONE_WAY: u32 = BUCKETS as u32 / 2;
    const EXACT: u32 = ONE_WAY / 2;
    let distance = query.abs_diff(key) as u32;
    let bucket = if distance < EXACT {
        distance
    } else {
        let exact = EXACT as f32;
        let widths = (distance as f32 / exact).ln() / (FURTHEST / exact).ln();
        (EXACT + (widths * (ONE_WAY - EXACT) as f32) as u32).min(ONE_WAY - 1)
    };
    if key > query {
        bucket + ONE_WAY
    } else {
        bucket
    }
}

/// What a task keeps from block to block.
#[derive(Default)]
struct Buffers {
    narrow: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
}

struct Block {
    queries_keys_values: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    perceptron_in: Linear,
    perceptron_out: Linear,
    perceptron_norm: LayerNorm,
    heads: usize,
    activation: Activation,
}

impl Block {
    fn load(
        weights: &Weights<'_>,
        config: &SentenceConfig,
        names: &Names,
        epsilon: f64,
    ) -> std::result::Result<Self, EncoderError> {
        let (w, inner) = (config.hidden_size, config.intermediate_size);
        let parts = [names.queries, names.keys, names.values].map(|name| weights.at(name));
        Ok(Block {
            queries_keys_values: Linear::load_side_by_side(&parts, w, w)?,
            attention_out: Linear::load(&weights.at(names.attention_out), w, w)?,
            attention_norm: LayerNorm::load(&weights.at(names.attention_norm), w, epsilon)?,
            perceptron_in: Linear::load(&weights.at(names.perceptron_in), w, inner)?,
            perceptron_out: Linear::load(&weights.at(names.perceptron_out), inner, w)?,
            perceptron_norm: LayerNorm::load(&weights.at(names.perceptron_norm), w, epsilon)?,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        })
    }

    fn run(
        &self,
        x: &mut [f32],
        lengths: &[usize],
        relative: Option<&[f32]>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        let Buffers {
            narrow,
            mixed,
            wide,
        } = buffers;
        let bias = floats(&self.queries_keys_values.bias)?;
        let w = bias.len() / 3;
        narrow.resize(x.len(), 0.0);
        mixed.resize(x.len(), 0.0);
        wide.resize(3 * x.len(), 0.0);
        kernels::matmul(x, &self.queries_keys_values.weight, wide)?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (mut qkv, mut out) = (&wide[..], &mut mixed[..]);
        for &tokens in lengths {
            let (this, rest) = qkv.split_at(tokens * 3 * w);
            let (to, after) = out.split_at_mut(tokens * w);
            let scores = Attention {
                tokens,
                heads: self.heads,
                causal: false,
                relative: relative.map(|values| (values, longest)),
            };
            attention(this, &bias, scores, to);
            (qkv, out) = (rest, after);
        }
        kernels::matmul(mixed, &self.attention_out.weight, narrow)?;
        kernels::add_with_bias(x, narrow, &floats(&self.attention_out.bias)?);
        self.attention_norm.run(x, narrow)?;

        let bias = floats(&self.perceptron_in.bias)?;
        wide.resize(x.len() / w * bias.len(), 0.0);
        kernels::matmul(narrow, &self.perceptron_in.weight, wide)?;
        kernels::bias_activation(wide, &bias, self.activation);
        kernels::matmul(wide, &self.perceptron_out.weight, mixed)?;
        kernels::add_with_bias(narrow, mixed, &floats(&self.perceptron_out.bias)?);
        self.perceptron_norm.run(narrow, x)
    }

    /// `(b t, w)` to `(b t, w)`; `mask`, `(b, h or 1, t or 1, t)`, is added to the scores.
    fn forward(&self, x: &Tensor, (b, t): (usize, usize), mask: &Tensor) -> Result<Tensor> {
        let qkv = &self.queries_keys_values;
        let wide = qkv.product(x)?.reshape((b, t, ()))?;
        let mixed = any_device::attention(&wide, &qkv.bias, self.heads, Mask::Added(mask))?;
        let x = self.attention_out.add_to(x, &mixed.flatten_to(1)?)?;
        let x = self.attention_norm.forward(&x, DType::F32)?;
        let inner = &self.perceptron_in;
        let wide = any_device::bias_activation(&inner.product(&x)?, &inner.bias, self.activation)?;
        let x = self.perceptron_out.add_to(&x, &wide)?;
        self.perceptron_norm.forward(&x, DType::F32)
    }
}
