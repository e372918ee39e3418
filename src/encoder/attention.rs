//! Attention of all heads at once.
//!
//! Notation: `b` images or texts, `t` tokens, `h` heads of `d` coordinates, `w = h d`.
//!
//! Tokens are few (50 in ViT-B/32, at most 77 in a text), so the scores of a few queries fit into the nearest cache: on
//! the processor each image or text is one task, and nothing of size `(b, h, t, t)` is ever stored.

use pulp::{Arch, Simd, WithSimd};

use super::kernels::exp;

/// Queries whose scores are computed side by side.
const QUERIES: usize = 4;

/// Keys, or coordinates of values, that are summed side by side.
const LANES: usize = 16;

/// Whose attention, and to what.
#[derive(Clone, Copy)]
pub(super) struct Attention<'a> {
    /// Tokens of each text or image.
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Whether a token sees only itself and those before it.
    pub(super) causal: bool,
    /// What is added to the scores of each head, `(h, n, n)`, and `n`, at least as many as there are tokens.
    pub(super) relative: Option<(&'a [f32], usize)>,
}

/// Attention of all heads: rows of queries, keys and values without their `bias` `(3 w)`, `(b t, 3 w)`, to `(b t, w)`.
pub(super) fn attention(qkv: &[f32], bias: &[f32], attention: Attention<'_>, out: &mut [f32]) {
    let width = bias.len() / 3;
    if attention.tokens == 0 {
        return;
    }
    let items = qkv.chunks_exact(attention.tokens * 3 * width);
    for (qkv, out) in items.zip(out.chunks_exact_mut(attention.tokens * width)) {
        Arch::new().dispatch(AttendOne {
            qkv,
            bias,
            out,
            attention,
        });
    }
}

/// One image or text: `(t, 3 w)` to `(t, w)`.
struct AttendOne<'a> {
    qkv: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
    attention: Attention<'a>,
}

impl WithSimd for AttendOne<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let AttendOne {
            qkv,
            bias,
            out,
            attention,
        } = self;
        let Attention {
            tokens,
            heads,
            causal,
            relative,
        } = attention;
        let width = bias.len() / 3;
        let d = width / heads;
        let scale = 1.0 / (d as f32).sqrt();
        let keys_padded = tokens.next_multiple_of(LANES);
        let d_padded = d.next_multiple_of(LANES);
        // Rows of zeros round both up, so that the products below have no remainders.
        let mut queries = vec![0.0; tokens.next_multiple_of(QUERIES) * d];
        let mut keys = vec![0.0; d * keys_padded];
        let mut values = vec![0.0; keys_padded * d_padded];
        let mut scores = vec![0.0; QUERIES * keys_padded];
        let mut mixed = vec![0.0; QUERIES * d_padded];
        for head in 0..heads {
            for (token, row) in qkv.chunks_exact(3 * width).enumerate() {
                for i in 0..d {
                    let column = head * d + i;
                    queries[token * d + i] = (row[column] + bias[column]) * scale;
                    let column = column + width;
                    keys[i * keys_padded + token] = row[column] + bias[column];
                    let column = column + width;
                    values[token * d_padded + i] = row[column] + bias[column];
                }
            }
            for (block, queries) in queries.chunks_exact(QUERIES * d).enumerate() {
                let first = block * QUERIES;
                let seen = if causal {
                    (first + QUERIES).min(tokens)
                } else {
                    tokens
                };
                product(queries, d, &keys, keys_padded, seen, &mut scores);
                for (query, scores) in scores.chunks_exact_mut(keys_padded).enumerate() {
                    let seen = if causal {
                        (first + query + 1).min(tokens)
                    } else {
                        tokens
                    };
                    if let Some((values, n)) = relative {
                        let row = (head * n + (first + query).min(n - 1)) * n;
                        for (score, value) in scores[..seen].iter_mut().zip(&values[row..]) {
                            *score += value;
                        }
                    }
                    softmax(&mut scores[..seen]);
                    scores[seen..].fill(0.0);
                }
                product(&scores, keys_padded, &values, d_padded, d, &mut mixed);
                let out = out[first * width..].chunks_exact_mut(width);
                for (out, mixed) in out.zip(mixed.chunks_exact(d_padded)) {
                    out[head * d..][..d].copy_from_slice(&mixed[..d]);
                }
            }
        }
    }
}

/// `out = left right` for `QUERIES` rows of `left`, `(QUERIES, inner)`, and the first `needed` columns of `right`,
/// `(inner, columns)`, rounded up to whole lanes.
#[inline(always)]
fn product(
    left: &[f32],
    inner: usize,
    right: &[f32],
    columns: usize,
    needed: usize,
    out: &mut [f32],
) {
    for column in (0..needed).step_by(LANES) {
        let mut sums = [[0.0_f32; LANES]; QUERIES];
        for (i, row) in right.chunks_exact(columns).take(inner).enumerate() {
            let row: &[f32; LANES] = row[column..column + LANES].try_into().expect("whole lanes");
            for (query, sums) in sums.iter_mut().enumerate() {
                let factor = left[query * inner + i];
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += factor * value;
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            out[query * columns + column..][..LANES].copy_from_slice(sums);
        }
    }
}

/// Scores to weights that sum to one.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut partial = [0.0_f32; LANES];
    let mut chunks = scores.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (sum, score) in partial.iter_mut().zip(chunk) {
            *score = exp(*score - largest);
            *sum += *score;
        }
    }
    for (sum, score) in partial.iter_mut().zip(chunks.into_remainder()) {
        *score = exp(*score - largest);
        *sum += *score;
    }
    let scale = 1.0 / partial.iter().sum::<f32>();
    for score in scores {
        *score *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::super::any_device::{self, Mask};
    use super::super::kernels::floats;
    use super::super::kernels::tests::{largest_difference, numbers};
    use super::*;

    #[test]
    fn attention_is_the_plain_one() {
        for (tokens, heads, d) in [(50, 3, 64), (17, 2, 5), (4, 1, 16), (1, 2, 8)] {
            let qkv = (numbers(&[2, tokens, 3 * heads * d], 0.0) * 0.3).unwrap();
            let bias = numbers(&[3 * heads * d], 1.0);
            for (causal, mask) in [(false, Mask::None), (true, Mask::Causal)] {
                let mut fused = vec![0.0; 2 * tokens * heads * d];
                let all = Attention {
                    tokens,
                    heads,
                    causal,
                    relative: None,
                };
                let (values, biases) = (floats(&qkv).unwrap(), floats(&bias).unwrap());
                attention(&values, &biases, all, &mut fused);
                let plain = any_device::attention(&qkv, &bias, heads, mask).unwrap();
                let error = largest_difference(&fused, &plain);
                assert!(
                    error < 2e-5,
                    "{tokens} tokens, {heads} heads of {d}: {error:e}"
                );
            }
        }
    }
}
