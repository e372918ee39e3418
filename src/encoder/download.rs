//! One file from the Hugging Face hub into the cache that all Hugging Face programs share.
//!
//! `blobs/CHECKSUM` holds the content, `snapshots/COMMIT/FILE` is a link to it, and `refs/REVISION` names the commit. A file
//! gets its name when its length and its checksum are those that the hub named; until then it is `CHECKSUM.incomplete`, and
//! is gone on with. The token goes to the hub alone, never to the servers that it refers to, and these must be reached by
//! HTTPS where the hub is.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LOCATION, RANGE,
};
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::errors::Cause;
use super::identity::hex;
use crate::whole_file::write_whole;

/// Servers that may refer to each other for one file.
const MAX_REFERRALS: usize = 5;

/// How often a broken download is taken up again, and how long is waited before the first time.
const MAX_RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(300);

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// Who asks whom.
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    /// Never printed.
    token: Option<String>,
    shows_progress: bool,
}

/// Why a file is not there.
#[derive(Debug)]
pub(super) enum Failure {
    /// The repository has no such file, or is not there itself.
    Missing,
    /// It may not be read without a token, or with this one.
    Refused,
    Other(Cause),
}

impl<E: Into<Cause>> From<E> for Failure {
    fn from(cause: E) -> Self {
        Failure::Other(cause.into())
    }
}

/// What the hub says of a file.
struct Description {
    commit: String,
    checksum: String,
    length: Option<u64>,
}

impl Client {
    /// A client of the hub at `endpoint`.
    ///
    /// # Errors
    /// `endpoint` is no address.
    pub(super) fn new(
        endpoint: &str,
        token: Option<String>,
        shows_progress: bool,
    ) -> Result<Self, Cause> {
        let endpoint = Uri::from_str(endpoint)?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(endpoint.scheme_str() == Some("https"))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .user_agent(concat!("vmfmix/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client {
            agent: agent.into(),
            endpoint,
            token,
            shows_progress,
        })
    }

