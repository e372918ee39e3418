//! Texts to token ids for sentence encoders and SigLIP: whatever `tokenizer.json` says, or BERT's WordPiece from `vocab.txt`.
//!
//! As in Python, a text that is too long loses its tail but keeps its closing token, and a special token that is spelt
//! out in a text is that token.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::Sequence;
use tokenizers::{Tokenizer as Inner, TruncationParams};

use super::super::config::read_json;
use super::super::errors::Cause;
use super::super::tokenizer::{encode, inner_from};
use super::super::{EncoderError, Tokens};

/// The part of `tokenizer_config.json` that counts.
#[derive(Deserialize)]
#[serde(default)]
pub(in super::super) struct TokenizerConfig {
    pub(in super::super) do_lower_case: bool,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
    /// A huge number where there is no limit.
    model_max_length: Option<f64>,
    /// The class that Python makes of these files.
    pub(in super::super) tokenizer_class: Option<String>,
    pad_token: Option<SpecialToken>,
    /// The end of a row that padding is put at.
    pub(in super::super) padding_side: Option<String>,
}

/// A special token, in its two spellings.
#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Name(String),
    Whole { content: String },
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        TokenizerConfig {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            model_max_length: None,
            tokenizer_class: None,
            pad_token: None,
            padding_side: None,
        }
    }
}

impl TokenizerConfig {
    /// The largest number of tokens, if there is one below `limit`; otherwise `limit`.
    pub(in super::super) fn at_most(&self, limit: usize) -> usize {
        match self.model_max_length {
            Some(length) if length >= 0.0 && length < limit as f64 => length as usize,
            _ => limit,
        }
    }

    /// The token that rows are filled up with.
    pub(in super::super) fn pad_token(&self) -> Option<&str> {
        self.pad_token.as_ref().map(|token| match token {
            SpecialToken::Name(name) | SpecialToken::Whole { content: name } => name.as_str(),
        })
    }
}

/// Where a tokeniser is read from.
pub(in super::super) enum Vocabulary<'a> {
    /// `tokenizer.json`.
    Json(&'a Path),
    /// `vocab.txt`: one WordPiece a line.
    WordPieces(&'a Path),
}

/// What a tokeniser has to fit.
pub(in super::super) struct Limits {
    /// Number of tokens that the transformer has vectors for.
    pub(in super::super) vocabulary: usize,
    /// Number of segments it has vectors for; 0 if it has none.
    pub(in super::super) segments: usize,
    /// The largest number of tokens of a text.
    pub(in super::super) context: usize,
}

/// A tokeniser with the prompt that comes before each text.
pub(in super::super) struct SentenceTokenizer {
    inner: Inner,
    prompt: String,
    has_segments: bool,
    context: usize,
}

impl SentenceTokenizer {
    /// Reads a tokeniser; `first` comes before its own normaliser.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::TokenizerFile`], [`EncoderError::TokenizerVocabulary`],
    /// [`EncoderError::ConfigValue`] for more segments than there are.
    pub(in super::super) fn load(
        vocabulary: &Vocabulary<'_>,
        config: &TokenizerConfig,
        mut first: Vec<NormalizerWrapper>,
        prompt: String,
        limits: &Limits,
    ) -> Result<Self, EncoderError> {
        let (Vocabulary::Json(path) | Vocabulary::WordPieces(path)) = *vocabulary;
        let unusable = |cause: Cause| EncoderError::TokenizerFile {
            path: path.into(),
            cause,
        };
        let unreadable = |cause| EncoderError::Unreadable {
            path: path.into(),
            cause,
        };
        let bytes = match vocabulary {
            Vocabulary::Json(path) => std::fs::read(path).map_err(unreadable)?,
            Vocabulary::WordPieces(path) => {
                let text = std::fs::read_to_string(path).map_err(unreadable)?;
                word_piece(&text, config).into_bytes()
            }
        };
        let mut inner = inner_from(&bytes).map_err(unusable)?;
        inner.with_padding(None);
        inner
            .with_truncation(Some(TruncationParams {
                max_length: limits.context,
                ..TruncationParams::default()
            }))
            .map_err(unusable)?;
        if !first.is_empty() {
            first.extend(inner.get_normalizer().cloned());
            inner
                .with_normalizer(Some(Sequence::new(first)))
                .map_err(unusable)?;
        }
        let largest = inner.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= limits.vocabulary {
            return Err(EncoderError::TokenizerVocabulary {
                path: path.into(),
                token: largest,
                vocabulary: limits.vocabulary,
            });
        }
        let tokenizer = SentenceTokenizer {
            inner,
            prompt,
            has_segments: limits.segments > 0,
            context: limits.context,
        };
        let probe = tokenizer.encode("a")?;
        let segment = probe.types.iter().max().copied().unwrap_or(0) as usize;
        if tokenizer.has_segments && segment >= limits.segments {
            return Err(EncoderError::config_value(
                path,
                "type_id",
                segment.to_string(),
                "less than type_vocab_size",
            ));
        }
        Ok(tokenizer)
    }

    /// The tokens of the prompt and `text`.
    ///
    /// # Errors
    /// [`EncoderError::Tokenize`].
    pub(in super::super) fn encode(&self, text: &str) -> Result<Tokens, EncoderError> {
        let text = format!("{}{text}", self.prompt);
        let length = text.len();
        let (encoding, is_cut) = encode(&self.inner, &text, true, self.context)
            .map_err(|cause| EncoderError::Tokenize { length, cause })?;
        let types = if self.has_segments {
            encoding.get_type_ids().to_vec()
        } else {
            Vec::new()
        };
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            end: encoding.len().saturating_sub(1),
            types,
            is_cut: is_cut || !encoding.get_overflowing().is_empty(),
        })
    }

    /// The id of a token, if it is one.
    pub(in super::super) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Number of tokens that the prompt takes up: those of the prompt alone without the closing one; 0 without a prompt.
    ///
    /// # Errors
    /// [`EncoderError::Tokenize`].
    pub(in super::super) fn prompt_length(&self) -> Result<usize, EncoderError> {
        if self.prompt.is_empty() {
            return Ok(0);
        }
        let ids = self.encode("")?.ids;
        let added = self.inner.get_added_tokens_decoder();
        let closes = ids
            .last()
            .and_then(|id| added.get(id))
            .is_some_and(|token| token.special);
        Ok(ids.len() - usize::from(closes))
    }
}

