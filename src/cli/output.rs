//! Where results go: a folder that one program at a time writes to.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::mixture::VonMisesFisherMixture;
use crate::report::{FIGURES_FOLDER, PARAMETERS_FILE};
use crate::whole_file::{Together, remove_abandoned, write_whole};

/// What becomes of every item, beside the report.
pub(super) const ASSIGNMENTS: &str = "assignments.parquet";

/// A folder that no other vmfmix writes to while this lives.
pub(super) struct Claim {
    /// Open and locked, where the system can lock folders. The system ends the lock with the program, however that ends.
    _lock: Option<File>,
    /// The folder and those around it that were made for it, the inmost first.
    made: Vec<PathBuf>,
}

impl Claim {
    /// Makes the folder if need be, and removes what programs that were killed left there unfinished; `flag` chose the
    /// folder.
    ///
    /// # Errors
    /// Nothing can be written there, or another program has claimed it.
    pub(super) fn new(folder: &Path, flag: &str) -> Result<Self> {
        let refused = || {
            let shown = folder.display();
            format!("{shown}: cannot write there; choose another {flag}")
        };
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        let made = missing.map(Path::to_owned).collect();
        let mut claim = Self { _lock: None, made };
        fs::create_dir_all(folder).with_context(refused)?;
        tempfile::tempfile_in(folder).with_context(refused)?;
        // Where folders cannot be opened or locked, as on some network drives, one goes without.
        if let Ok(opened) = File::open(folder) {
            match opened.try_lock() {
                Ok(()) => claim._lock = Some(opened),
                Err(TryLockError::WouldBlock) => bail!(
                    "{}: another vmfmix is writing there; wait until it has ended, or choose another {flag}",
                    folder.display()
                ),
                Err(TryLockError::Error(_)) => {}
            }
        }
        remove_abandoned(folder);
        Ok(claim)
    }
}

impl Drop for Claim {
    /// Removes the folders that were made in vain.
    fn drop(&mut self) {
        for folder in &self.made {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

/// The folder for the results.
pub(super) struct OutputFolder {
    path: PathBuf,
    _claim: Option<Claim>,
}

impl OutputFolder {
    /// Refuses a folder that could not be written in the end. One that gets no files is not left behind.
    ///
    /// # Errors
    /// As [`Claim::new`].
    pub(super) fn new(path: &Path) -> Result<Self> {
        let claim = Claim::new(path, "--output-dir")?;
        remove_abandoned(&path.join(FIGURES_FOLDER));
        Ok(Self {
            path: path.to_owned(),
            _claim: Some(claim),
        })
    }

    /// A folder inside this one.
    pub(super) fn join(&self, name: &str) -> Self {
        Self {
            path: self.path.join(name),
            _claim: None,
        }
    }

    /// Where the folder is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that tells what becomes of every row.
    pub(super) fn assignments(&self) -> PathBuf {
        self.path.join(ASSIGNMENTS)
    }

    /// Writes the mixture alone, for want of room for all the rest: a long fit is not to be lost.
    pub(super) fn rescue(
        &self,
        model: &VonMisesFisherMixture,
        error: anyhow::Error,
    ) -> anyhow::Error {
        match self.write_json(PARAMETERS_FILE, model) {
            Ok(()) => error.context(format!(
                "{}: the mixture is there, what belongs to it could not be written",
                self.path.join(PARAMETERS_FILE).display()
            )),
            Err(_) => error,
        }
    }

    /// Writes a value as JSON.
    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.path.join(name);
        let json = serde_json::to_vec_pretty(value)?;
        write_whole(&path, |file| file.write_all(&json)).with_context(|| path.display().to_string())
    }
}

/// Has the files that some work writes appear together, once it is done, or not at all.
///
/// # Errors
/// Those of the work, or a file cannot be given its name.
pub(super) fn together<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let together = Together::begin();
    let done = work()?;
    together.finish()?;
    Ok(done)
}
