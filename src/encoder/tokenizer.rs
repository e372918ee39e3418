//! Texts to token ids: CLIP's byte-pair encoding.
//!
//! A text becomes `[start, ..., end]`, at most as long as the text tower's context; a longer text loses its tail, never
//! its end token. A literal `<|endoftext|>` or `<|startoftext|>` inside a text is read as the characters it consists of:
//! Python's transformers turns it into the special token instead, and the sentence ends there without a word.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::{Encoding, Tokenizer as Inner};

use super::EncoderError;
use super::config::read_json;
use super::errors::Cause;
use super::files::Source;
use crate::contained::contained;

pub(super) const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";

/// OpenAI's list of merges, as open_clip has it too.
const BPE: [&str; 2] = ["bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt"];

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// What a token that ends a word ends with.
const END_OF_WORD: &str = "</w>";

/// How a text is cut into what merges work on, in OpenAI's `simple_tokenizer.py`.
const PIECES: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Most bytes of an unpacked list of merges: OpenAI's has 3 million.
const MAX_BPE_BYTES: u64 = 100_000_000;

/// Where a tokeniser is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenizerFiles {
    /// `tokenizer.json`.
    Whole(PathBuf),
    /// `vocab.json` and `merges.txt`.
    Parts {
        vocabulary: PathBuf,
        merges: PathBuf,
    },
    /// OpenAI's list of merges, from which the vocabulary follows.
    Bpe(PathBuf),
}

impl TokenizerFiles {
    /// The first of the ways to write a tokeniser that there is; the error is the one about `tokenizer.json`.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn of(source: &dyn Source) -> Result<Self, EncoderError> {
        if let Some(path) = source.find(TOKENIZER)? {
            return Ok(TokenizerFiles::Whole(path));
        }
        if let (Some(vocabulary), Some(merges)) = (source.find(VOCABULARY)?, source.find(MERGES)?) {
            return Ok(TokenizerFiles::Parts { vocabulary, merges });
        }
        for name in BPE {
            if let Some(path) = source.find(name)? {
                return Ok(TokenizerFiles::Bpe(path));
            }
        }
        source.get(TOKENIZER).map(TokenizerFiles::Whole)
    }

    /// The file to name when something is wrong.
    fn path(&self) -> &Path {
        match self {
            TokenizerFiles::Whole(path) | TokenizerFiles::Bpe(path) => path,
            TokenizerFiles::Parts { vocabulary, .. } => vocabulary,
        }
    }

    fn read(&self) -> Result<Inner, EncoderError> {
        let unusable = |path: &Path, cause: Cause| EncoderError::TokenizerFile {
            path: path.into(),
            cause,
        };
        let (vocabulary, merges) = match self {
            TokenizerFiles::Whole(path) => {
                let bytes = std::fs::read(path).map_err(|cause| EncoderError::Unreadable {
                    path: path.into(),
                    cause,
                })?;
                return inner_from(&bytes).map_err(|cause| unusable(path, cause));
            }
            TokenizerFiles::Parts { vocabulary, merges } => (
                read_json::<Map<String, Value>>(vocabulary)?,
                read_merges(merges)?,
            ),
            TokenizerFiles::Bpe(path) => {
                let merges = read_merges(path)?;
                (vocabulary_of(&merges), merges)
            }
        };
        let id = |token: &str| vocabulary.get(token).and_then(Value::as_u64);
        let (Some(start), Some(end)) = (id(START), id(END)) else {
            let cause = format!("it has no token {START} or no token {END}");
            return Err(unusable(self.path(), cause.into()));
        };
        let special = |id: u64, content: &str| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        let tokenizer = json!({
            "version": "1.0",
            "added_tokens": [special(start, START), special(end, END)],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": {"type": "RobertaProcessing", "sep": [END, end], "cls": [START, start],
                "trim_offsets": false, "add_prefix_space": false},
            "model": {"type": "BPE", "unk_token": END, "continuing_subword_prefix": "",
                "end_of_word_suffix": END_OF_WORD, "vocab": vocabulary, "merges": merges},
        });
        inner_from(tokenizer.to_string().as_bytes()).map_err(|cause| unusable(self.path(), cause))
    }
}

