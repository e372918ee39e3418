//! Texts to rows of token ids, as transformers' `SiglipTokenizer` makes them, or as `tokenizer.json` says.

use candle_transformers::models::siglip::TextConfig;
use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, Replace, Strip};

use super::super::files::Source;
use super::super::sentence::tokenizer::{Limits, SentenceTokenizer, Vocabulary, tokenizer_config};
use super::super::tokenizer::TOKENIZER;
use super::super::{EncoderError, Tokens};

/// Python's tokeniser of the first SigLIP, and the token that it fills rows up with.
const SIGLIP_TOKENIZER: &str = "SiglipTokenizer";
const SIGLIP_PADDING: &str = "</s>";

/// What stands for a space in a SentencePiece vocabulary.
const SPACE: char = '\u{2581}';

/// What is replaced before a text of [`SIGLIP_TOKENIZER`] is cut into tokens: Python's `string.punctuation`, runs of
/// white space, and the mark of a word when no word follows.
const REPLACEMENTS: [(&str, &str); 3] = [
    (r"[!-/:-@\[-`{-~]", ""),
    (r"\s+", " "),
    (r"\A\x{2581}\s*\z", ""),
];

/// A tokeniser with the padding of its rows.
pub(super) struct SiglipTokenizer {
    inner: SentenceTokenizer,
    padding: u32,
    context: usize,
}

impl SiglipTokenizer {
    /// Reads `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// # Errors
    /// Those of the source and of [`SentenceTokenizer::load`]; [`EncoderError::ConfigValue`] for a padding that there is not.
    pub(super) fn load(files: &dyn Source, config: &TextConfig) -> Result<Self, EncoderError> {
        let path = files.find("tokenizer_config.json")?;
        let settings = tokenizer_config(path.as_deref())?;
        let unusable = |field, got: &str, expected| EncoderError::ConfigValue {
            path: path.clone().unwrap_or_default(),
            field,
            got: got.into(),
            expected,
        };
        if let Some(side) = settings
            .padding_side
            .as_deref()
            .filter(|&side| side != "right")
        {
            return Err(unusable("padding_side", side, "right"));
        }
        let context = settings.at_most(config.max_position_embeddings);
        if context < 2 {
            let got = context.to_string();
            return Err(unusable("model_max_length", &got, "at least 2"));
        }
        let class = settings
            .tokenizer_class
            .as_deref()
            .unwrap_or(SIGLIP_TOKENIZER);
        let is_siglip = class.trim_end_matches("Fast") == SIGLIP_TOKENIZER;
        let json = files.get(TOKENIZER)?;
        let mut first: Vec<NormalizerWrapper> = Vec::new();
        if is_siglip {
            if settings.do_lower_case {
                first.push(Lowercase.into());
            }
            for (pattern, by) in REPLACEMENTS {
                let replace = Replace::new(ReplacePattern::Regex(pattern.into()), by);
                let replace = replace.map_err(|cause| EncoderError::TokenizerFile {
                    path: json.clone(),
                    cause,
                })?;
                first.push(replace.into());
            }
            first.push(Strip::new(true, true).into());
        }
        let prompt = if is_siglip {
            SPACE.into()
        } else {
            String::new()
        };
        let limits = Limits {
            vocabulary: config.vocab_size,
            segments: 0,
            context,
        };
        let vocabulary = Vocabulary::Json(&json);
        let inner = SentenceTokenizer::load(&vocabulary, &settings, first, prompt, &limits)?;
        let padding = settings.pad_token();
        let padding = padding.unwrap_or(if is_siglip { SIGLIP_PADDING } else { "" });
        let expected = "the token of tokenizer.json that rows are filled up with";
        Ok(SiglipTokenizer {
            padding: inner
                .id(padding)
                .ok_or_else(|| unusable("pad_token", &format!("{padding:?}"), expected))?,
            inner,
            context,
        })
    }

    /// Number of tokens of each row, padding included.
    pub(super) fn context(&self) -> usize {
        self.context
    }

    /// The tokens of a text, without padding.
    ///
    /// # Errors
    /// [`EncoderError::Tokenize`].
    pub(super) fn encode(&self, text: &str) -> Result<Tokens, EncoderError> {
        // In a text it is a space, and only the prompt's stands for the beginning.
        self.inner.encode(&text.replace(SPACE, " "))
    }

    /// Rows of token ids, `(n_texts, context)`.
    pub(super) fn pad(&self, tokens: &[&Tokens]) -> Vec<u32> {
        let mut ids = vec![self.padding; tokens.len() * self.context];
        for (row, tokens) in ids.chunks_exact_mut(self.context).zip(tokens) {
            for (place, &id) in row.iter_mut().zip(&tokens.ids) {
                *place = id;
            }
        }
        ids
    }
}