    /// Fetches a file of a repository into its folder in the cache, and returns its path there.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn fetch(
        &self,
        repository: &str,
        revision: &str,
        folder: &Path,
        file: &str,
    ) -> Result<PathBuf, Failure> {
        let hub = self.endpoint.to_string();
        let hub = hub.trim_end_matches('/');
        let branch = revision.replace('/', "%2F");
        let address = Uri::from_str(&format!("{hub}/{repository}/resolve/{branch}/{file}"))?;
        let (described, first) = self.ask(&address, 0)?;
        let blobs = folder.join("blobs");
        let blob = blobs.join(&described.checksum);
        let incomplete = blob.with_extension("incomplete");
        fs::create_dir_all(&blobs)?;
        let mut part = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&incomplete)?;
        // Another program may be fetching the same; where files cannot be locked, the checksum tells.
        let _ = part.lock();
        let mut answer = (part.metadata()?.len() == 0).then_some(first);
        let mut attempt = 0;
        while let Err(cause) = self.receive(&address, &described, &mut part, answer.take(), file) {
            if attempt == MAX_RETRIES {
                return Err(cause);
            }
            sleep(FIRST_WAIT * 2_u32.pow(attempt));
            attempt += 1;
        }
        if let Err(cause) = described.check(&mut part) {
            fs::remove_file(&incomplete)?;
            return Err(cause.into());
        }
        part.sync_all()?;
        fs::rename(&incomplete, &blob)?;
        let pointer = folder.join("snapshots").join(&described.commit).join(file);
        link(folder, &blob, &pointer)?;
        let reference = folder.join("refs").join(revision);
        write_whole::<io::Error>(&reference, |file| {
            file.write_all(described.commit.as_bytes())
        })?;
        Ok(pointer)
    }

    /// Appends to `part` what it lacks.
    fn receive(
        &self,
        address: &Uri,
        described: &Description,
        part: &mut File,
        answer: Option<Response<Body>>,
        name: &str,
    ) -> Result<(), Failure> {
        let present = part.metadata()?.len();
        if described.length == Some(present) {
            return Ok(());
        }
        let answer = match answer {
            Some(answer) => answer,
            None => {
                let (again, answer) = self.ask(address, present)?;
                if again.checksum != described.checksum {
                    return Err("the file has been changed meanwhile".into());
                }
                answer
            }
        };
        let starts_at = match range(answer.headers()) {
            Some((start, _)) if answer.status() == StatusCode::PARTIAL_CONTENT => start,
            _ => 0,
        };
        if starts_at != present {
            part.set_len(0)?;
            if starts_at > 0 {
                return Err("the server sent another part of the file".into());
            }
        }
        let bar = self.bar(described.length, starts_at, name);
        // One byte more than the hub named, to see that there is none.
        let limit = described
            .length
            .map_or(u64::MAX, |length| length - starts_at.min(length) + 1);
        let mut body = answer.into_body().into_reader().take(limit);
        let mut piece = vec![0; PIECE];
        loop {
            match body.read(&mut piece)? {
                0 => break,
                n => {
                    part.write_all(&piece[..n])?;
                    bar.inc(n as u64);
                }
            }
        }
        match described
            .length
            .filter(|&length| part.metadata().is_ok_and(|part| part.len() < length))
        {
            Some(length) => {
                Err(format!("the connection ended before all {length} bytes had come").into())
            }
            None => Ok(()),
        }
    }

    /// What the hub says of a file, and the answer with its content from byte `start` on.
    fn ask(&self, address: &Uri, start: u64) -> Result<(Description, Response<Body>), Failure> {
        let mut address = address.clone();
        let mut described = None;
        for _ in 0..=MAX_REFERRALS {
            let mut request = self.agent.get(&address);
            if start > 0 {
                request = request.header(RANGE, format!("bytes={start}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| self.is_hub(&address)) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let answer = request.call()?;
            match answer.status() {
                StatusCode::NOT_FOUND => return Err(Failure::Missing),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::Refused),
                status if status.is_client_error() || status.is_server_error() => {
                    return Err(format!("the server answered {status}").into());
                }
                _ => {}
            }
            // A referral to a later name of the repository has no description yet.
            if described.is_none() {
                described = Description::of(answer.headers())?;
            }
            if !answer.status().is_redirection() {
                let described = described.ok_or("the server names no commit and no checksum")?;
                let length = described
                    .length
                    .or_else(|| content_length(answer.headers()));
                return Ok((
                    Description {
                        length,
                        ..described
                    },
                    answer,
                ));
            }
            let location = header(answer.headers(), LOCATION.as_str());
            let location = location.ok_or("the server refers to nowhere")?;
            address = resolved(&address, location)?;
        }
        Err("the servers refer to each other without end".into())
    }

    fn is_hub(&self, address: &Uri) -> bool {
        let hub = &self.endpoint;
        address.scheme() == hub.scheme()
            && address.host() == hub.host()
            && address.port_u16() == hub.port_u16()
    }

    fn bar(&self, length: Option<u64>, start: u64, name: &str) -> ProgressBar {
        if !self.shows_progress {
            return ProgressBar::hidden();
        }
        let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        bar.with_position(start)
    }
}

impl Description {
    /// What headers say; none where they do not name the commit.
    ///
    /// # Errors
    /// They name what could not be the name of a file.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Cause> {
        let Some(commit) = header(headers, "x-repo-commit") else {
            return Ok(None);
        };
        let checksum = header(headers, "x-linked-etag").or_else(|| header(headers, ETAG.as_str()));
        let checksum = checksum.ok_or("the server names no checksum")?;
        let checksum = checksum.trim_start_matches("W/").trim_matches('"');
        let is_name = |name: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            (1..=128).contains(&name.len()) && name.chars().all(is_plain)
        };
        if !is_name(commit) || !is_name(checksum) {
            return Err("the server names a commit or a checksum that is none".into());
        }
        let length = header(headers, "x-linked-size");
        Ok(Some(Description {
            commit: commit.into(),
            checksum: checksum.into(),
            length: length.map(str::parse).transpose()?,
        }))
    }

    /// Holds a file against its length and its checksum, as far as the latter is one that is known: SHA-256 for large files,
    /// git's SHA-1 for others.
    ///
    /// # Errors
    /// It is another file.
    fn check(&self, file: &mut File) -> Result<(), Cause> {
        let found = file.metadata()?.len();
        if let Some(length) = self.length.filter(|&length| length != found) {
            return Err(format!("{found} bytes came instead of {length}").into());
        }
        file.rewind()?;
        let is_hex = self.checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = match self.checksum.len() {
            64 if is_hex => digest(Sha256::new(), file)?,
            40 if is_hex => digest(Sha1::new_with_prefix(format!("blob {found}\0")), file)?,
            _ => return Ok(()),
        };
        match found.eq_ignore_ascii_case(&self.checksum) {
            true => Ok(()),
            false => Err(format!("its checksum is {found} instead of {}", self.checksum).into()),
        }
    }
}

/// Of what a hash has taken in and a file, in hexadecimal digits.
fn digest(mut hash: impl Digest, file: &mut File) -> io::Result<String> {
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// First byte and length of the whole: `bytes FIRST-LAST/LENGTH`.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (span, length) = header(headers, CONTENT_RANGE.as_str())?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (first, _) = span.split_once('-')?;
    Some((first.parse().ok()?, length.parse().ok()))
}

/// The length of the whole file, of which an answer may hold a part.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    match range(headers) {
        Some((_, length)) => length,
        None => header(headers, CONTENT_LENGTH.as_str())?.parse().ok(),
    }
}

/// An address that may be told from another one on, as `/path`.
fn resolved(from: &Uri, location: &str) -> Result<Uri, Cause> {
    let found = Uri::from_str(location)?;
    if found.host().is_some() {
        return Ok(found);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = found.into_parts().path_and_query;
    Ok(Uri::from_parts(parts)?)
}

/// Makes `pointer` lead to `blob`, both below `root`, by a relative link where the system has such.
fn link(root: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    let folder = pointer.parent().unwrap_or(root);
    fs::create_dir_all(folder)?;
    if pointer.symlink_metadata().is_ok() {
        fs::remove_file(pointer)?;
    }
    #[cfg(unix)]
    {
        let depth = folder
            .strip_prefix(root)
            .map_or(0, |below| below.components().count());
        let up: PathBuf = std::iter::repeat_n("..", depth).collect();
        let below = blob.strip_prefix(root).unwrap_or(blob);
        std::os::unix::fs::symlink(up.join(below), pointer)
    }
    #[cfg(not(unix))]
    fs::rename(blob, pointer)
}