/// The pairs in `merges.txt` or in OpenAI's list: after a first line about the version, one a line, until as many as the
/// vocabulary of 49,408 tokens has room for.
fn read_merges(path: &Path) -> Result<Vec<[String; 2]>, EncoderError> {
    const MERGES: usize = 49_408 - 2 - 2 * 256;
    let unreadable = |cause| EncoderError::Unreadable {
        path: path.into(),
        cause,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file)
            .take(MAX_BPE_BYTES)
            .read_to_string(&mut text)
    } else {
        file.take(MAX_BPE_BYTES).read_to_string(&mut text)
    }
    .map_err(unreadable)?;
    let pair = |(line, pair): (usize, &str)| match pair.split_once(' ') {
        Some((left, right)) => Ok([left.to_owned(), right.to_owned()]),
        None => Err(EncoderError::TokenizerFile {
            path: path.into(),
            cause: format!("line {} is no pair of tokens", line + 1).into(),
        }),
    };
    let lines = text.lines().enumerate().skip(1);
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .take(MERGES)
        .map(pair)
        .collect()
}

/// The vocabulary in OpenAI's order: bytes, bytes that end a word, merged pairs, the two special tokens.
fn vocabulary_of(merges: &[[String; 2]]) -> Map<String, Value> {
    // Printable bytes stand for themselves, the others for characters from 256 on.
    let printable = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256).filter(|&byte| !printable(byte));
    let letters = (0..256)
        .filter(|&byte| printable(byte))
        .chain((256..).zip(others).map(|(letter, _)| letter));
    let bytes: Vec<String> = letters
        .filter_map(char::from_u32)
        .map(String::from)
        .collect();
    let tokens = bytes
        .iter()
        .cloned()
        .chain(bytes.iter().map(|byte| format!("{byte}{END_OF_WORD}")))
        .chain(merges.iter().map(|pair| pair.concat()))
        .chain([START.to_owned(), END.to_owned()]);
    (0_u64..)
        .zip(tokens)
        .map(|(id, token)| (token, id.into()))
        .collect()
}

/// Most times that a tokeniser's replacements may lengthen a text: hostile ones do it billions of times.
const MAX_GROWTH: usize = 1000;

/// Bytes of a text that a tokeniser looks at for each token that the encoder takes, and in all at least.
const BYTES_PER_TOKEN: usize = 64;
const LEAST_BYTES: usize = 1 << 16;

/// Reads `tokenizer.json`.
///
/// # Errors
/// It is none, or lengthens texts beyond all measure.
pub(super) fn inner_from(bytes: &[u8]) -> Result<Inner, Cause> {
    #[derive(Deserialize)]
    struct Normalized {
        #[serde(default)]
        normalizer: Value,
    }
    let Normalized { normalizer } = serde_json::from_slice(bytes)?;
    if growth(&normalizer) > MAX_GROWTH {
        return Err("its replacements lengthen texts beyond all measure".into());
    }
    contained(|| Inner::from_bytes(bytes))?
}

/// How many times longer the replacements of a normaliser can make a text.
fn growth(normalizer: &Value) -> usize {
    let parts = normalizer["normalizers"].as_array();
    let of_parts = parts.into_iter().flatten().map(growth);
    let length = |value: &Value| value.as_str().map_or(1, str::len).max(1);
    let own = match normalizer["type"].as_str() {
        Some("Replace") => {
            length(&normalizer["content"]) / length(&normalizer["pattern"]["String"])
        }
        _ => 1,
    };
    of_parts.fold(own.max(1), usize::saturating_mul)
}

