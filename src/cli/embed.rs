//! `vmfmix embed`: texts and pictures to a table of embeddings, in shards, so that what is done stays done.
//!
//! Shards lie in a folder beside the output until all are there; each is written whole. A run that was killed leaves
//! finished shards behind, and `--resume` makes the others: a shard never depends on another, so the table comes out the
//! same byte by byte. Ctrl-C ends a run after the batch that the encoder is at.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::args::EmbedArgs;
use super::inputs;
use super::output::Claim;
use super::progress::listener;
use super::say::say;
use super::sources::Source;
use super::{Interrupted, interrupt};
use crate::encoder::{Encoder, EncoderError, default_batch_size, fingerprint, hex};
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, FrameError, io};
use crate::progress::Progress;
use crate::whole_file::write_whole;

pub(super) fn run(args: &EmbedArgs) -> Result<()> {
    #[cfg(feature = "ballista")]
    if let Some(scheduler) = &args.cluster.cluster {
        return super::cluster::embed(args, scheduler);
    }
    let progress = listener(args.items.quiet);
    io::check_embeddings_path(&args.output)?;
    ensure!(
        args.items.cache.as_ref() != Some(&args.output),
        "{}: both --cache and --output; give two files",
        args.output.display()
    );
    args.items.announce_device()?;
    let sources = Source::of(args)?;
    let cache = args.items.cache()?;
    ensure!(
        sources.iter().any(|source| source.height() > 0),
        "nothing to embed: no rows"
    );
    let encoder = args.items.encoder()?;
    for source in &sources {
        inputs::check_tower(&*encoder, source.tower)?;
    }
    let job = Job::new(args, &*encoder, &sources)?;
    let shards = Shards::open(&args.output, &job, args.resume)?;
    // From here on something could be lost; before, Ctrl-C may end the program as it always does.
    interrupt::be_patient();

    let total = job.items;
    let mut done = 0;
    let mut paths = Vec::new();
    for source in &sources {
        for start in (0..source.height()).step_by(args.shard_size) {
            let rows = start..source.height().min(start + args.shard_size);
            let path = shards.path(paths.len());
            if !is_finished(&path, rows.len()) {
                let whole = Whole {
                    inner: progress.clone(),
                    done,
                    total,
                };
                let options = args.items.options(Arc::new(whole), cache.as_ref());
                let shard = source
                    .embed(rows.clone(), &*encoder, options)
                    .map_err(|error| shards.interrupted(error, done, total))?;
                io::write_parquet(&shard, &path)?;
            }
            done += rows.len();
            paths.push(path);
        }
    }

    let (mut skipped, mut truncated) = (0, 0);
    let finished = paths.iter().map(|path| {
        let shard = io::table(path)?;
        skipped += shard.column(EMBEDDING).map_or(0, Column::null_count);
        truncated += inputs::truncated(&shard);
        Ok(shard)
    });
    io::write_embeddings(shards.joined(), (total, encoder.dimension()), finished)?;
    shards.finish()?;
    if !args.items.quiet {
        let mut line = format!("{} items embedded", total - skipped);
        if skipped > 0 {
            write!(line, ", {skipped} skipped (see column {EMBEDDING_ERROR})")?;
        }
        if truncated > 0 {
            write!(line, ", {truncated} texts cut to the encoder's context")?;
        }
        if let Some(hits) = cache.map(|cache| cache.hits()).filter(|hits| *hits > 0) {
            write!(line, ", {hits} from the cache")?;
        }
        say!("{line}: {}", args.output.display());
    }
    Ok(())
}

/// Whether a shard is there, whole.
fn is_finished(path: &Path, rows: usize) -> bool {
    io::ParquetFile::open(path).is_ok_and(|shard| shard.height() == rows)
}

/// File that tells whose shards a folder holds.
const JOB: &str = "job.json";

/// What has to be the same for shards of two runs to belong together.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    version: String,
    model: String,
    /// Of the fingerprints of the towers.
    weights_sha256: String,
    /// Of the items in order.
    items_sha256: String,
    items: usize,
    shard_size: usize,
    batch_size: usize,
    apply_orientation: bool,
    /// What lies in it may differ from what would be computed, in the last bits.
    cache: Option<PathBuf>,
}

