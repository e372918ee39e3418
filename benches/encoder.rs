//! The encoder on the checkpoints and files that `encoder.py` makes, so that both time the same work.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, SamplingMode, Throughput};
use vmfmix::encoder::{
    BatchOptions, ClipEncoder, Device, Encoder, ImageSource, Picture, embed_images, embed_texts,
};
use vmfmix::progress::Silent;

/// Where `encoder.py` put them.
const FOLDER: &str = "VMFMIX_BENCH_FILES";

/// Images that the towers see at once.
const BATCH: usize = 32;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("encoder: left out; run encoder.py and set {FOLDER} to its folder");
    }
    folder
}

fn load(folder: &Path, model: &str) -> ClipEncoder {
    ClipEncoder::from_folder(&folder.join(model), Device::Cpu).expect("a model from encoder.py")
}

/// Pixels to unit vectors, one batch.
pub(crate) fn images(criterion: &mut Criterion) {
    let Some(folder) = folder() else { return };
    let mut group = criterion.benchmark_group("encoder/images");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(BATCH as u64));
    for model in ["vit-b-32", "rn50"] {
        let encoder = load(&folder, model);
        let side = encoder.preprocessing().image_size();
        let bytes = (0..3 * side * side).map(|i| (i * 31 % 251) as u8).collect();
        let picture = Picture::from_rgb(side, side, bytes).expect("a picture");
        let pictures = vec![picture; BATCH];
        group.bench_function(model, |bencher| {
            bencher.iter(|| black_box(encoder.embed_images(&pictures)));
        });
    }
}

/// Captions of many lengths to unit vectors.
pub(crate) fn texts(criterion: &mut Criterion) {
    let Some(folder) = folder() else { return };
    let captions = std::fs::read_to_string(folder.join("captions.txt")).expect("captions");
    let captions: Vec<_> = captions.lines().map(Some).collect();
    let mut group = criterion.benchmark_group("encoder/texts");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(captions.len() as u64));
    let encoder = load(&folder, "vit-b-32");
    group.bench_function("vit-b-32", |bencher| {
        let options = BatchOptions::default();
        bencher.iter(|| black_box(embed_texts(&encoder, &captions, &options, &Silent)));
    });
}

/// JPEG files to unit vectors.
pub(crate) fn files(criterion: &mut Criterion) {
    let Some(folder) = folder() else { return };
    let paths: Vec<PathBuf> = std::fs::read_dir(folder.join("jpegs"))
        .expect("a folder of pictures")
        .map(|entry| entry.expect("a picture").path())
        .collect();
    let sources: Vec<_> = paths.iter().map(|p| Some(ImageSource::Path(p))).collect();
    let mut group = criterion.benchmark_group("encoder/files");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(paths.len() as u64));
    let encoder = load(&folder, "vit-b-32");
    group.bench_function("vit-b-32", |bencher| {
        let options = BatchOptions::default();
        bencher.iter(|| black_box(embed_images(&encoder, &sources, &options, &Silent)));
    });
}
