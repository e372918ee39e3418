//! Files of a Hugging Face repository, from the cache that all Hugging Face programs share or from the network.
//!
//! The environment says where, as it does for `huggingface_hub`: `HF_HUB_CACHE` or `HF_HOME` (the cache), `HF_ENDPOINT`
//! (the server), `HF_TOKEN`, `HF_TOKEN_PATH` or the file `token` in `HF_HOME` (who asks), `HF_HUB_OFFLINE` (do not ask).
//! A file in the cache is used as it is; the network is asked only for what is missing.

use std::env;
use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo};

use super::EncoderError;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How often a broken download is taken up again.
const MAX_RETRIES: usize = 3;

/// How the client's message about a file that the server does not have ends; its type belongs to another crate.
const NOT_FOUND: &str = "http status: 404";

/// One repository and the ways to its files.
pub(super) struct HubRepository {
    name: String,
    endpoint: String,
    cache: PathBuf,
    cached: CacheRepo,
    remote: Option<ApiRepo>,
}

impl HubRepository {
    /// The repository with this Hugging Face id, as the environment of this process says.
    ///
    /// # Errors
    /// [`EncoderError::Download`] if no network client can be set up.
    pub(super) fn from_env(name: &str) -> Result<Self, EncoderError> {
        Self::new(name, &Settings::read(|variable| env::var(variable).ok()))
    }

    fn new(name: &str, settings: &Settings) -> Result<Self, EncoderError> {
        let cache = Cache::new(settings.cache.clone());
        let mut repository = HubRepository {
            name: name.into(),
            endpoint: settings.endpoint.clone(),
            cache: settings.cache.clone(),
            cached: cache.repo(Repo::model(name.into())),
            remote: None,
        };
        if !settings.offline {
            let api = ApiBuilder::from_cache(cache)
                .with_endpoint(settings.endpoint.clone())
                .with_token(settings.token.clone())
                .with_retries(MAX_RETRIES)
                .with_progress(settings.progress)
                .build()
                .map_err(|cause| repository.download_error("the client", cause))?;
            repository.remote = Some(api.repo(Repo::model(name.into())));
        }
        Ok(repository)
    }

    /// The path of `file` on this machine.
    ///
    /// # Errors
    /// [`EncoderError::NotCached`] without the network, [`EncoderError::Download`] with it.
    pub(super) fn fetch(&self, file: &str) -> Result<PathBuf, EncoderError> {
        if let Some(path) = self.cached.get(file) {
            return Ok(path);
        }
        let Some(remote) = &self.remote else {
            return Err(EncoderError::NotCached {
                repository: self.name.clone(),
                file: file.into(),
                cache: self.cache.clone(),
            });
        };
        remote
            .download(file)
            .map_err(|cause| self.download_error(file, cause))
    }

    /// The path of `file` on this machine, `None` if the repository has no such file, or if it is not in the cache and the
    /// network may not be asked.
    ///
    /// # Errors
    /// [`EncoderError::Download`] for any other reason.
    pub(super) fn fetch_if_present(&self, file: &str) -> Result<Option<PathBuf>, EncoderError> {
        match self.fetch(file) {
            Ok(path) => Ok(Some(path)),
            Err(EncoderError::NotCached { .. }) => Ok(None),
            Err(EncoderError::Download { cause, .. }) if cause.to_string().ends_with(NOT_FOUND) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The first of `files` that there is; the error is the one about the first.
    ///
    /// # Errors
    /// See [`HubRepository::fetch`].
    pub(super) fn fetch_first_of(&self, files: &[&str]) -> Result<PathBuf, EncoderError> {
        if let Some(path) = files.iter().find_map(|file| self.cached.get(file)) {
            return Ok(path);
        }
        let first = self.fetch(files[0]);
        if first.is_ok() {
            return first;
        }
        files[1..]
            .iter()
            .find_map(|file| self.fetch(file).ok())
            .map_or(first, Ok)
    }

    fn download_error(&self, file: &str, cause: hf_hub::api::sync::ApiError) -> EncoderError {
        EncoderError::Download {
            repository: self.name.clone(),
            file: file.into(),
            endpoint: self.endpoint.clone(),
            folder: PathBuf::from("models").join(self.name.rsplit('/').next().unwrap_or_default()),
            cause: Box::new(cause),
        }
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
        let repository = HubRepository::new("someone/model", &offline).unwrap();
        assert!(repository.remote.is_none());
        let message = repository.fetch("config.json").unwrap_err().to_string();
        assert!(
            message.starts_with("config.json of someone/model is not in the cache"),
            "{message}"
        );

        let model = folder.path().join("models--someone--model");
        std::fs::create_dir_all(model.join("refs")).unwrap();
        std::fs::create_dir_all(model.join("snapshots/abc")).unwrap();
        std::fs::write(model.join("refs/main"), "abc").unwrap();
        std::fs::write(model.join("snapshots/abc/config.json"), "{}").unwrap();
        assert!(repository.fetch("config.json").unwrap().is_file());
        let present = |file: &str| repository.fetch_if_present(file).unwrap();
        assert!(present("config.json").is_some());
        assert!(present("modules.json").is_none());
        assert!(
            repository
                .fetch_first_of(&["a", "config.json"])
                .unwrap()
                .is_file()
        );
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
        let repository = HubRepository::new("someone/model", &unreachable).unwrap();
        let error = repository.fetch("config.json").unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with(
                "config.json of someone/model could not be fetched from http://127.0.0.1:9 ("
            ),
            "{message}"
        );
        assert!(!format!("{message}{error:?}").contains("secret"));
        // Nobody knows whether the file is there: that is no answer.
        assert!(repository.fetch_if_present("modules.json").is_err());
    }

    #[test]
    fn a_file_that_the_server_does_not_have_is_no_error() {
        use std::io::{Read, Write};

        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", server.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(
                    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().to_str().unwrap();
        let asked = settings(&[("HF_HUB_CACHE", cache), ("HF_ENDPOINT", &endpoint)]);
        let repository = HubRepository::new("someone/model", &asked).unwrap();
        assert!(
            repository
                .fetch_if_present("modules.json")
                .unwrap()
                .is_none()
        );
        assert!(repository.fetch("modules.json").is_err());
    }
}
