//! The arguments. Every long flag of several words is also known in its old spelling with underscores.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(feature = "ballista")]
use super::cluster::{ClusterArgs, EmbedClusterArgs, ExecutorArgs, ResumeArgs, SchedulerArgs};
use super::examples::{
    COMPLETIONS_EXAMPLES, EMBED_EXAMPLES, EXAMPLES, PREDICT_EXAMPLES, REPORT_EXAMPLES,
    SAMPLE_EXAMPLES, SWEEP_EXAMPLES, VMF_EXAMPLES,
};
use super::values::{
    Prompts, Sizes, Start, annealing, assignment, concentration, concentrations, criterion,
    dimension, empty_component, not_negative, positive, prior, share, size, tower,
};
use crate::encoder::{Device, Precision, Tower};
use crate::mixture::{Annealing, Assignment, BLOCK_ROWS, Concentration, Criterion, EmptyComponent};
use crate::report::schemas;
use crate::vmf::concentration::Prior;

/// Components where no number is named.
const N_COMPONENTS: usize = 5;

/// Finds the groups in a folder of pictures or a file of texts: CLIP embeddings, a mixture of von Mises-Fisher
/// distributions, and a report to look at.
#[derive(Debug, Parser)]
#[command(name = "vmfmix", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) fit: FitArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Fit a mixture to texts, images, both, or embeddings, and write a report
    #[command(after_help = EXAMPLES)]
    Fit(Box<FitArgs>),
    /// Fit mixtures of several numbers of components, compare them, and report on the best
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(Box<SweepArgs>),
    /// Embed texts and images into a table that `fit --embeddings` reads; goes on where it was stopped
    #[command(after_help = EMBED_EXAMPLES)]
    Embed(EmbedArgs),
    /// Assign texts, images or embeddings to the components of a saved mixture
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(PredictArgs),
    /// Draw points from a mixture: a saved one, or one made up
    #[command(after_help = SAMPLE_EXAMPLES)]
    Sample(SampleArgs),
    /// Report on texts, images or embeddings by a saved mixture, without fitting
    #[command(after_help = REPORT_EXAMPLES)]
    Report(Box<ReportArgs>),
    /// Fit mixtures to drawn shapes and to their captions with a toy CLIP; needs no network
    Demo(DemoArgs),
    /// List the CLIP models known by name
    Models,
    /// Run the scheduler of a cluster
    #[cfg(feature = "ballista")]
    Scheduler(SchedulerArgs),
    /// Run an executor of a cluster: as many as there are machines
    #[cfg(feature = "ballista")]
    Executor(ExecutorArgs),
    /// Compute with one von Mises-Fisher distribution: normaliser, mean resultant length, entropy, angles
    #[command(after_help = VMF_EXAMPLES)]
    Vmf(VmfArgs),
    /// Print the JSON Schema of a file that a fit or a report writes
    Schema(SchemaArgs),
    /// Print what makes a shell complete the commands and flags
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

/// Texts and pictures, and what embeds them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(super) struct ItemArgs {
    /// File with one text a line
    #[arg(long, value_name = "FILE", alias = "text_file")]
    pub text_file: Option<PathBuf>,
    /// Folder of pictures, searched with the folders below it
    #[arg(long, value_name = "DIR", alias = "image_dir")]
    pub image_dir: Option<PathBuf>,
    /// Model: a name that `vmfmix models` lists, a Hugging Face id (owner/name) or a local folder
    #[arg(
        long,
        value_name = "MODEL",
        alias = "clip_model",
        default_value = "ViT-B/32"
    )]
    pub clip_model: String,
    /// Where the encoder runs and the mixture is fitted: auto, cpu or cuda[:N]
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// In what a GPU takes the encoder's products: f32, or f16 or bf16, which are several times as fast
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub precision: Precision,
    /// Items that go through the encoder at once [default: 32, on a GPU 256]
    #[arg(long, value_name = "N", alias = "batch_size")]
    pub batch_size: Option<NonZeroUsize>,
    /// Turn pictures upright as their EXIF data say; CLIP's authors did not
    #[arg(long, alias = "apply_orientation")]
    pub apply_orientation: bool,
    /// Folder that the pictures named in a table may be read from; paths that lead out of it are not followed [default: the
    /// folder of --input; the current one for --embeddings]
    #[arg(long, value_name = "DIR", alias = "image_root")]
    pub image_root: Option<PathBuf>,
    /// Remember embeddings by content in this file, so that the same item and model are not embedded twice
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Where the embeddings come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(super) struct DataArgs {
    #[command(flatten)]
    pub items: ItemArgs,
    /// Embeddings made elsewhere, .npy or .parquet: files, folders of them, or patterns as 'dir/*.parquet'; no encoder is needed
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["text_file", "image_dir"])]
    pub embeddings: Vec<PathBuf>,
    /// File with one known label a line, texts first, then images in the order of their paths; the components are
    /// compared with them. Pictures in several folders are labelled by their folders without it
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Take the mean of all texts from each text and the mean of all images from each image, which closes the gap
    /// between the two. The means are those of the data given. A mixture that was fitted so needs it in `predict` and
    /// `report` too
    #[arg(long, alias = "center_by_modality")]
    pub center_by_modality: bool,
}

