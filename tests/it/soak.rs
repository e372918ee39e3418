//! Everything again and again in one process (`tests/soak/run.sh`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use sha2::Digest;
use tempfile::TempDir;
use vmfmix::cli::Cli;

/// Seconds that it takes, from the environment.
const SECONDS: &str = "VMFMIX_SOAK_SECONDS";

/// Growth of the memory over the last two thirds, as a share of it, that is no leak.
const MAX_GROWTH: f64 = 0.05;

/// Jobs of changing sizes; `@` stands for the folder that all of them write to.
const JOBS: [&str; 14] = [
    "sample -n 3000 --dim 64 -k 4 -o @/small.parquet",
    "sample -n 40000 --dim 32 -k 3 -o @/large.npy",
    "embed --text-file datasets/shapes/captions.txt --clip-model datasets/tiny-clip -o @/texts.parquet",
    "embed --image-dir datasets/shapes/images --clip-model datasets/tiny-clip --shard-size 100 -o @/images.npy",
    "fit --embeddings @/small.parquet -k 4 --n-runs 2 --output-dir @/small",
    "fit --embeddings @/large.npy -k 3 --memory-share 0 --max-iterations 10 --output-dir @/disk",
    "fit --embeddings @/images.npy -k 12 --output-dir @/images",
    "fit --text-file datasets/shapes/captions.txt --clip-model datasets/tiny-clip -k 6 --test-split 0 --output-dir @/texts",
    "fit --n-samples 500 -k 3 --noise-component --assignment stochastic --output-dir @/noise",
    "sweep --embeddings @/small.parquet --select 2..5 --n-runs 1 --output-dir @/sweep",
    "predict --model @/small/model_parameters.json --embeddings @/small.parquet -o @/predicted.parquet",
    "predict --model @/disk/model_parameters.json --embeddings @/large.npy -o @/predicted-large.parquet",
    "report --model @/texts/model_parameters.json --text-file datasets/shapes/captions.txt --clip-model datasets/tiny-clip --output-dir @/report",
    "report --compare @/small @/sweep --output-dir @/comparison",
];

/// What is to be the same in every round, by the ends of the files' names; reports tell how long things took.
const RESULTS: [&str; 5] = [
    ".parquet",
    ".npy",
    "model_parameters.json",
    "convergence_info.json",
    "evaluation_metrics.json",
];

/// What the process holds after a round.
struct Held {
    seconds: f64,
    /// Resident, in MB.
    memory: f64,
    descriptors: usize,
}

#[test]
#[ignore = "takes as long as tests/soak/run.sh says"]
fn memory_descriptors_and_results_stay_as_they_are() {
    let seconds = std::env::var(SECONDS).expect(SECONDS).parse().unwrap();
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut first = None;
    let mut rounds = Vec::new();
    println!(
        "{:>7} {:>9} {:>9} {:>11}",
        "round", "seconds", "RSS, MB", "descriptors"
    );
    while start.elapsed() < limit {
        let results = round();
        assert_eq!(*first.get_or_insert_with(|| results.clone()), results);
        let held = Held {
            seconds: start.elapsed().as_secs_f64(),
            memory: resident(),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        };
        rounds.push(held);
        let Held {
            seconds,
            memory,
            descriptors,
        } = rounds.last().unwrap();
        println!(
            "{:>7} {seconds:>9.0} {memory:>9.1} {descriptors:>11}",
            rounds.len()
        );
    }
    let settled = &rounds[rounds.len() / 3..];
    let growth = growth(settled);
    println!(
        "growth of the memory over the last two thirds: {:.2} %",
        100.0 * growth
    );
    assert!(growth < MAX_GROWTH, "the memory grew by {growth}");
    let descriptors = |held: &Held| held.descriptors;
    let (least, most) = (
        settled.iter().map(descriptors).min(),
        settled.iter().map(descriptors).max(),
    );
    assert_eq!(least, most, "descriptors come or go");
}

/// Does all jobs, and returns fingerprints of what they wrote.
fn round() -> BTreeMap<String, String> {
    let folder = TempDir::new().unwrap();
    let root = folder.path().to_str().unwrap();
    for job in JOBS {
        let arguments = job.split(' ').map(|word| word.replace('@', root));
        let arguments = ["vmfmix".to_owned()].into_iter().chain(arguments);
        let cli = Cli::try_parse_from(arguments.chain(["-q".to_owned()])).unwrap();
        cli.run().unwrap_or_else(|error| panic!("{job}: {error:#}"));
    }
    let mut results = BTreeMap::new();
    fingerprints(folder.path(), root, &mut results);
    assert!(results.len() > JOBS.len());
    results
}

fn fingerprints(folder: &Path, root: &str, results: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap();
        if path.is_dir() {
            fingerprints(&path, root, results);
        } else if RESULTS.iter().any(|end| name.ends_with(end)) {
            let bytes = fs::read(&path).unwrap();
            let hash = sha2::Sha256::digest(bytes);
            results.insert(name.replacen(root, "", 1), format!("{hash:?}"));
        }
    }
}

/// Of the line through the memory of the rounds: what it rises by, as a share of the mean.
fn growth(rounds: &[Held]) -> f64 {
    let n = rounds.len() as f64;
    let mean = |value: fn(&Held) -> f64| rounds.iter().map(value).sum::<f64>() / n;
    let (time, memory) = (mean(|held| held.seconds), mean(|held| held.memory));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for held in rounds {
        covariance += (held.seconds - time) * (held.memory - memory);
        variance += (held.seconds - time).powi(2);
    }
    let slope = if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    };
    slope * (rounds.last().unwrap().seconds - rounds[0].seconds) / memory
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes / 1024.0
}
