//! The transformers of MPNet and DistilBERT: the norm after each residual, no segments, and in MPNet a bias that depends
//! on how far apart two tokens are.
//!
//! candle-transformers has no MPNet, and its DistilBERT replaces the error function in GELU by its approximation with
//! tanh, which moves an embedding by more than 1e-4.
//!
//! Notation: `b` texts of `t` tokens, `h` heads of `d` coordinates, `w = h d`. A block computes
//! `x <- norm(x + attention(x))`, then `x <- norm(x + perceptron(x))`.
//!
//! # References
//! 1. K. Song et al., *MPNet: masked and permuted pre-training for language understanding*, NeurIPS 2020.
//! 2. V. Sanh et al., *DistilBERT, a distilled version of BERT*, 2019, arXiv:1910.01108.
//! 3. C. Raffel et al., *Exploring the limits of transfer learning with a unified text-to-text transformer*, JMLR 2020,
//!    section 2.1: relative positions in buckets that widen with the distance.

use candle_core::{D, Result, Tensor};
use candle_nn::{Activation, Embedding, LayerNorm, Linear, Module, VarBuilder};
use candle_nn::{embedding, layer_norm, linear};

use super::model::{SentenceConfig, TokenRows};

/// Buckets of relative positions, half of them for either direction; MPNet ignores what its configuration says.
pub(super) const BUCKETS: usize = 32;

/// The distance from which on all positions share the last bucket.
const FURTHEST: f32 = 128.0;

/// MPNet's padding token, whatever its configuration says.
const MPNET_PADDING: u32 = 1;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostNormKind {
    Mpnet,
    DistilBert,
}

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