/// How many components the mixture has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mixture")]
pub(super) struct SizeArgs {
    /// Number of components
    #[arg(long, short = 'k', value_name = "K", alias = "n_components", default_value_t = N_COMPONENTS, value_parser = positive)]
    pub n_components: usize,
    /// Try these numbers of components, as 2..20 (both included) or 2,4,8, and keep the best
    #[arg(long, value_name = "SIZES", conflicts_with = "n_components")]
    pub select: Option<Sizes>,
    /// By what the best is known: bic, aic, icl, held-out or silhouette
    #[arg(long, value_name = "WHAT", default_value = "bic", requires = "select", value_parser = criterion)]
    pub criterion: Criterion,
}

/// How the mixture is fitted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mixture")]
pub(super) struct MixtureArgs {
    /// Most EM iterations of a run
    #[arg(long, value_name = "N", aliases = ["max_iterations", "max-n-iterations"], default_value_t = 100, value_parser = positive)]
    pub max_iterations: usize,
    /// Stop when the log-likelihood per point changes by less
    #[arg(long, value_name = "NATS", default_value_t = 1e-6, value_parser = not_negative)]
    pub tolerance: f64,
    /// Starts, of which the likeliest result is kept
    #[arg(long, value_name = "N", alias = "n_runs", default_value_t = 4, value_parser = positive)]
    pub n_runs: usize,
    /// Where a run starts: spherical-kmeans, kmeans++, random-rows, random-responsibilities, or means=FILE (.npy),
    /// labels=FILE (one number a line, from 0), model=FILE (model_parameters.json)
    #[arg(
        long,
        value_name = "START",
        alias = "init_method",
        default_value = "spherical-kmeans"
    )]
    pub init_method: Start,
    /// What the concentrations have in common: free, tied, or a number that all have
    #[arg(long, value_name = "WHAT", default_value = "free", value_parser = concentrations)]
    pub concentration: Concentration,
    /// How a point is shared among the components: soft, hard or stochastic
    #[arg(long, value_name = "HOW", default_value = "soft", value_parser = assignment)]
    pub assignment: Assignment,
    /// Anneal: the first power of the densities, and after how many iterations it is 1, as 0.1:20
    #[arg(long, value_name = "POWER:N", value_parser = annealing)]
    pub annealing: Option<Annealing>,
    /// Add a uniform component, the last, for what fits nowhere
    #[arg(long, alias = "noise_component")]
    pub noise_component: bool,
    /// Believe this of every concentration beforehand: so many points of that mean resultant length, as 5:0.4
    #[arg(long, value_name = "POINTS:R", value_parser = prior)]
    pub prior: Option<Prior>,
    /// Cap on the concentrations
    #[arg(long, value_name = "KAPPA", alias = "max_concentration", default_value_t = 1e6, value_parser = concentration)]
    pub max_concentration: f64,
    /// Weight below which a component counts as empty
    #[arg(long, value_name = "SHARE", alias = "min_weight", default_value_t = 0.0, value_parser = share)]
    pub min_weight: f64,
    /// What becomes of an empty component: reseed, drop or error
    #[arg(long, value_name = "WHAT", alias = "empty_component", default_value = "reseed", value_parser = empty_component)]
    pub empty_component: EmptyComponent,
    /// Rows that a thread takes at once
    #[arg(long, value_name = "N", alias = "block_size", default_value_t = BLOCK_ROWS, value_parser = positive)]
    pub block_size: usize,
    /// On a GPU, fit by TF32: several times as fast, mean directions off by 2e-5, concentrations by 1e-4 of themselves
    #[arg(long)]
    pub tf32: bool,
    /// Threads of the fit; all cores where not given
    #[arg(long, value_name = "N", alias = "n_threads", value_parser = positive)]
    pub n_threads: Option<usize>,
    /// Seed of everything random
    #[arg(
        long,
        value_name = "SEED",
        alias = "random_state",
        default_value_t = 42
    )]
    pub random_state: u64,
    /// Share of the points held out to evaluate the mixture on
    #[arg(long, value_name = "SHARE", alias = "test_split", default_value_t = 0.2, value_parser = share)]
    pub test_split: f64,
}

