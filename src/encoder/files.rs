//! Which files make a CLIP model, in a folder or on the Hugging Face hub.
//!
//! Two layouts are known: Hugging Face's (`config.json`, `model.safetensors`, `preprocessor_config.json`) and open_clip's
//! (`open_clip_config.json`, `open_clip_model.safetensors`). Weights may be one file or shards with an index, in
//! safetensors or in PyTorch's format; the tokeniser `tokenizer.json`, `vocab.json` with `merges.txt`, or OpenAI's list of
//! merges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::EncoderError;
use super::config::{CLIP, model_type, read_json};
use super::hub::HubRepository;
use super::tokenizer::TokenizerFiles;

pub(super) const CONFIG: &str = "config.json";
pub(super) const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";
pub(super) const PREPROCESSING: &str = "preprocessor_config.json";

/// Weight files by preference, each possibly in shards.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const OPEN_CLIP_WEIGHTS: [&str; 2] = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// What the index of a weight file in shards has after the file's name.
const INDEX: &str = ".index.json";

/// Endings of weight files of any name.
const WEIGHT_EXTENSIONS: [&str; 4] = ["safetensors", "bin", "pt", "pth"];

/// The files of one model.
pub(super) struct ModelFiles {
    pub(super) config: ConfigFile,
    /// Whole or in shards.
    pub(super) weights: Vec<PathBuf>,
    pub(super) tokenizer: TokenizerFiles,
    /// `preprocessor_config.json`.
    pub(super) preprocessing: Option<PathBuf>,
}

/// Where the sizes of the towers are written.
pub(super) enum ConfigFile {
    HuggingFace(PathBuf),
    OpenClip(PathBuf),
    /// Nowhere but in the shapes of the weights.
    Missing,
}

/// `*.index.json`: the shard of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Something that has files: a folder or a repository.
pub(super) trait Source {
    /// The path of `file`, if it is on this machine already.
    fn at_hand(&self, file: &str) -> Option<PathBuf>;

    /// The path of `file`, if there is one.
    ///
    /// # Errors
    /// [`EncoderError::Download`], [`EncoderError::Refused`].
    fn find(&self, file: &str) -> Result<Option<PathBuf>, EncoderError>;

    /// The path of `file`, which there must be.
    ///
    /// # Errors
    /// As [`find`](Self::find), and an error that names the file if there is none.
    fn get(&self, file: &str) -> Result<PathBuf, EncoderError>;
}

impl ModelFiles {
    /// The files in a folder, where weights may have any name if they are the only ones.
    ///
    /// # Errors
    /// [`EncoderError::MissingFile`]; [`EncoderError::Unreadable`] and [`EncoderError::Json`] for the files that tell
    /// which others there are.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, EncoderError> {
        let source = Folder(folder);
        let (config, weights) = layout(&source)?;
        let weights = match weights {
            Some(weights) => weights,
            None => vec![source.only_weights(config.weights()[0])?],
        };
        Self::from_source(&source, config, weights)
    }

    /// The files in a repository, fetched.
    ///
    /// # Errors
    /// [`EncoderError::NotCached`], [`EncoderError::NotInRepository`], [`EncoderError::Refused`],
    /// [`EncoderError::Download`]; [`EncoderError::Unreadable`] and [`EncoderError::Json`] for the files that tell which
    /// others there are.
    pub(super) fn from_hub(hub: &HubRepository) -> Result<Self, EncoderError> {
        let (config, weights) = layout(hub)?;
        if let ConfigFile::Missing = config {
            hub.get(CONFIG)?;
        }
        let weights = match weights {
            Some(weights) => weights,
            None => vec![hub.get(config.weights()[0])?],
        };
        Self::from_source(hub, config, weights)
    }

    fn from_source(
        source: &dyn Source,
        config: ConfigFile,
        weights: Vec<PathBuf>,
    ) -> Result<Self, EncoderError> {
        Ok(ModelFiles {
            tokenizer: TokenizerFiles::of(source)?,
            preprocessing: match config {
                ConfigFile::OpenClip(_) => None,
                _ => source.find(PREPROCESSING)?,
            },
            config,
            weights,
        })
    }
}

