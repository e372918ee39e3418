//! Files of a Hugging Face repository, from the cache that all Hugging Face programs share or from the network.
//!
//! The environment says where, as it does for `huggingface_hub`: `HF_HUB_CACHE` or `HF_HOME` (the cache), `HF_ENDPOINT`
//! (the server), `HF_TOKEN`, `HF_TOKEN_PATH` or the file `token` in `HF_HOME` (who asks), `HF_HUB_OFFLINE` (do not ask).
//! A file in the cache is used as it is; the network is asked only for what is missing, which is held against its length and its checksum.

use std::env;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::download::{Client, Failure};
use super::errors::Cause;
use super::files::{CONFIG, Source};
use super::{EncoderError, models};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// One repository and the ways to its files.
pub(super) struct HubRepository {
    name: String,
    /// Where the hub is, without who asks, for messages.
    endpoint: String,
    cache: PathBuf,
    /// Of the repository in the cache.
    folder: PathBuf,
    revision: String,
    cached: CacheRepo,
    /// Where a pinned commit lies, whatever name it was fetched by.
    snapshot: Option<PathBuf>,
    remote: Option<Client>,
    /// Whether the model was in the cache before anything was fetched.
    was_cached: bool,
    /// Whether the server has failed to answer, and is not to be asked again for what a model may do without.
    is_silent: AtomicBool,
}

impl HubRepository {
    /// The repository of a model by its name in the registry or its Hugging Face id, and the model's name.
    ///
    /// # Errors
    /// [`EncoderError::UnknownModel`]; [`EncoderError::Download`] if no network client can be set up.
    pub(super) fn of_model(model: &str) -> Result<(Self, &str), EncoderError> {
        let found = models::resolve(model)?;
        Ok((Self::from_env(found.id, found.revision)?, found.name))
    }

    /// The repository with this Hugging Face id, as the environment of this process says.
    ///
    /// # Errors
    /// [`EncoderError::Download`] if no network client can be set up.
    fn from_env(name: &str, revision: Option<&str>) -> Result<Self, EncoderError> {
        let settings = Settings::read(|variable| env::var(variable).ok());
        Self::new(name, revision, &settings)
    }

    fn new(name: &str, revision: Option<&str>, settings: &Settings) -> Result<Self, EncoderError> {
        let cache = Cache::new(settings.cache.clone());
        let repo = match revision {
            Some(revision) => Repo::with_revision(name.into(), RepoType::Model, revision.into()),
            None => Repo::model(name.into()),
        };
        let folder = settings.cache.join(repo.folder_name());
        let mut repository = HubRepository {
            name: name.into(),
            endpoint: without_user(&settings.endpoint),
            cache: settings.cache.clone(),
            snapshot: revision.map(|revision| folder.join("snapshots").join(revision)),
            folder,
            revision: repo.revision().into(),
            cached: cache.repo(repo),
            remote: None,
            was_cached: false,
            is_silent: AtomicBool::new(false),
        };
        repository.was_cached = repository.at_hand(CONFIG).is_some();
        if !settings.offline {
            let client = Client::new(
                &settings.endpoint,
                settings.token.clone(),
                settings.progress,
            );
            let client = client.map_err(|cause| repository.download_error("the client", cause))?;
            repository.remote = Some(client);
        }
        Ok(repository)
    }

    /// Asks the server for `file`; `None` if it has no such file.
    fn ask(&self, remote: &Client, file: &str) -> Result<Option<PathBuf>, EncoderError> {
        match remote.fetch(&self.name, &self.revision, &self.folder, file) {
            Ok(path) => Ok(Some(path)),
            Err(Failure::Missing) => Ok(None),
            Err(Failure::Refused) => Err(EncoderError::Refused {
                repository: self.name.clone(),
                file: file.into(),
                endpoint: self.endpoint.clone(),
            }),
            Err(Failure::Other(cause)) => Err(self.download_error(file, cause)),
        }
    }

    fn download_error(&self, file: &str, cause: Cause) -> EncoderError {
        EncoderError::Download {
            repository: self.name.clone(),
            file: file.into(),
            endpoint: self.endpoint.clone(),
            folder: PathBuf::from("models").join(self.name.rsplit('/').next().unwrap_or_default()),
            cause,
        }
    }
}

/// An address without the name and the password that may stand in it.
fn without_user(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
                .trim_end_matches('/')
                .to_owned()
        }
        None => address.to_owned(),
    }
}

impl Source for HubRepository {
    fn at_hand(&self, file: &str) -> Option<PathBuf> {
        let pinned = self.snapshot.as_ref().map(|folder| folder.join(file));
        pinned
            .filter(|path| path.is_file())
            .or_else(|| self.cached.get(file))
    }

