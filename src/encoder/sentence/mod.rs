//! A sentence encoder, ready to use: a transformer of the BERT family, its tokeniser, and what follows it.
//!
//! The folder is that of Python's sentence-transformers:
//!
//! | file | what is read |
//! |---|---|
//! | `modules.json` | which modules, in which order; without it, the transformer and a mean |
//! | `config.json`, `model.safetensors` or `pytorch_model.bin` | the transformer |
//! | `tokenizer.json` or `vocab.txt`, `tokenizer_config.json` | the tokeniser |
//! | `sentence_bert_config.json` | the largest number of tokens, whether capitals count |
//! | `config_sentence_transformers.json` | the prompt that comes before each text |
//! | `1_Pooling/config.json`, `2_Dense/config.json` | see `pooling` |
//!
//! Embeddings always have unit length, whether the model ends with a Normalize module or not.

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path};

use ndarray::Array2;
use serde::Deserialize;
use tokenizers::normalizers::Lowercase;

use self::model::{SentenceConfig, SentenceModel};
use self::pooling::{Dense, Pooling, Step};
use self::tokenizer::{Limits, SentenceTokenizer, Vocabulary, tokenizer_config};
use super::config::read_json;
use super::files::{CONFIG, Folder, Source, below, weights_below};
use super::rows::to_unit_rows;
use super::{Device, Encoder, EncoderError, Placement, Tokens, Tower};

mod model;
mod pooling;
mod post_norm;
pub(super) mod tokenizer;

pub(super) use self::model::is_family;

/// The mark of a model that sentence-transformers saved.
pub(super) const MODULES: &str = "modules.json";

/// Whose modules can be run: what others add comes with code of their own.
const AUTHOR: &str = "sentence_transformers";

/// A text encoder of the BERT family, as sentence-transformers saves it.
///
/// # Example
/// ```no_run
/// use std::path::Path;
/// use vmfmix::encoder::{Device, Encoder, SentenceEncoder};
///
/// let encoder = SentenceEncoder::from_folder(Path::new("models/all-MiniLM-L6-v2"), Device::Cpu)?;
/// let embeddings = encoder.embed_texts(&["a red circle", "a blue star"])?;
/// assert_eq!(embeddings.dim(), (2, 384));
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
pub struct SentenceEncoder {
    name: String,
    dimension: usize,
    device: candle_core::Device,
    tokenizer: SentenceTokenizer,
    model: SentenceModel,
    /// Coordinates of a token's state.
    width: usize,
    pooling: Pooling,
    /// Tokens at the beginning of each text that the pooling leaves out.
    skipped: usize,
    steps: Vec<Step>,
}

/// For whom the settings of the transformer were named, newest first.
const SETTINGS: [&str; 7] = [
    "bert",
    "roberta",
    "distilbert",
    "camembert",
    "albert",
    "xlm-roberta",
    "xlnet",
];

/// One entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `sentence_bert_config.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TransformerSettings {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

/// `config_sentence_transformers.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Prompts {
    prompts: HashMap<String, String>,
    default_prompt_name: Option<String>,
}

impl SentenceEncoder {
    /// Loads a model from a folder. Never touches the network.
    ///
    /// # Errors
    /// Any [`EncoderError`] about files or the device.
    pub fn from_folder(
        folder: &Path,
        placement: impl Into<Placement>,
    ) -> Result<Self, EncoderError> {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Self::from_source(&Folder(folder), &name.to_string_lossy(), placement.into())
    }

