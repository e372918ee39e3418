//! Work on a cluster: `vmfmix scheduler`, `vmfmix executor`, `vmfmix fit --cluster`.

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use linfa::ParamGuard;

use super::args::{DataArgs, EmbedArgs, FitArgs, PredictArgs};
use super::output::{OutputFolder, together};
use super::predict::read_model;
use super::progress::listener;
use super::say::{note, say};
use super::values::Start;
use crate::distributed::{
    ClusterFiles, ClusterTable, EmbedSettings, ExecutorSettings, SchedulerSettings, run_executor,
    run_scheduler,
};
use crate::encoder::Placement;
use crate::mixture::{InitMethod, Observations, VonMisesFisherMixture};
use crate::report::{CONVERGENCE_FILE, PARAMETERS_FILE};
use crate::whole_file::write_whole;

/// The model of the last iteration, beside the results until these are there.
const CHECKPOINT: &str = "checkpoint.json";

/// Which cluster does the work, if one does.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Scheduler of the cluster that reads the embeddings and does the work, as df://host:50050. --embeddings is then one
    /// folder, file or s3:// address of Parquet files that all executors see; `fit` takes all points and writes no report, and
    /// --output of `predict` is a folder
    #[arg(long, value_name = "URL", requires = "embeddings")]
    pub cluster: Option<String>,
    /// Column of the embeddings on a cluster
    #[arg(
        long,
        value_name = "NAME",
        default_value = "embedding",
        requires = "cluster"
    )]
    pub embedding_column: String,
}

/// Which cluster embeds, if one does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct EmbedClusterArgs {
    /// Scheduler of the cluster that embeds, as df://host:50050. --input is then one folder, file or s3:// address of Parquet
    /// files, --clip-model and relative paths are taken as executors see them, and --output is a folder
    #[arg(long, value_name = "URL", requires_all = ["input", "column", "modality"])]
    pub cluster: Option<String>,
}

/// Whether a fit goes on.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ResumeArgs {
    /// Go on from the last iteration of a fit on a cluster that was cut off
    #[arg(long, requires = "cluster")]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub(super) struct SchedulerArgs {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    bind: SocketAddr,
    /// Seconds of silence after which an executor counts as lost and its tasks go to others
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    executor_timeout: u64,
}

#[derive(Debug, Args)]
pub(super) struct ExecutorArgs {
    /// Host and port of the scheduler
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: String,
    /// Where it listens for other executors; the port after it is for the scheduler
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    bind: SocketAddr,
    /// Name by which others reach it, where that is not the address it listens on
    #[arg(long, value_name = "HOST")]
    external_host: Option<String>,
    /// Tasks at a time; each pass uses all cores anyway
    #[arg(long, value_name = "N", default_value = "2")]
    tasks: NonZeroUsize,
    /// Folder for what goes from one stage to the next; a temporary one where not given
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

pub(super) fn scheduler(args: &SchedulerArgs) -> Result<()> {
    note!("scheduler on df://{}", args.bind);
    run_scheduler(&SchedulerSettings {
        bind: args.bind,
        executor_timeout: args.executor_timeout,
    })?;
    Ok(())
}

pub(super) fn executor(args: &ExecutorArgs) -> Result<()> {
    let Some((host, Ok(port))) = args
        .scheduler
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse()))
    else {
        bail!("{}: no host and port, as 127.0.0.1:50050", args.scheduler);
    };
    note!("executor on {} for {}", args.bind, args.scheduler);
    run_executor(&ExecutorSettings {
        scheduler: (host.into(), port),
        bind: args.bind,
        external_host: args.external_host.clone(),
        tasks: args.tasks.get(),
        work_dir: args.work_dir.as_ref().map(|dir| dir.display().to_string()),
    })?;
    Ok(())
}

/// Where the embeddings are, as the cluster sees them.
fn embeddings(data: &DataArgs) -> Result<String> {
    let [embeddings] = &data.embeddings[..] else {
        bail!("a cluster reads one folder, file or s3:// address; give --embeddings once");
    };
    ensure!(
        data.labels.is_none() && !data.center_by_modality,
        "a cluster neither centres nor labels: leave --center-by-modality and --labels out"
    );
    address(embeddings)
}