    /// Where the server gives no answer, a model that was in the cache has only the files that are there.
    fn find(&self, file: &str) -> Result<Option<PathBuf>, EncoderError> {
        if let Some(path) = self.at_hand(file) {
            return Ok(Some(path));
        }
        let Some(remote) = self
            .remote
            .as_ref()
            .filter(|_| !self.is_silent.load(Relaxed))
        else {
            return Ok(None);
        };
        match self.ask(remote, file) {
            Err(EncoderError::Download { .. }) if self.was_cached => {
                self.is_silent.store(true, Relaxed);
                Ok(None)
            }
            answer => answer,
        }
    }

    fn get(&self, file: &str) -> Result<PathBuf, EncoderError> {
        if let Some(path) = self.at_hand(file) {
            return Ok(path);
        }
        let Some(remote) = &self.remote else {
            return Err(EncoderError::NotCached {
                repository: self.name.clone(),
                file: file.into(),
                cache: self.cache.clone(),
            });
        };
        self.ask(remote, file)?
            .ok_or_else(|| EncoderError::NotInRepository {
                repository: self.name.clone(),
                file: file.into(),
                endpoint: self.endpoint.clone(),
            })
    }
}

/// What the environment says. Never printed: it holds the token.
struct Settings {
    cache: PathBuf,
    endpoint: String,
    token: Option<String>,
    offline: bool,
    progress: bool,
}

impl Settings {
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is_set = |name: &str| {
            variable(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
            })
        };
        let home = variable("HF_HOME").map_or_else(
            || match variable("XDG_CACHE_HOME") {
                Some(folder) => PathBuf::from(folder).join("huggingface"),
                None => Cache::default().path().with_file_name(""),
            },
            PathBuf::from,
        );
        let token_file =
            variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        Settings {
            cache: variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            endpoint: variable("HF_ENDPOINT")
                .unwrap_or_else(|| DEFAULT_ENDPOINT.into())
                .trim_end_matches('/')
                .into(),
            token: variable("HF_TOKEN")
                .or_else(|| std::fs::read_to_string(token_file).ok())
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
            offline: is_set("HF_HUB_OFFLINE"),
            progress: !is_set("HF_HUB_DISABLE_PROGRESS_BARS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_cache_is_named_by_hub_cache_then_home() {
        let both = settings(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "/b")]);
        assert_eq!(both.cache, PathBuf::from("/b"));
        assert_eq!(
            settings(&[("HF_HOME", "/a")]).cache,
            PathBuf::from("/a/hub")
        );
        assert!(settings(&[]).cache.ends_with(".cache/huggingface/hub"));
    }

    #[test]
    fn the_token_comes_from_the_environment_or_its_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(
            settings(&[("HF_HOME", home)]).token.as_deref(),
            Some("from-file")
        );
        let named = settings(&[("HF_HOME", home), ("HF_TOKEN", "named")]);
        assert_eq!(named.token.as_deref(), Some("named"));
        assert_eq!(settings(&[("HF_HOME", "/nowhere")]).token, None);
    }

    #[test]
    fn offline_uses_the_cache_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().to_str().unwrap();
        let offline = settings(&[("HF_HUB_CACHE", cache), ("HF_HUB_OFFLINE", "1")]);
        let repository = HubRepository::new("someone/model", None, &offline).unwrap();
        assert!(repository.remote.is_none());
        let message = repository.get("config.json").unwrap_err().to_string();
        assert!(
            message.starts_with("config.json of someone/model is not in the cache"),
            "{message}"
        );

        let model = folder.path().join("models--someone--model");
        std::fs::create_dir_all(model.join("refs")).unwrap();
        std::fs::create_dir_all(model.join("snapshots/abc")).unwrap();
        std::fs::write(model.join("refs/main"), "abc").unwrap();
        std::fs::write(model.join("snapshots/abc/config.json"), "{}").unwrap();
        assert!(repository.get("config.json").unwrap().is_file());
        // A pinned commit is found although it was fetched by the name of its branch.
        let pinned = HubRepository::new("someone/model", Some("abc"), &offline).unwrap();
        assert!(pinned.get("config.json").unwrap().is_file());
    }

    #[test]
    fn an_unreachable_server_is_named_and_the_token_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().to_str().unwrap();
        let unreachable = settings(&[
            ("HF_HUB_CACHE", cache),
            ("HF_ENDPOINT", "http://127.0.0.1:9/"),
            ("HF_TOKEN", "secret"),
        ]);
        let repository = HubRepository::new("someone/model", None, &unreachable).unwrap();
        let error = repository.get("config.json").unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with(
                "config.json of someone/model could not be fetched from http://127.0.0.1:9 ("
            ),
            "{message}"
        );
        assert!(!format!("{message}{error:?}").contains("secret"));
    }
}
