//! Texts to token ids: CLIP's byte-pair encoding, read from `tokenizer.json`.
//!
//! A text becomes `[start, ..., end]`, at most as long as the text tower's context; a longer text loses its tail, never
//! its end token. A literal `<|endoftext|>` or `<|startoftext|>` inside a text is read as the characters it consists of:
//! Python's transformers turns it into the special token instead, and the sentence ends there without a word.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer as Inner;

use super::EncoderError;
use super::errors::Cause;

/// The tokens of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Start token, text, end token.
    pub ids: Vec<u32>,
    /// Index of the first end token: the place where the text tower reads its result.
    pub end: usize,
    /// The segment that each token belongs to; empty for an encoder that knows no segments.
    pub types: Vec<u32>,
    /// Whether the text was longer than the context and lost its tail.
    pub is_cut: bool,
}

/// CLIP's tokeniser.
pub(super) struct Tokenizer {
    inner: Inner,
    start: u32,
    end: u32,
    context_length: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json` for a text tower with `context_length` positions and `vocabulary` token vectors.
    ///
    /// # Errors
    /// [`EncoderError::TokenizerFile`], [`EncoderError::TokenizerFrame`], [`EncoderError::TokenizerVocabulary`].
    pub(super) fn from_file(
        path: &Path,
        context_length: usize,
        vocabulary: usize,
    ) -> Result<Self, EncoderError> {
        let unusable = |cause: Cause| EncoderError::TokenizerFile {
            path: path.into(),
            cause,
        };
        let mut inner = Inner::from_file(path).map_err(unusable)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(unusable)?;
        inner.set_encode_special_tokens(true);
        let frame = inner.encode_fast("", true).map_err(unusable)?;
        let &[start, end] = frame.get_ids() else {
            return Err(EncoderError::TokenizerFrame {
                path: path.into(),
                got: frame.len(),
            });
        };
        let largest = inner.get_vocab(true).into_values().max().unwrap_or(end);
        if largest as usize >= vocabulary {
            return Err(EncoderError::TokenizerVocabulary {
                path: PathBuf::from(path),
                token: largest,
                vocabulary,
            });
        }
        Ok(Tokenizer {
            inner,
            start,
            end,
            context_length,
        })
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// [`EncoderError::Tokenize`].
    pub(super) fn encode(&self, text: &str) -> Result<Tokens, EncoderError> {
        let encoding =
            self.inner
                .encode_fast(text, false)
                .map_err(|cause| EncoderError::Tokenize {
                    length: text.len(),
                    cause,
                })?;
        let body = encoding.get_ids();
        let kept = body.len().min(self.context_length - 2);
        let mut ids = Vec::with_capacity(kept + 2);
        ids.push(self.start);
        ids.extend_from_slice(&body[..kept]);
        ids.push(self.end);
        let end = ids.iter().position(|&id| id == self.end);
        Ok(Tokens {
            end: end.unwrap_or(kept + 1),
            ids,
            types: Vec::new(),
            is_cut: kept < body.len(),
        })
    }
}

/// Rows of token ids, padded with 0 to the longest of them.
///
/// Attention in the text tower is causal, so what follows a row's end token cannot change the row's result.
pub(super) struct TokenBatch {
    /// Ids, row by row, `(rows, width)`.
    pub(super) ids: Vec<u32>,
    /// Number of rows.
    pub(super) rows: usize,
    /// Length of the longest row.
    pub(super) width: usize,
    /// Index of each row's result in `ids`.
    pub(super) ends: Vec<u32>,
}

impl TokenBatch {
    pub(super) fn pad(tokens: &[&Tokens]) -> Self {
        let width = tokens.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let mut ids = vec![0; tokens.len() * width];
        let mut ends = Vec::with_capacity(tokens.len());
        for (i, row) in tokens.iter().enumerate() {
            ids[i * width..][..row.ids.len()].copy_from_slice(&row.ids);
            ends.push((i * width + row.end) as u32);
        }
        TokenBatch {
            ids,
            rows: tokens.len(),
            width,
            ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_to_the_longest_row_and_finds_each_end() {
        let tokens = |ids: &[u32]| Tokens {
            ids: ids.into(),
            end: ids.len() - 1,
            types: Vec::new(),
            is_cut: false,
        };
        let (short, long) = (tokens(&[8, 9]), tokens(&[8, 1, 2, 9]));
        let batch = TokenBatch::pad(&[&short, &long]);
        assert_eq!(batch.ids, [8, 9, 0, 0, 8, 1, 2, 9]);
        assert_eq!((batch.rows, batch.width), (2, 4));
        assert_eq!(batch.ends, [1, 7]);
    }
}