/// Embeds the items of a table on the cluster of a scheduler.
pub(super) fn embed(args: &EmbedArgs, scheduler: &str) -> Result<()> {
    let (Some(input), Some(column), Some(tower)) = (&args.input, &args.column, args.modality)
    else {
        bail!("a cluster embeds a column: give --input, --column and --modality");
    };
    ensure!(
        args.items.cache.is_none() && !args.items.apply_orientation && !args.resume,
        "a cluster has no cache, turns no pictures and does not resume: leave --cache, --apply-orientation and --resume out"
    );
    let settings = EmbedSettings {
        model: args.items.clip_model.clone(),
        tower,
        image_root: match &args.items.image_root {
            Some(folder) => std::path::absolute(folder)?,
            None => std::path::absolute(input)?
                .parent()
                .map_or_else(PathBuf::new, Path::to_owned),
        },
        placement: Placement {
            device: args.items.device,
            precision: args.items.precision,
        },
        batch_size: args.items.batch_size,
    };
    let progress = listener(args.items.quiet);
    let items = ClusterFiles::connect(scheduler, &address(input)?)?;
    items.embed(column, &settings, &address(&args.output)?, &*progress)?;
    if !args.items.quiet {
        let n = items.n_rows();
        say!(
            "{n} items embedded or told why not: {}",
            args.output.display()
        );
    }
    Ok(())
}

/// A folder as all processes know it.
fn address(folder: &Path) -> Result<String> {
    match folder.to_string_lossy() {
        url if url.contains("://") => Ok(url.into_owned()),
        _ => Ok(std::path::absolute(folder)?.to_string_lossy().into_owned()),
    }
}

/// Assigns rows on the cluster of a scheduler.
pub(super) fn predict(args: &PredictArgs, scheduler: &str) -> Result<()> {
    let model = read_model(&args.model)?;
    let progress = listener(args.data.items.quiet);
    let files = ClusterFiles::connect(scheduler, &embeddings(&args.data)?)?;
    let (column, folder) = (&args.cluster.embedding_column, address(&args.output)?);
    files.predict(column, &model, &folder, &*progress)?;
    if !args.data.items.quiet {
        let n = files.n_rows();
        say!("{n} items assigned: {}", args.output.display());
    }
    Ok(())
}

/// Fits on the cluster of a scheduler.
pub(super) fn fit(args: &FitArgs, scheduler: &str, output: &OutputFolder) -> Result<()> {
    ensure!(
        !args.needs_memory() && !matches!(args.mixture.init_method, Start::Labels(_)),
        "a cluster fits one number of components, neither centred nor labelled: leave --select, --center-by-modality, --zero-shot-labels and --init-method labels=FILE out"
    );
    let checkpoint = output.path().join(CHECKPOINT);
    let progress = listener(args.data.items.quiet);
    let (place, column) = (embeddings(&args.data)?, &args.cluster.embedding_column);
    let table = ClusterTable::connect(scheduler, &place, column)?;
    let table = table.block_size(args.mixture.block_size);
    let n = table.n_samples();
    let mut params = args.mixture.params(
        args.size.n_components,
        &[],
        n,
        args.data.items.device,
        &progress,
    )?;
    if args.resume.resume {
        let model = read_model(&checkpoint).context("nothing to go on from")?;
        params = params
            .init_method(InitMethod::Model(Box::new(model)))
            .n_runs(1);
    }
    let kept = checkpoint.clone();
    let keep = move |model: &VonMisesFisherMixture| {
        // A fit is not to fail for want of a copy.
        if let Ok(bytes) = serde_json::to_vec(model) {
            let _ = write_whole(&kept, |file| file.write_all(&bytes));
        }
    };
    let start = Instant::now();
    let model = params
        .on_iteration(Arc::new(keep))
        .check()?
        .fit_observations(&table)
        .with_context(|| {
            format!(
                "cannot fit {n} points; --resume goes on from {}",
                checkpoint.display()
            )
        })?;
    let seconds = start.elapsed().as_secs_f64();
    together(|| {
        output.write_json(PARAMETERS_FILE, &model)?;
        output.write_json(CONVERGENCE_FILE, model.convergence())
    })?;
    std::fs::remove_file(&checkpoint)?;
    if !args.data.items.quiet {
        let passes = table.n_passes();
        say!(
            "{n} points in {passes} passes of {:.2} s, each of which counted every point once",
            seconds / passes as f64
        );
        say!("{:.6} nats per point", model.log_likelihood());
        say!("written to {}", output.path().display());
    }
    Ok(())
}