impl Job {
    fn new(args: &EmbedArgs, encoder: &dyn Encoder, sources: &[Source]) -> Result<Self> {
        let (mut items, mut weights) = (Sha256::new(), Sha256::new());
        for source in sources {
            source.identify(&mut items)?;
            weights.update(fingerprint(encoder, source.tower)?);
        }
        Ok(Job {
            version: env!("CARGO_PKG_VERSION").into(),
            model: args.items.clip_model.clone(),
            weights_sha256: hex(&weights.finalize()),
            items_sha256: hex(&items.finalize()),
            items: sources.iter().map(Source::height).sum(),
            shard_size: args.shard_size,
            batch_size: args
                .items
                .batch_size
                .unwrap_or_else(|| default_batch_size(encoder.device()))
                .get(),
            apply_orientation: args.items.apply_orientation,
            cache: args.items.cache.clone(),
        })
    }
}

/// The folder of shards beside the output.
struct Shards<'a> {
    folder: PathBuf,
    output: &'a Path,
    _claim: Claim,
}

impl<'a> Shards<'a> {
    fn open(output: &'a Path, job: &Job, resume: bool) -> Result<Self> {
        ensure!(
            !output.is_dir(),
            "{}: a folder; give --output the name of a file",
            output.display()
        );
        let mut folder = output.to_owned().into_os_string();
        folder.push(".shards");
        let folder = PathBuf::from(folder);
        let claim = Claim::new(&folder, "--output")?;
        let path = folder.join(JOB);
        let shown = folder.display();
        match fs::read(&path) {
            Ok(before) => {
                ensure!(
                    resume,
                    "{shown}: an earlier run was not finished; go on with --resume, or remove this folder to begin anew"
                );
                let before: Job = serde_json::from_slice(&before)
                    .with_context(|| format!("{}: damaged; remove {shown}", path.display()))?;
                ensure!(
                    before == *job,
                    "{shown}: made from other items, by another model or with other options; repeat the call that began it, or remove this folder to begin anew"
                );
            }
            Err(_) => {
                ensure!(
                    fs::read_dir(&folder)?.next().is_none(),
                    "{shown}: needed for shards, but something else is there; move it away, or choose another --output"
                );
                let json = serde_json::to_vec_pretty(job)?;
                write_whole(&path, |file| file.write_all(&json))
                    .with_context(|| path.display().to_string())?;
            }
        }
        Ok(Self {
            folder,
            output,
            _claim: claim,
        })
    }

    /// The error of a shard, or what is finished if it was asked to stop.
    fn interrupted(&self, error: anyhow::Error, done: usize, total: usize) -> anyhow::Error {
        match error.downcast_ref() {
            Some(FrameError::Encoder(EncoderError::Cancelled)) => Interrupted {
                done,
                total,
                shards: self.folder.join("*.parquet"),
            }
            .into(),
            _ => error,
        }
    }

    fn path(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("{shard:06}.parquet"))
    }

    /// Where all of them are put together: what a kill leaves there goes with the folder.
    fn joined(&self) -> PathBuf {
        let extension = self.output.extension().unwrap_or_default();
        self.folder.join("joined").with_extension(extension)
    }

    /// Gives the joined table its name, and removes the folder.
    fn finish(self) -> Result<()> {
        let rename = |from: &Path, to: &Path| {
            let moved = to.parent().map_or(Ok(()), fs::create_dir_all);
            moved
                .and_then(|()| fs::rename(from, to))
                .with_context(|| to.display().to_string())
        };
        let joined = self.joined();
        let beside = io::metadata_path(&joined);
        if beside.is_file() {
            rename(&beside, &io::metadata_path(self.output))?;
        }
        rename(&joined, self.output)?;
        // What tells whose the shards are goes last.
        for entry in fs::read_dir(&self.folder)?.flatten() {
            if entry.file_name() != JOB {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir_all(&self.folder).with_context(|| self.folder.display().to_string())
    }
}

/// Progress of a shard as progress of the whole, until Ctrl-C.
struct Whole {
    inner: Arc<dyn Progress>,
    /// Items before the shard.
    done: usize,
    total: usize,
}

impl Progress for Whole {
    fn update(&self, stage: &str, done: usize, _total: usize) {
        self.inner.update(stage, self.done + done, self.total);
    }

    fn is_cancelled(&self) -> bool {
        interrupt::is_stopping()
    }
}
