//! The files of a model, wherever they lie: in a folder or in a repository of Hugging Face.

use std::path::{Path, PathBuf};

use super::EncoderError;
use super::checkpoint::shards;
use super::hub::HubRepository;

/// Weight files, the preferred one first.
const WEIGHTS: [&str; 3] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
];

/// Where the files of a model lie.
pub(super) enum ModelFiles {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A repository; its files are fetched when they are asked for.
    Hub(Box<HubRepository>),
}

impl ModelFiles {
    /// The path of a file that a model may or may not have.
    ///
    /// # Errors
    /// [`EncoderError::Download`] if the repository could not be asked.
    pub(super) fn find(&self, file: &str) -> Result<Option<PathBuf>, EncoderError> {
        match self {
            ModelFiles::Folder(folder) => Ok(Some(folder.join(file)).filter(|path| path.is_file())),
            ModelFiles::Hub(repository) => repository.fetch_if_present(file),
        }
    }

    /// The path of a file that the model must have.
    ///
    /// # Errors
    /// [`EncoderError::MissingFile`], [`EncoderError::NotCached`], [`EncoderError::Download`].
    pub(super) fn require(&self, file: &str) -> Result<PathBuf, EncoderError> {
        match self {
            ModelFiles::Folder(folder) => {
                self.find(file)?.ok_or_else(|| EncoderError::MissingFile {
                    folder: folder.clone(),
                    file: file.into(),
                })
            }
            ModelFiles::Hub(repository) => repository.fetch(file),
        }
    }

    /// The path of the weights below `folder`; if that is an index, its shards lie beside it.
    ///
    /// # Errors
    /// See [`ModelFiles::require`].
    pub(super) fn weights(&self, folder: &str) -> Result<PathBuf, EncoderError> {
        for file in WEIGHTS {
            let Some(path) = self.find(&below(folder, file))? else {
                continue;
            };
            if file == WEIGHTS[1] {
                for shard in shards(&path)? {
                    let name = shard.file_name().unwrap_or_default().to_string_lossy();
                    self.require(&below(folder, &name))?;
                }
            }
            return Ok(path);
        }
        self.require(&below(folder, WEIGHTS[0]))
    }
}

/// `folder/file`, as a repository spells it; `folder` may be empty.
pub(super) fn below(folder: &str, file: &str) -> String {
    if folder.is_empty() {
        file.into()
    } else {
        Path::new(folder)
            .join(file)
            .to_string_lossy()
            .replace('\\', "/")
    }
}
