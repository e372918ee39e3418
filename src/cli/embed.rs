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
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::args::EmbedArgs;
use super::inputs::{self, ITEM, LABEL, MODALITY};
use super::progress::listener;
use super::{INTERRUPTED, Interrupted};
use crate::encoder::{self, Encoder, EncoderError, Tower, fingerprint};
use crate::frame::{EMBEDDING, EMBEDDING_ERROR, EMBEDDING_TRUNCATED, EmbedOptions, FrameError, io};
use crate::progress::Progress;
use crate::whole_file::write_whole;

pub(super) fn run(args: &EmbedArgs) -> Result<()> {
    let progress = listener(args.items.quiet);
    let (texts, images) = args.items.read()?;
    let parts = [(Tower::Text, texts), (Tower::Image, images)];
    let parts: Vec<(Tower, DataFrame)> = parts
        .into_iter()
        .filter_map(|(tower, frame)| Some((tower, frame?)))
        .collect();
    let cache = args.items.cache()?;
    let encoder = encoder::load(&args.items.clip_model, args.items.device)?;
    for (tower, _) in &parts {
        inputs::check_tower(&*encoder, *tower)?;
    }
    let job = Job::new(args, &*encoder, &parts)?;
    let shards = Shards::open(&args.output, &job, args.resume)?;
    // From here on something could be lost; before, Ctrl-C may end the program as it always does.
    stop_on_ctrl_c(args.items.quiet);

    let total = job.items;
    let mut done = 0;
    let mut paths = Vec::new();
    for (tower, frame) in &parts {
        for start in (0..frame.height()).step_by(args.shard_size) {
            let rows = args.shard_size.min(frame.height() - start);
            let path = shards.path(paths.len());
            if !is_finished(&path, rows) {
                let whole = Whole {
                    inner: progress.clone(),
                    done,
                    total,
                };
                let options = args.items.options(Arc::new(whole), cache.as_ref());
                let items = frame.slice(start as i64, rows);
                let shard = embed(items, *tower, &*encoder, &options)
                    .map_err(|error| shards.interrupted(error, done, total))?;
                io::write_parquet(&shard, &path)?;
            }
            done += rows;
            paths.push(path);
        }
    }

    let (mut skipped, mut truncated) = (0, 0);
    io::join_parquet(&paths, shards.joined(), |shard| {
        skipped += shard.column(EMBEDDING).map_or(0, Column::null_count);
        truncated += inputs::truncated(shard);
    })?;
    shards.finish(&args.output)?;
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
        println!("{line}: {}", args.output.display());
    }
    Ok(())
}

/// Set by the first Ctrl-C; the second ends the program at once.
static STOP: AtomicBool = AtomicBool::new(false);

fn stop_on_ctrl_c(quiet: bool) {
    let handler = move || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        if !quiet {
            eprintln!("stopping after this batch; press Ctrl-C again to stop at once");
        }
    };
    // Without a handler Ctrl-C ends the program at once, after which --resume goes on as well.
    let _ = ctrlc::set_handler(handler);
}

/// Items, embedded, with the same columns for texts and pictures.
fn embed(
    items: DataFrame,
    tower: Tower,
    encoder: &dyn Encoder,
    options: &EmbedOptions,
) -> Result<DataFrame> {
    let mut frame = match tower {
        Tower::Text => inputs::texts_frame(items, encoder, options)?,
        Tower::Image => inputs::images_frame(items, encoder, options)?,
    };
    for (column, dtype) in [
        (LABEL, DataType::String),
        (EMBEDDING_TRUNCATED, DataType::Boolean),
    ] {
        if frame.column(column).is_err() {
            frame.with_column(Column::full_null(column.into(), frame.height(), &dtype))?;
        }
    }
    let columns = [
        ITEM,
        MODALITY,
        LABEL,
        EMBEDDING,
        EMBEDDING_ERROR,
        EMBEDDING_TRUNCATED,
    ];
    Ok(frame.select(columns)?)
}

/// Whether a shard is there, whole.
fn is_finished(path: &Path, rows: usize) -> bool {
    io::parquet_height(path).is_ok_and(|height| height == rows)
}

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
    fn new(args: &EmbedArgs, encoder: &dyn Encoder, parts: &[(Tower, DataFrame)]) -> Result<Self> {
        let (mut items, mut weights) = (Sha256::new(), Sha256::new());
        for (tower, frame) in parts {
            items.update(tower.to_string());
            for item in frame.columns()[0].str()?.iter() {
                let item = item.unwrap_or_default();
                items.update(item.len().to_le_bytes());
                items.update(item);
            }
            weights.update(fingerprint(encoder, *tower)?);
        }
        Ok(Job {
            version: env!("CARGO_PKG_VERSION").into(),
            model: args.items.clip_model.clone(),
            weights_sha256: hex(&weights.finalize()),
            items_sha256: hex(&items.finalize()),
            items: parts.iter().map(|(_, frame)| frame.height()).sum(),
            shard_size: args.shard_size,
            batch_size: args.items.batch_size.get(),
            apply_orientation: args.items.apply_orientation,
            cache: args.items.cache.clone(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of shards beside the output.
struct Shards {
    folder: PathBuf,
}

impl Shards {
    fn open(output: &Path, job: &Job, resume: bool) -> Result<Self> {
        ensure!(
            !output.is_dir(),
            "{}: a folder; give --output the name of a file",
            output.display()
        );
        let mut folder = output.to_owned().into_os_string();
        folder.push(".shards");
        let folder = PathBuf::from(folder);
        let path = folder.join("job.json");
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
                let json = serde_json::to_vec_pretty(job)?;
                write_whole(&path, |file| file.write_all(&json)).with_context(|| {
                    format!("{shown}: cannot write there; choose another --output")
                })?;
            }
        }
        Ok(Shards { folder })
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
        self.folder.join("joined")
    }

    /// Gives the joined table its name, and removes the folder.
    fn finish(self, output: &Path) -> Result<()> {
        fs::rename(self.joined(), output).with_context(|| output.display().to_string())?;
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
        STOP.load(Ordering::Relaxed)
    }
}
