//! Models from a Hugging Face hub: a small server on this machine stands for it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serves the files of a folder as those of the repository `someone/model`, and remembers what was asked for.
struct Hub {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn of(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, asked) = (folder.clone(), remembered.clone());
                std::thread::spawn(move || answer(&stream, &folder, &asked));
            }
        });
        Hub { endpoint, asked }
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = request.split(' ').nth(1).unwrap_or_default();
    asked.lock().unwrap().push(path.to_owned());
    if path.starts_with("/someone/private/") {
        let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(refused.as_bytes()).unwrap();
        return;
    }
    let name = path.strip_prefix("/someone/model/resolve/main/");
    let Some(content) = name.and_then(|name| fs::read(folder.join(name)).ok()) else {
        let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(missing.as_bytes()).unwrap();
        return;
    };
    let range = headers.iter().find_map(|header| {
        let (name, value) = header.split_once(": ")?;
        let range = value.strip_prefix("bytes=")?.split_once('-')?;
        name.eq_ignore_ascii_case("range").then_some(range)
    });
    let (from, to) = range.unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap();
    let to = to.parse().map_or(content.len(), |last: usize| last + 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
         X-Repo-Commit: {COMMIT}\r\nETag: \"{}\"\r\nConnection: close\r\n\r\n",
        to - from,
        to - 1,
        content.len(),
        name.unwrap().replace(['/', '.'], "-"),
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&content[from..to]).unwrap();
}

fn fit(folder: &Path, endpoint: &str, offline: bool) -> Output {
    fit_model(folder, "someone/model", endpoint, offline)
}

fn fit_model(folder: &Path, model: &str, endpoint: &str, offline: bool) -> Output {
    fs::write(
        folder.join("texts.txt"),
        "red circle\nblue star\n".repeat(5),
    )
    .unwrap();
    let arguments = ["--text-file", "texts.txt", "--clip-model", model, "-k", "2"];
    Command::new(env!("CARGO_BIN_EXE_vmfmix"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("HF_HUB_CACHE")
        .env("HF_HOME", folder.join("hf"))
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .output()
        .unwrap()
}

#[test]
fn a_model_is_fetched_once_and_then_serves_offline() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/tiny-clip");
    let hub = Hub::of(model);
    let folder = TempDir::new().unwrap();
    // Two requests for each of four files: for its size, and for its content.
    for (offline, requests) in [(false, 8), (false, 8), (true, 8)] {
        let output = fit(folder.path(), &hub.endpoint, offline);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert!(folder.path().join("results/report.html").is_file());
        let asked = hub.asked.lock().unwrap();
        assert_eq!(asked.len(), requests, "{asked:?}");
    }
}

#[test]
fn a_model_in_the_cache_needs_no_answer_about_files_it_does_not_have() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/tiny-clip");
    let copied = TempDir::new().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(model.join(file), copied.path().join(file)).unwrap();
    }
    let hub = Hub::of(copied.path().into());
    let folder = TempDir::new().unwrap();
    for endpoint in [&hub.endpoint, "http://127.0.0.1:9"] {
        let output = fit(folder.path(), endpoint, false);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }
}

#[test]
fn a_repository_that_may_not_be_read_is_told_from_one_that_is_not_there() {
    let hub = Hub::of(PathBuf::from("/nowhere"));
    let folder = TempDir::new().unwrap();
    let output = fit_model(folder.path(), "someone/private", &hub.endpoint, false);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("config.json of someone/private is refused by"),
        "{error}"
    );
    assert!(error.contains("set HF_TOKEN"), "{error}");
}

#[test]
fn a_repository_without_a_model_is_told_from_a_broken_server() {
    let hub = Hub::of(PathBuf::from("/nowhere"));
    let folder = TempDir::new().unwrap();
    let output = fit(folder.path(), &hub.endpoint, false);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let expected = format!(
        "error: someone/model on {} has no config.json; check the name, or use a model that has one",
        hub.endpoint
    );
    assert!(error.contains(&expected), "{error}");
}
