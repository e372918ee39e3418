//! Models from a Hugging Face hub: a small server on this machine stands for it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use sha1::{Digest, Sha1};
use sha2::Sha256;
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serves the files of a folder as those of the repository `someone/model`, and remembers what was asked for and by whom. The
/// ETag of a file is what a file beside it says, whose name goes on with `.etag`; one with `.elsewhere` names another
/// address that has the file, and one with `.short` makes the first answers end after so many bytes.
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
    let header = |name: &str| {
        let of_name = |header: &String| {
            let (found, value) = header.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        headers.iter().find_map(of_name)
    };
    let who = header("Authorization").unwrap_or_default();
    asked.lock().unwrap().push(format!("{path} {who}"));
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
    let beside = |what: &str| {
        let path = folder.join(format!("{}.{what}", name.unwrap()));
        fs::read_to_string(path).ok()
    };
    let etag = beside("etag").unwrap_or_else(|| name.unwrap().replace(['/', '.'], "-"));
    if let Some(address) = beside("elsewhere") {
        let referral = format!(
            "HTTP/1.1 302 Found\r\nLocation: {address}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-ETag: \"{etag}\"\r\n\
             X-Linked-Size: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            content.len()
        );
        stream.write_all(referral.as_bytes()).unwrap();
        return;
    }
    let range = header("Range");
    let range = range
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (from, to) = range.unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap();
    let to = to.parse().map_or(content.len(), |last: usize| last + 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
         X-Repo-Commit: {COMMIT}\r\nETag: \"{etag}\"\r\nConnection: close\r\n\r\n",
        to - from,
        to - 1,
        content.len(),
    );
    stream.write_all(head.as_bytes()).unwrap();
    let short = beside("short").filter(|_| from == 0);
    let end = short.map_or(to, |bytes| bytes.parse().unwrap());
    stream.write_all(&content[from..end]).unwrap();
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
        .env("HF_TOKEN", "hf_secret")
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .output()
        .unwrap()
}

#[test]
fn a_model_is_fetched_once_and_then_serves_offline() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/tiny-clip");
    let hub = Hub::of(model);
    let folder = TempDir::new().unwrap();
    for (offline, requests) in [(false, 4), (false, 4), (true, 4)] {
        let output = fit(folder.path(), &hub.endpoint, offline);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert!(folder.path().join("results/report.html").is_file());
        let asked = hub.asked.lock().unwrap();
        assert_eq!(asked.len(), requests, "{asked:?}");
    }
}

#[test]
fn a_file_that_is_not_what_its_checksum_says_is_refused_and_not_kept() {
    let served = served();
    let hub = Hub::of(served.path().into());
    let folder = TempDir::new().unwrap();
    let sound = fs::read(served.path().join("model.safetensors")).unwrap();
    let mut damaged = sound.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let sha256 = Sha256::digest(&sound);
    let sha1 = Sha1::new_with_prefix(format!("blob {}\0", sound.len())).chain_update(&sound);
    let sha1 = sha1.finalize();
    for checksum in [&sha256[..], &sha1[..]] {
        let checksum: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(served.path().join("model.safetensors.etag"), &checksum).unwrap();
        let home = folder.path().join("hf");
        let _ = fs::remove_dir_all(&home);
        fs::write(served.path().join("model.safetensors"), &damaged).unwrap();
        let output = fit(folder.path(), &hub.endpoint, false);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        let expected = format!(" instead of {checksum}");
        assert!(
            error.contains("its checksum is") && error.contains(&expected),
            "{error}"
        );
        fs::write(served.path().join("model.safetensors"), &sound).unwrap();
        let output = fit(folder.path(), &hub.endpoint, false);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }
}

/// A folder of tiny-clip's files, to be served.
fn served() -> TempDir {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/tiny-clip");
    let served = TempDir::new().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(model.join(file), served.path().join(file)).unwrap();
    }
    served
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_whom_it_refers() {
    let (served, elsewhere) = (served(), served());
    let other = Hub::of(elsewhere.path().into());
    let address = format!(
        "{}/someone/model/resolve/main/model.safetensors",
        other.endpoint
    );
    fs::write(served.path().join("model.safetensors.elsewhere"), address).unwrap();
    let hub = Hub::of(served.path().into());
    let folder = TempDir::new().unwrap();
    let output = fit(folder.path(), &hub.endpoint, false);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(!error.contains("hf_secret"));
    let told = |hub: &Hub| {
        let asked = hub.asked.lock().unwrap();
        let with_token = asked
            .iter()
            .filter(|request| request.ends_with(" Bearer hf_secret"));
        (asked.len(), with_token.count())
    };
    assert_eq!(told(&hub), (4, 4));
    assert_eq!(told(&other), (1, 0));
}

#[test]
fn servers_that_refer_to_each_other_or_out_of_the_cache_are_given_up() {
    for (what, content, expected) in [
        (
            "elsewhere",
            "/someone/model/resolve/main/config.json",
            "without end",
        ),
        (
            "etag",
            "../../outside",
            "a commit or a checksum that is none",
        ),
    ] {
        let served = served();
        fs::write(served.path().join(format!("config.json.{what}")), content).unwrap();
        let hub = Hub::of(served.path().into());
        let folder = TempDir::new().unwrap();
        let output = fit(folder.path(), &hub.endpoint, false);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_download_that_breaks_off_is_gone_on_with() {
    let served = served();
    fs::write(served.path().join("model.safetensors.short"), "1000").unwrap();
    let hub = Hub::of(served.path().into());
    let folder = TempDir::new().unwrap();
    let output = fit(folder.path(), &hub.endpoint, false);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let kept = folder
        .path()
        .join("hf/hub/models--someone--model/blobs/model-safetensors");
    let sound = fs::read(served.path().join("model.safetensors")).unwrap();
    assert_eq!(fs::read(kept).unwrap(), sound);
}

#[test]
fn a_model_in_the_cache_needs_no_answer_about_files_it_does_not_have() {
    let served = served();
    let hub = Hub::of(served.path().into());
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