/// A `tokenizer.json` for the words of a `vocab.txt`, as transformers makes it for BERT and MPNet.
fn word_piece(text: &str, config: &TokenizerConfig) -> String {
    let vocabulary: HashMap<&str, usize> = text
        .lines()
        .enumerate()
        .map(|(id, word)| (word, id))
        .collect();
    let spelt_as = |names: [&'static str; 2]| {
        let present = names.into_iter().find(|name| vocabulary.contains_key(name));
        present.unwrap_or(names[1])
    };
    let special = [
        // MPNet has BERT's words among its own, but these first.
        spelt_as(["<s>", "[CLS]"]),
        spelt_as(["</s>", "[SEP]"]),
        spelt_as(["[UNK]", "<unk>"]),
        spelt_as(["<pad>", "[PAD]"]),
        spelt_as(["<mask>", "[MASK]"]),
    ];
    let id = |word: &str| vocabulary.get(word).copied();
    let added: Vec<_> = special
        .iter()
        .filter_map(|&word| {
            Some(json!({
                "id": id(word)?, "content": word, "special": true, "normalized": false,
                "single_word": false, "lstrip": word == "<mask>", "rstrip": false,
            }))
        })
        .collect();
    let [first, last, unknown, ..] = special;
    json!({
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "lowercase": config.do_lower_case,
            "handle_chinese_chars": config.tokenize_chinese_chars, "strip_accents": config.strip_accents,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "cls": [first, id(first).unwrap_or(0)],
            "sep": [last, id(last).unwrap_or(0)],
        },
        "model": {
            "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    })
    .to_string()
}

/// Reads `tokenizer_config.json`, where there is one.
///
/// # Errors
/// [`EncoderError::Unreadable`], [`EncoderError::Json`].
pub(in super::super) fn tokenizer_config(
    path: Option<&Path>,
) -> Result<TokenizerConfig, EncoderError> {
    path.map_or_else(|| Ok(TokenizerConfig::default()), read_json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpnet_is_framed_by_its_own_words_although_it_knows_those_of_bert() {
        let framed_by = |words: &str| {
            let json = word_piece(words, &TokenizerConfig::default());
            let tokenizer = Inner::from_bytes(json).unwrap();
            tokenizer.encode("a", true).unwrap().get_tokens().to_vec()
        };
        let bert = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n";
        assert_eq!(framed_by(bert), ["[CLS]", "a", "[SEP]"]);
        let mpnet = format!("<s>\n<pad>\n</s>\n<mask>\n{bert}");
        assert_eq!(framed_by(&mpnet), ["<s>", "a", "</s>"]);
    }
}