const MPNET: Names = Names {
    blocks: "encoder.layer",
    queries: "attention.attn.q",
    keys: "attention.attn.k",
    values: "attention.attn.v",
    attention_out: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    perceptron_in: "intermediate.dense",
    perceptron_out: "output.dense",
    perceptron_norm: "output.LayerNorm",
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

/// MPNet or DistilBERT without a head.
pub(super) struct PostNorm {
    kind: PostNormKind,
    tokens: Embedding,
    positions: Embedding,
    norm: LayerNorm,
    blocks: Vec<Block>,
    /// `(BUCKETS, h)`.
    relative: Option<Embedding>,
}

impl PostNorm {
    pub(super) fn load(
        weights: &VarBuilder<'_>,
        config: &SentenceConfig,
        kind: PostNormKind,
    ) -> Result<Self> {
        let (names, epsilon) = match kind {
            PostNormKind::Mpnet => (&MPNET, config.layer_norm_eps),
            // Its code names this number, its configuration does not.
            PostNormKind::DistilBert => (&DISTILBERT, 1e-12),
        };
        let w = config.hidden_size;
        let embeddings = weights.pp("embeddings");
        let relative = match kind {
            PostNormKind::Mpnet => Some(embedding(
                BUCKETS,
                config.num_attention_heads,
                weights.pp("encoder.relative_attention_bias"),
            )?),
            PostNormKind::DistilBert => None,
        };
        Ok(PostNorm {
            kind,
            tokens: embedding(config.vocab_size, w, embeddings.pp("word_embeddings"))?,
            positions: embedding(
                config.max_position_embeddings,
                w,
                embeddings.pp("position_embeddings"),
            )?,
            norm: layer_norm(w, epsilon, embeddings.pp("LayerNorm"))?,
            blocks: (0..config.num_hidden_layers)
                .map(|layer| {
                    let weights = weights.pp(format!("{}.{layer}", names.blocks));
                    Block::load(&weights, config, names, epsilon)
                })
                .collect::<Result<_>>()?,
            relative,
        })
    }

    /// States of all tokens, `(b, t, w)`; `mask`, `(b, 1, 1, t)`, is added to the scores.
    pub(super) fn forward(&self, rows: &TokenRows, mask: &Tensor) -> Result<Tensor> {
        let device = self.tokens.embeddings().device();
        let ids = Tensor::from_slice(&rows.ids, (rows.count, rows.width), device)?;
        let positions: Vec<u32> = match self.kind {
            PostNormKind::Mpnet => positions_after_padding(rows),
            PostNormKind::DistilBert => {
                (0..rows.count).flat_map(|_| 0..rows.width as u32).collect()
            }
        };
        let positions = Tensor::from_vec(positions, (rows.count, rows.width), device)?;
        let x = (self.tokens.forward(&ids)? + self.positions.forward(&positions)?)?;
        let mut x = self.norm.forward(&x)?;
        let bias = match &self.relative {
            Some(relative) => {
                let buckets = relative_buckets(rows.width);
                let buckets = Tensor::from_vec(buckets, (rows.width, rows.width), device)?;
                let relative = relative.forward(&buckets)?.permute((2, 0, 1))?;
                mask.broadcast_add(&relative.unsqueeze(0)?)?
            }
            None => mask.clone(),
        };
        for block in &self.blocks {
            x = block.forward(&x, &bias)?;
        }
        Ok(x)
    }
}

struct Block {
    heads: usize,
    queries: Linear,
    keys: Linear,
    values: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    perceptron_in: Linear,
    activation: Activation,
    perceptron_out: Linear,
    perceptron_norm: LayerNorm,
}

impl Block {
    fn load(
        weights: &VarBuilder<'_>,
        config: &SentenceConfig,
        names: &Names,
        epsilon: f64,
    ) -> Result<Self> {
        let (w, inner) = (config.hidden_size, config.intermediate_size);
        Ok(Block {
            heads: config.num_attention_heads,
            queries: linear(w, w, weights.pp(names.queries))?,
            keys: linear(w, w, weights.pp(names.keys))?,
            values: linear(w, w, weights.pp(names.values))?,
            attention_out: linear(w, w, weights.pp(names.attention_out))?,
            attention_norm: layer_norm(w, epsilon, weights.pp(names.attention_norm))?,
            perceptron_in: linear(w, inner, weights.pp(names.perceptron_in))?,
            activation: config.hidden_act.into(),
            perceptron_out: linear(inner, w, weights.pp(names.perceptron_out))?,
            perceptron_norm: layer_norm(w, epsilon, weights.pp(names.perceptron_norm))?,
        })
    }

    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (b, t, w) = x.dims3()?;
        let d = w / self.heads;
        let by_head = |x: Tensor| {
            x.reshape((b, t, self.heads, d))?
                .transpose(1, 2)?
                .contiguous()
        };
        let queries = (by_head(self.queries.forward(x)?)? * (d as f64).powf(-0.5))?;
        let keys = by_head(self.keys.forward(x)?)?;
        let values = by_head(self.values.forward(x)?)?;
        let scores = queries.matmul(&keys.transpose(D::Minus2, D::Minus1)?)?;
        let shares = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(bias)?)?;
        let mixed = shares
            .matmul(&values)?
            .transpose(1, 2)?
            .reshape((b, t, w))?;
        let x = (self.attention_out.forward(&mixed)? + x)?;
        let x = self.attention_norm.forward(&x)?;
        let inner = self.activation.forward(&self.perceptron_in.forward(&x)?)?;
        let y = (self.perceptron_out.forward(&inner)? + x)?;
        self.perceptron_norm.forward(&y)
    }
}

/// The place of each token among those of its row that are no padding, counted from the padding token's id on.
fn positions_after_padding(rows: &TokenRows) -> Vec<u32> {
    let mut positions = Vec::with_capacity(rows.ids.len());
    for row in rows.ids.chunks(rows.width) {
        let mut seen = MPNET_PADDING;
        positions.extend(row.iter().map(|&id| {
            if id == MPNET_PADDING {
                MPNET_PADDING
            } else {
                seen += 1;
                seen
            }
        }));
    }
    positions
}

/// The bucket of each pair, `(t, t)`: reference 3, in single precision as PyTorch computes it.
fn relative_buckets(tokens: usize) -> Vec<u32> {
    const ONE_WAY: u32 = BUCKETS as u32 / 2;
    const EXACT: u32 = ONE_WAY / 2;
    let pairs = (0..tokens).flat_map(|query| (0..tokens).map(move |key| (query, key)));
    pairs
        .map(|(query, key)| {
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
        })
        .collect()
}