/// The tokens of a text for an encoder that takes `context` of them, and whether the end of the text was not looked at.
///
/// # Errors
/// The tokeniser refuses the text.
pub(super) fn encode(
    inner: &Inner,
    text: &str,
    with_special_tokens: bool,
    context: usize,
) -> Result<(Encoding, bool), Cause> {
    let most = (context * BYTES_PER_TOKEN).max(LEAST_BYTES);
    let seen = &text[..text.floor_char_boundary(most)];
    let encoding = contained(|| inner.encode_fast(seen, with_special_tokens))??;
    Ok((encoding, seen.len() < text.len()))
}

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
    /// Reads a tokeniser for a text tower with `context_length` positions and `vocabulary` token vectors.
    ///
    /// # Errors
    /// [`EncoderError::TokenizerFile`], [`EncoderError::TokenizerFrame`], [`EncoderError::TokenizerVocabulary`],
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`].
    pub(super) fn open(
        files: &TokenizerFiles,
        context_length: usize,
        vocabulary: usize,
    ) -> Result<Self, EncoderError> {
        let path = files.path();
        let unusable = |cause: Cause| EncoderError::TokenizerFile {
            path: path.into(),
            cause,
        };
        let mut inner = files.read()?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(unusable)?;
        inner.set_encode_special_tokens(true);
        let (frame, _) = encode(&inner, "", true, context_length).map_err(unusable)?;
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
        let encoding = encode(&self.inner, text, false, self.context_length);
        let (encoding, is_cut) = encoding.map_err(|cause| EncoderError::Tokenize {
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
            is_cut: is_cut || kept < body.len(),
        })
    }
}

/// Rows of token ids, padded with 0 to the longest of them.
///
/// Attention in the text tower is causal, so what follows a row's end token cannot change the row's result.
pub(super) struct TokenBatch {
    /// Ids, row by row, `(rows, width)`.
    pub(super) ids: Vec<u32>,
    /// Length of the longest row.
    pub(super) width: usize,
    /// Place of the result in each row.
    pub(super) ends: Vec<usize>,
}

impl TokenBatch {
    pub(super) fn pad(tokens: &[&Tokens]) -> Self {
        let width = tokens.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let mut ids = vec![0; tokens.len() * width];
        for (row, padded) in tokens.iter().zip(ids.chunks_exact_mut(width.max(1))) {
            padded[..row.ids.len()].copy_from_slice(&row.ids);
        }
        let ends = tokens.iter().map(|row| row.end).collect();
        TokenBatch { ids, width, ends }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn the_vocabulary_follows_from_a_list_of_merges() {
        let folder = tempfile::tempdir().unwrap();
        let merges = "a version\nh e\nhe l</w>\n";
        let (plain, packed) = (folder.path().join(BPE[1]), folder.path().join(BPE[0]));
        std::fs::write(&plain, merges).unwrap();
        let file = std::fs::File::create(&packed).unwrap();
        let mut packer = GzEncoder::new(file, Compression::default());
        packer.write_all(merges.as_bytes()).unwrap();
        packer.finish().unwrap();
        for path in [plain, packed] {
            let tokenizer = Tokenizer::open(&TokenizerFiles::Bpe(path), 77, 520).unwrap();
            let ids = |text: &str| tokenizer.encode(text).unwrap().ids;
            // Bytes in OpenAI's order begin with "!"; "h" is the 71st after it, and 256 later it ends a word.
            assert_eq!(ids("H h"), [514, 71 + 256, 71 + 256, 515]);
            assert_eq!(ids("hel!"), [514, 513, 256, 515]);
        }
    }

    #[test]
    fn a_line_that_is_no_merge_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(BPE[1]);
        std::fs::write(&path, "a version\nh e\nhel\n").unwrap();
        let error = Tokenizer::open(&TokenizerFiles::Bpe(path), 77, 520)
            .err()
            .unwrap();
        let message = error.to_string();
        assert!(message.contains("line 3 is no pair of tokens"), "{message}");
    }

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
        assert_eq!((batch.rows(), batch.width), (2, 4));
        assert_eq!(batch.ends, [1, 3]);
    }
}