/// What components are called.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names")]
pub(super) struct NameArgs {
    /// File with one label a line: each component gets the likeliest, by its mean direction (zero-shot)
    #[arg(
        long,
        value_name = "FILE",
        alias = "zero_shot_labels",
        conflicts_with = "center_by_modality"
    )]
    pub zero_shot_labels: Option<PathBuf>,
    /// Prompt that a label is put into, as "a photo of a {}"; several are averaged, and `ensemble` stands for the seven
    /// that served OpenAI best [default: "a photo of a {}" for pictures, "{}" for texts]
    #[arg(
        long,
        value_name = "PROMPT",
        alias = "prompt_template",
        requires = "zero_shot_labels"
    )]
    pub prompt_template: Vec<Prompts>,
}

/// What is drawn where no data is given, and where everything goes.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Embeddings that take a larger share of the memory stay in their files, and every pass reads them; the mixture is the
    /// same. Parquet files are then unpacked once into the output directory while it runs
    #[arg(long, value_name = "SHARE", alias = "memory_share", default_value_t = 0.05, value_parser = not_negative)]
    pub memory_share: f64,
    /// Synthetic embeddings to draw where no data is given
    #[arg(long, value_name = "N", alias = "n_samples", default_value_t = 1000, value_parser = positive)]
    pub n_samples: usize,
    /// Where the results go
    #[arg(
        long,
        value_name = "DIR",
        alias = "output_dir",
        default_value = "results"
    )]
    pub output_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct FitArgs {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub names: NameArgs,
    #[command(flatten)]
    pub size: SizeArgs,
    #[command(flatten)]
    pub mixture: MixtureArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[cfg(feature = "ballista")]
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[cfg(feature = "ballista")]
    #[command(flatten)]
    pub resume: ResumeArgs,
}

impl FitArgs {
    /// Whether something is asked for that looks at all embeddings at once.
    pub(super) fn needs_memory(&self) -> bool {
        self.size.select.is_some()
            || self.data.center_by_modality
            || self.names.zero_shot_labels.is_some()
    }
}

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Numbers of components, as 2..20 (both included) or 2,4,8
    #[arg(long, value_name = "SIZES", default_value = "2..12")]
    select: Sizes,
    /// By what the best is known: bic, aic, icl, held-out or silhouette
    #[arg(long, value_name = "WHAT", default_value = "bic", value_parser = criterion)]
    criterion: Criterion,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    names: NameArgs,
    #[command(flatten)]
    mixture: MixtureArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl From<SweepArgs> for FitArgs {
    fn from(args: SweepArgs) -> Self {
        Self {
            size: SizeArgs {
                n_components: N_COMPONENTS,
                select: Some(args.select),
                criterion: args.criterion,
            },
            data: args.data,
            names: args.names,
            mixture: args.mixture,
            output: args.output,
            #[cfg(feature = "ballista")]
            cluster: ClusterArgs::default(),
            #[cfg(feature = "ballista")]
            resume: ResumeArgs::default(),
        }
    }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("items").args(["text_file", "image_dir", "input"]).multiple(true).required(true))]
pub(super) struct EmbedArgs {
    #[command(flatten)]
    pub items: ItemArgs,
    /// Table with a column to embed: .csv, .tsv, .jsonl, .parquet or .arrow; its other columns are kept
    #[arg(long, value_name = "TABLE", requires = "column", conflicts_with_all = ["text_file", "image_dir"])]
    pub input: Option<PathBuf>,
    /// The column: texts, paths of pictures (those that are relative start from the table's folder), or encoded pictures
    #[arg(long, value_name = "NAME", requires = "input")]
    pub column: Option<String>,
    /// What the column holds, text or image; without it strings are texts unless the first ones all look like pictures' paths
    #[arg(long, value_name = "KIND", requires = "input", value_parser = tower)]
    pub modality: Option<Tower>,
    /// File to write: every item with its embedding, or the reason why it has none; .parquet, or .npy with all but the vectors in
    /// .metadata.parquet beside it
    #[arg(long, short, value_name = "FILE", default_value = "embeddings.parquet")]
    pub output: PathBuf,
    /// Items of a shard: what an interruption can cost
    #[arg(long, value_name = "N", alias = "shard_size", default_value_t = 4096, value_parser = positive)]
    pub shard_size: usize,
    /// Go on with what an interrupted run left behind
    #[arg(long)]
    pub resume: bool,
    #[cfg(feature = "ballista")]
    #[command(flatten)]
    pub cluster: EmbedClusterArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("data").args(["text_file", "image_dir", "embeddings"]).multiple(true).required(true))]
