//! The arguments. Every long flag of several words is also known in its old spelling with underscores.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::encoder::{DEFAULT_BATCH_SIZE, Device, EncoderError, PromptTemplate};
use crate::mixture::{
    Annealing, Assignment, BLOCK_ROWS, Concentration, Criterion, EmptyComponent, InitMethod,
};
use crate::vmf::concentration::Prior;

const EXAMPLES: &str = "\
Examples:
  vmfmix demo                                        drawn shapes through a toy CLIP; needs no network
  vmfmix --text-file captions.txt --n-components 8   one text a line
  vmfmix --image-dir photos --clip-model ViT-L/14    pictures of a folder and those below it
  vmfmix --text-file captions.txt --image-dir photos both in one mixture
  vmfmix --image-dir photos --zero-shot-labels w.txt components named by the words in w.txt
  vmfmix --embeddings vectors.npy --test-split 0     vectors made elsewhere
  vmfmix                                             synthetic embeddings, to see what comes out

Without a subcommand, `fit` is meant. Open report.html in the output directory when it is done.";

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
    /// Embed texts and images into a table that `fit --embeddings` reads; goes on where it was stopped
    #[command(after_help = EMBED_EXAMPLES)]
    Embed(EmbedArgs),
    /// Assign texts, images or embeddings to the components of a saved mixture
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(PredictArgs),
    /// Fit mixtures to drawn shapes and to their captions with a toy CLIP; needs no network
    Demo(DemoArgs),
    /// List the CLIP models known by name
    Models,
    /// Compute with one von Mises-Fisher distribution: normaliser, mean resultant length, entropy, angles
    #[command(after_help = VMF_EXAMPLES)]
    Vmf(VmfArgs),
}

const EMBED_EXAMPLES: &str = "\
Examples:
  vmfmix embed --image-dir photos --output photos.parquet            one row for every picture
  vmfmix embed --image-dir photos --output photos.parquet --resume   what an interrupted run left undone
  vmfmix --embeddings photos.parquet --n-components 8                then as often as you like";

const PREDICT_EXAMPLES: &str = "\
Examples:
  vmfmix predict --model results/model_parameters.json --text-file new.txt --output new.parquet
  vmfmix predict --model results/model_parameters.json --embeddings vectors.npy --output new.parquet";

const VMF_EXAMPLES: &str = "\
Examples:
  vmfmix vmf --dim 768 --kappa 500                              normaliser, mean resultant length, entropy, angles
  vmfmix vmf --dim 768 --mean-resultant-length 0.4 --n 20       concentration, its standard error, its bias removed
  printf '768 500\\n512 100\\n' | vmfmix vmf                     a table, one line for each pair `dim kappa`

Logarithms are in nats, angles in radians. angle_50 is the angle to the mean within which half of the mass lies.";

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
    /// Where the encoder runs: auto, cpu or cuda[:N]
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Items that go through the encoder at once
    #[arg(long, value_name = "N", alias = "batch_size", default_value_t = DEFAULT_BATCH_SIZE)]
    pub batch_size: NonZeroUsize,
    /// Turn pictures upright as their EXIF data say; CLIP's authors did not
    #[arg(long, alias = "apply_orientation")]
    pub apply_orientation: bool,
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
    /// Embeddings made elsewhere, .npy or .parquet; no encoder is needed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text_file", "image_dir"])]
    pub embeddings: Option<PathBuf>,
    /// File with one known label a line, texts first, then images in the order of their paths; the components are
    /// compared with them. Pictures in several folders are labelled by their folders without it
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

/// How the mixture is fitted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mixture")]
pub(super) struct MixtureArgs {
    /// Number of components
    #[arg(long, short = 'k', value_name = "K", alias = "n_components", default_value_t = 5, value_parser = positive)]
    pub n_components: usize,
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
    /// Threads of the fit; all cores where not given
    #[arg(long, value_name = "N", alias = "n_threads", value_parser = positive)]
    pub n_threads: Option<usize>,
    /// Try these numbers of components, as 2..20 (both included) or 2,4,8, and keep the best
    #[arg(long, value_name = "SIZES", conflicts_with = "n_components")]
    pub select: Option<Sizes>,
    /// By what the best is known: bic, aic, icl, held-out or silhouette
    #[arg(long, value_name = "WHAT", default_value = "bic", requires = "select", value_parser = criterion)]
    pub criterion: Criterion,
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
    #[arg(long, value_name = "FILE", alias = "zero_shot_labels")]
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

#[derive(Debug, Args)]
pub(super) struct FitArgs {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub names: NameArgs,
    #[command(flatten)]
    pub mixture: MixtureArgs,
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
#[command(group = ArgGroup::new("items").args(["text_file", "image_dir"]).multiple(true).required(true))]
pub(super) struct EmbedArgs {
    #[command(flatten)]
    pub items: ItemArgs,
    /// Parquet file to write: every item with its embedding, or the reason why it has none
    #[arg(long, short, value_name = "FILE", default_value = "embeddings.parquet")]
    pub output: PathBuf,
    /// Items of a shard: what an interruption can cost
    #[arg(long, value_name = "N", alias = "shard_size", default_value_t = 4096, value_parser = positive)]
    pub shard_size: usize,
    /// Go on with what an interrupted run left behind
    #[arg(long)]
    pub resume: bool,
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

/// Where a run starts, files not yet read.
#[derive(Clone, Debug)]
pub(super) enum Start {
    Named(InitMethod),
    Means(PathBuf),
    Labels(PathBuf),
    Model(PathBuf),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once('=') {
            Some(("means", file)) => Self::Means(file.into()),
            Some(("labels", file)) => Self::Labels(file.into()),
            Some(("model", file)) => Self::Model(file.into()),
            _ => Self::Named(one_of(
                text,
                [
                    ("spherical-kmeans", InitMethod::SphericalKMeans),
                    ("kmeans++", InitMethod::KMeansPlusPlus),
                    ("random-rows", InitMethod::RandomRows),
                    (
                        "random-responsibilities",
                        InitMethod::RandomResponsibilities,
                    ),
                ],
            )?),
        })
    }
}

/// One prompt, or the ensemble.
#[derive(Clone, Debug)]
pub(super) struct Prompts(pub Vec<PromptTemplate>);

impl FromStr for Prompts {
    type Err = EncoderError;