/// The configuration, and the weights that go with it if there are any: Hugging Face's where both layouts are there.
fn layout(source: &dyn Source) -> Result<(ConfigFile, Option<Vec<PathBuf>>), EncoderError> {
    // timm's repositories have a config.json about the vision tower alone.
    let config = source.find(CONFIG)?;
    let is_clip = match &config {
        Some(config) => model_type(config)?.as_deref() == Some(CLIP),
        None => false,
    };
    if let Some(config) = config.clone().filter(|_| is_clip)
        && let Some(weights) = first_of(source, &WEIGHTS)?
    {
        return Ok((ConfigFile::HuggingFace(config), Some(weights)));
    }
    let config = match (source.find(OPEN_CLIP_CONFIG)?, config) {
        (Some(open_clip), _) => ConfigFile::OpenClip(open_clip),
        (None, Some(config)) => ConfigFile::HuggingFace(config),
        (None, None) => ConfigFile::Missing,
    };
    let weights = first_of(source, config.weights())?;
    Ok((config, weights))
}

impl ConfigFile {
    /// The weight files that go with it.
    fn weights(&self) -> &'static [&'static str; 2] {
        match self {
            ConfigFile::HuggingFace(_) => &WEIGHTS,
            ConfigFile::OpenClip(_) | ConfigFile::Missing => &OPEN_CLIP_WEIGHTS,
        }
    }
}

/// The weights of a model in Hugging Face's layout below `folder`, which may be empty.
///
/// # Errors
/// Those of the source; [`EncoderError::Unreadable`], [`EncoderError::Json`] and [`EncoderError::ConfigValue`] for an
/// index of shards.
pub(super) fn weights_below(
    source: &dyn Source,
    folder: &str,
) -> Result<Vec<PathBuf>, EncoderError> {
    let files = WEIGHTS.map(|file| below(folder, file));
    match first_of(source, &files.each_ref().map(String::as_str))? {
        Some(weights) => Ok(weights),
        None => Ok(vec![source.get(&files[0])?]),
    }
}

/// `folder/file`, as a repository spells it.
pub(super) fn below(folder: &str, file: &str) -> String {
    match folder.trim_end_matches('/') {
        "" => file.into(),
        folder => format!("{folder}/{file}"),
    }
}

/// The first of `files` that there is, whole or in shards; what is at hand comes before what would have to be fetched.
fn first_of(source: &dyn Source, files: &[&str]) -> Result<Option<Vec<PathBuf>>, EncoderError> {
    let index = |file: &str| format!("{file}{INDEX}");
    let is_at_hand =
        |file: &str| source.at_hand(file).is_some() || source.at_hand(&index(file)).is_some();
    let first = files.iter().filter(|file| is_at_hand(file));
    for file in first.chain(files) {
        if let Some(path) = source.at_hand(file) {
            return Ok(Some(vec![path]));
        }
        if source.at_hand(&index(file)).is_none()
            && let Some(path) = source.find(file)?
        {
            return Ok(Some(vec![path]));
        }
        if let Some(path) = source.find(&index(file))? {
            return shards(source, file, path).map(Some);
        }
    }
    Ok(None)
}

/// The shards of `file`, by their index.
fn shards(source: &dyn Source, file: &str, index: PathBuf) -> Result<Vec<PathBuf>, EncoderError> {
    let Index { weight_map } = read_json(&index)?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    // A shard lies beside its index, never elsewhere.
    if let Some(shard) = shards.iter().find(|shard| shard.contains(['/', '\\'])) {
        return Err(EncoderError::ConfigValue {
            path: index,
            field: "weight_map",
            got: shard.clone(),
            expected: "the name of a file in the same folder",
        });
    }
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let shards = shards.iter().map(|shard| source.get(&below(folder, shard)));
    shards.collect()
}

/// A folder on this machine.
pub(super) struct Folder<'a>(pub(super) &'a Path);

impl Source for Folder<'_> {
    fn at_hand(&self, file: &str) -> Option<PathBuf> {
        Some(self.0.join(file)).filter(|path| path.is_file())
    }

    fn find(&self, file: &str) -> Result<Option<PathBuf>, EncoderError> {
        Ok(self.at_hand(file))
    }

    fn get(&self, file: &str) -> Result<PathBuf, EncoderError> {
        self.at_hand(file).ok_or_else(|| EncoderError::MissingFile {
            folder: self.0.into(),
            file: file.into(),
        })
    }
}

impl Folder<'_> {
    /// The only file in the folder that looks like weights; `usual` is what to ask for where there is none.
    fn only_weights(&self, usual: &str) -> Result<PathBuf, EncoderError> {
        let entries = std::fs::read_dir(self.0).map_err(|cause| EncoderError::Unreadable {
            path: self.0.into(),
            cause,
        })?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let extension = path.extension().and_then(|extension| extension.to_str());
                extension.is_some_and(|extension| WEIGHT_EXTENSIONS.contains(&extension))
            })
            .collect();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => self.get(usual),
        }
    }
}