    pub(super) fn from_source(
        files: &dyn Source,
        name: &str,
        placement: Placement,
    ) -> Result<Self, EncoderError> {
        let modules_path = files.find(MODULES)?;
        let modules: Vec<Module> = match &modules_path {
            Some(path) => read_json(path)?,
            None => Vec::new(),
        };
        let unknown = |module: &Module, expected| EncoderError::UnknownModule {
            path: modules_path.clone().unwrap_or_default(),
            module: module.kind.clone(),
            expected,
        };
        for module in &modules {
            let mut parts = Path::new(&module.path).components();
            if !parts.all(|part| matches!(part, Component::Normal(_))) {
                return Err(EncoderError::ConfigValue {
                    path: modules_path.clone().unwrap_or_default(),
                    field: "path",
                    got: module.path.clone(),
                    expected: "a folder inside the model's",
                });
            }
        }
        let mut modules = modules.iter();
        let folder = match modules.next() {
            Some(module) if module.is("Transformer") => module.path.as_str(),
            Some(module) => return Err(unknown(module, "Transformer as the first")),
            None => "",
        };
        let config = SentenceConfig::from_file(&files.get(&below(folder, CONFIG))?)?;
        let pooling = match modules.next() {
            Some(module) if module.is("Pooling") => {
                let path = files.get(&below(&module.path, CONFIG))?;
                Pooling::from_file(&path, config.hidden_size)?
            }
            Some(module) => return Err(unknown(module, "Pooling as the second")),
            None => Pooling::mean(),
        };
        let tokenizer = load_tokenizer(files, folder, &config)?;
        let opened = placement.open()?;
        let mut dimension = pooling.dimension(config.hidden_size);
        let mut steps = Vec::new();
        for module in modules {
            let step = if module.is("Normalize") {
                Step::Normalize
            } else if module.is("Dense") {
                let path = files.get(&below(&module.path, CONFIG))?;
                let weights = weights_below(files, &module.path)?;
                Step::Dense(Dense::load(&path, &weights, dimension, &opened)?)
            } else {
                return Err(unknown(module, "Dense or Normalize after the second"));
            };
            dimension = step.dimension(dimension);
            steps.push(step);
        }
        let skipped = if pooling.includes_prompt {
            0
        } else {
            tokenizer.prompt_length()?
        };
        Ok(SentenceEncoder {
            name: name.into(),
            dimension,
            width: config.hidden_size,
            model: SentenceModel::load(&weights_below(files, folder)?, &config, &opened)?,
            device: opened.device,
            tokenizer,
            pooling,
            skipped,
            steps,
        })
    }
}

impl Module {
    fn is(&self, name: &str) -> bool {
        let (author, rest) = self.kind.split_once('.').unwrap_or_default();
        author == AUTHOR && rest.rsplit('.').next() == Some(name)
    }
}

fn load_tokenizer(
    files: &dyn Source,
    folder: &str,
    config: &SentenceConfig,
) -> Result<SentenceTokenizer, EncoderError> {
    let mut settings_path = None;
    for kind in SETTINGS {
        let file = format!("sentence_{kind}_config.json");
        settings_path = files.find(&below(folder, &file))?;
        if settings_path.is_some() {
            break;
        }
    }
    let settings: TransformerSettings = match &settings_path {
        Some(path) => read_json(path)?,
        None => TransformerSettings::default(),
    };
    let prompts: Prompts = match files.find("config_sentence_transformers.json")? {
        Some(path) => read_json(&path)?,
        None => Prompts::default(),
    };
    let prompt = prompts.default_prompt_name.as_ref();
    let prompt = prompt.and_then(|name| prompts.prompts.get(name));
    let tokens = tokenizer_config(
        files
            .find(&below(folder, "tokenizer_config.json"))?
            .as_deref(),
    )?;
    // Python would go on past the last position, and fail.
    let context = match settings.max_seq_length {
        Some(length) => length.min(config.context()),
        None => tokens.at_most(config.context()),
    };
    if context < 3 {
        return Err(EncoderError::ConfigValue {
            path: settings_path.unwrap_or_default(),
            field: "max_seq_length",
            got: context.to_string(),
            expected: "at least 3",
        });
    }
    let limits = Limits {
        vocabulary: config.vocab_size,
        segments: config.segments(),
        context,
    };
    let json = below(folder, "tokenizer.json");
    let words = match files.find(&json)? {
        Some(_) => None,
        None => files.find(&below(folder, "vocab.txt"))?,
    };
    let path = match &words {
        Some(path) => path.clone(),
        None => files.get(&json)?,
    };
    let vocabulary = if words.is_some() {
        Vocabulary::WordPieces(&path)
    } else {
        Vocabulary::Json(&path)
    };
    let lowercase = settings.do_lower_case.then(|| Lowercase.into());
    SentenceTokenizer::load(
        &vocabulary,
        &tokens,
        lowercase.into_iter().collect(),
        prompt.cloned().unwrap_or_default(),
        &limits,
    )
}

impl Encoder for SentenceEncoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn towers(&self) -> &[Tower] {
        &[Tower::Text]
    }

    fn device(&self) -> Device {
        Device::of(&self.device)
    }

    fn tokenize(&self, text: &str) -> Result<Tokens, EncoderError> {
        self.tokenizer.encode(text)
    }

    fn embed_tokens(&self, tokens: &[&Tokens]) -> Result<Array2<f32>, EncoderError> {
        let states = self.model.states(tokens)?;
        let mut x = self.pooling.pool(&states, self.width, self.skipped);
        for step in &self.steps {
            x = step.forward(x, &self.device)?;
        }
        to_unit_rows(&mut x);
        Ok(x)
    }
}

impl fmt::Debug for SentenceEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentenceEncoder")
            .field("name", &self.name)
            .field("dimension", &self.dimension)
            .field("device", &self.device.location())
            .finish_non_exhaustive()
    }
}