    fn from_str(text: &str) -> Result<Self, EncoderError> {
        Ok(Self(match text {
            "ensemble" => PromptTemplate::ensemble(),
            _ => vec![text.parse()?],
        }))
    }
}

/// Numbers of components to try.
#[derive(Clone, Debug)]
pub(super) struct Sizes(pub Vec<usize>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = match text.split_once("..") {
            Some((from, to)) => (positive(from)?..=positive(to.trim_start_matches('='))?).collect(),
            None => text
                .split(',')
                .map(positive)
                .collect::<Result<Vec<_>, _>>()?,
        };
        if sizes.is_empty() {
            return Err("give a range that rises, as 2..20, or a list, as 2,4,8".to_owned());
        }
        Ok(Self(sizes))
    }
}

fn one_of<T, const N: usize>(text: &str, named: [(&str, T); N]) -> Result<T, String> {
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let remedy = format!("give one of {}", names.join(", "));
    let found = named.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| value).ok_or(remedy)
}

fn concentrations(text: &str) -> Result<Concentration, String> {
    match text {
        "free" => Ok(Concentration::Free),
        "tied" => Ok(Concentration::Tied),
        _ => concentration(text)
            .map(Concentration::Fixed)
            .map_err(|_| "give free, tied, or a number that is not negative".to_owned()),
    }
}

fn assignment(text: &str) -> Result<Assignment, String> {
    one_of(
        text,
        [
            ("soft", Assignment::Soft),
            ("hard", Assignment::Hard),
            ("stochastic", Assignment::Stochastic),
        ],
    )
}

fn empty_component(text: &str) -> Result<EmptyComponent, String> {
    one_of(
        text,
        [
            ("reseed", EmptyComponent::Reseed),
            ("drop", EmptyComponent::Drop),
            ("error", EmptyComponent::Error),
        ],
    )
}

fn criterion(text: &str) -> Result<Criterion, String> {
    one_of(
        text,
        [
            ("bic", Criterion::Bic),
            ("aic", Criterion::Aic),
            ("icl", Criterion::Icl),
            ("held-out", Criterion::HeldOut),
            ("silhouette", Criterion::Silhouette),
        ],
    )
}

fn annealing(text: &str) -> Result<Annealing, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(start, n)| Some((start.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((start, n_iterations)) if start > 0.0 && start <= 1.0 => Ok(Annealing {
            start,
            n_iterations,
        }),
        _ => Err(
            "give a power above 0 and up to 1, and a number of iterations, as 0.1:20".to_owned(),
        ),
    }
}

fn prior(text: &str) -> Result<Prior, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(strength, r)| Some((not_negative(strength).ok()?, share(r).ok()?)));
    let (strength, mean_resultant_length) = parsed.ok_or(
        "give a number of points, and their mean resultant length from 0 up to, but not including, 1, as 5:0.4",
    )?;
    Ok(Prior {
        strength,
        mean_resultant_length,
    })
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("give a whole number above 0".to_owned()),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if x >= 0.0 => Ok(x),
        _ => Err("give a number that is not negative".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if (0.0..1.0).contains(&x) => Ok(x),
        _ => Err("give a number from 0 up to, but not including, 1".to_owned()),
    }
}

pub(super) fn dimension(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(d) if d >= 2 => Ok(d),
        _ => Err("give a whole number of at least 2".to_owned()),
    }
}

pub(super) fn concentration(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(kappa) if (0.0..f64::INFINITY).contains(&kappa) => Ok(kappa),
        _ => Err("give a finite number that is not negative".to_owned()),
    }
}

fn size(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if (1.0..f64::INFINITY).contains(&n) => Ok(n),
        _ => Err("give a number of at least 1".to_owned()),
    }
}