pub(super) struct PredictArgs {
    /// The mixture: model_parameters.json of a fit
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Parquet file to write: every input row with its component, probability and log-likelihood
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "assignments.parquet"
    )]
    pub output: PathBuf,
    #[cfg(feature = "ballista")]
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// The mixture: model_parameters.json of a fit. Without it, one of equal weights and random mean directions
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dim", "n_components", "concentrations"])]
    pub model: Option<PathBuf>,
    /// Dimension of the ambient space
    #[arg(long, value_name = "D", default_value_t = 512, value_parser = dimension)]
    pub dim: usize,
    /// Number of components
    #[arg(long, short = 'k', value_name = "K", alias = "n_components", default_value_t = 5, value_parser = positive)]
    pub n_components: usize,
    /// Concentrations of the components, in turn
    #[arg(long, value_name = "KAPPA,..", value_delimiter = ',', default_value = "100,300,500", value_parser = concentration)]
    pub concentrations: Vec<f64>,
    /// Points to draw
    #[arg(long, short, value_name = "N", alias = "n_samples", default_value_t = 1000, value_parser = positive)]
    pub n_samples: usize,
    /// Seed of everything random
    #[arg(
        long,
        value_name = "SEED",
        alias = "random_state",
        default_value_t = 42
    )]
    pub random_state: u64,
    /// File to write: .parquet, or .npy with the labels in .metadata.parquet beside it
    #[arg(long, short, value_name = "FILE", default_value = "samples.parquet")]
    pub output: PathBuf,
    /// Say nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("data").args(["text_file", "image_dir", "embeddings", "compare"]).multiple(true).required(true))]
pub(super) struct ReportArgs {
    /// The mixture: model_parameters.json of a fit
    #[arg(long, value_name = "FILE", required_unless_present = "compare")]
    pub model: Option<PathBuf>,
    /// Lay reports written before side by side, instead: folders of results, of which the first is held against the others
    #[arg(long, value_name = "DIR", num_args = 2.., conflicts_with_all = ["model", "text_file", "image_dir", "embeddings", "zero_shot_labels", "labels"])]
    pub compare: Vec<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub names: NameArgs,
    /// Where the report goes
    #[arg(
        long,
        value_name = "DIR",
        alias = "output_dir",
        default_value = "report"
    )]
    pub output_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The file; without it, the files that have a schema are listed
    #[arg(value_parser = PossibleValuesParser::new(schemas()))]
    pub file: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Folder that holds shapes/ and tiny-clip/
    #[arg(long, value_name = "DIR", default_value_os_t = default_datasets())]
    pub datasets: PathBuf,
    /// Where the results go
    #[arg(
        long,
        value_name = "DIR",
        alias = "output_dir",
        default_value = "results"
    )]
    pub output_dir: PathBuf,
    /// Say nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").args(["kappa", "mean_resultant_length"]))]
pub(super) struct VmfArgs {
    /// Dimension of the ambient space
    #[arg(long, value_name = "D", requires = "given", value_parser = dimension)]
    pub dim: Option<usize>,
    /// Concentration of the distribution
    #[arg(long, value_name = "KAPPA", requires = "dim", value_parser = concentration)]
    pub kappa: Option<f64>,
    /// Mean resultant length of a sample, whose concentration is estimated
    #[arg(long, value_name = "R", alias = "mean_resultant_length", requires = "dim", value_parser = share)]
    pub mean_resultant_length: Option<f64>,
    /// Points in the sample
    #[arg(long, value_name = "N", requires = "mean_resultant_length", conflicts_with = "kappa", value_parser = size)]
    pub n: Option<f64>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `datasets` here, else the one that this program was built beside.
fn default_datasets() -> PathBuf {
    let here = PathBuf::from("datasets");
    if here.is_dir() {
        here
    } else {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets"))
    }
}
