//! Models of real size against Python (`tests/parity/run.sh`).

use std::path::{Path, PathBuf};

use candle_core::{Device as CandleDevice, Tensor, safetensors};
use ndarray::{Array1, Array2};
use serde::Deserialize;
use vmfmix::encoder::{
    self, BatchOptions, ClipEncoder, DecodeOptions, Device, Encoder, ImageSource, Picture,
    embed_images, embed_texts,
};
use vmfmix::progress::Silent;

/// Largest distance of a unit vector from Python's.
const TOLERANCE: f32 = 2e-4;

/// Pillow takes all 16-bit grey above 255 for white; here it keeps its upper byte.
const SIXTEEN_BITS: &str = "grey16_120x80.png";

fn folder() -> PathBuf {
    PathBuf::from(std::env::var("VMFMIX_PARITY_FILES").expect("the folder of tests/parity/run.sh"))
}

fn rows(tensor: &Tensor) -> Array2<f32> {
    let (rows, columns) = tensor.dims2().unwrap();
    let values = tensor.flatten_all().unwrap().to_vec1().unwrap();
    Array2::from_shape_vec((rows, columns), values).unwrap()
}

/// The largest distance of two rows at the same place, places left out that `skip` names.
fn largest_distance(a: &Array2<f32>, b: &Array2<f32>, skip: impl Fn(usize) -> bool) -> f32 {
    assert_eq!(a.dim(), b.dim());
    let pairs = a.rows().into_iter().zip(b.rows()).enumerate();
    pairs
        .filter(|(row, _)| !skip(*row))
        .map(|(_, (a, b))| (&a - &b).mapv(|x| x * x).sum().sqrt())
        .fold(0.0, f32::max)
}

#[test]
#[ignore = "needs what tests/parity/run.sh makes"]
fn clips_of_real_size_give_what_python_gives() {
    let folder = folder();
    let entries = std::fs::read_dir(folder.join("images")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let texts = std::fs::read_to_string(folder.join("texts.txt")).unwrap();
    let texts: Vec<&str> = texts.trim_end_matches('\n').split('\n').collect();
    for model in ["vit-b-32", "rn50"] {
        compare(&folder.join(model), &paths, &texts);
    }
}

fn compare(model: &Path, paths: &[PathBuf], texts: &[&str]) {
    let expected =
        safetensors::load(model.join("expected.safetensors"), &CandleDevice::Cpu).unwrap();
    let encoder = ClipEncoder::from_folder(model, Device::Cpu).unwrap();
    let skipped = |row: usize| paths[row].ends_with(SIXTEEN_BITS);
    let mut identical = 0;
    for (row, path) in paths.iter().enumerate() {
        let picture = Picture::open(path, &DecodeOptions::default()).unwrap();
        let bytes = expected["pixels"]
            .get(row)
            .and_then(|pixels| pixels.flatten_all());
        let same = encoder.prepare(&picture).rgb() == bytes.unwrap().to_vec1::<u8>().unwrap();
        assert!(same || skipped(row), "{}", path.display());
        identical += usize::from(same);
    }
    let options = BatchOptions::default();
    let sources: Vec<_> = paths
        .iter()
        .map(|path| Some(ImageSource::Path(path)))
        .collect();
    let images = embed_images(&encoder, &sources, &options, &Silent)
        .unwrap()
        .embeddings;
    let images = largest_distance(&images, &rows(&expected["images"]), skipped);
    let texts: Vec<_> = texts.iter().copied().map(Some).collect();
    let embedded = embed_texts(&encoder, &texts, &options, &Silent)
        .unwrap()
        .embeddings;
    let embedded = largest_distance(&embedded, &rows(&expected["texts"]), |_| false);
    println!(
        "{}: {identical} of {} pictures byte for byte; distance of images {images:.1e}, of {} texts {embedded:.1e}",
        encoder.name(),
        paths.len(),
        texts.len()
    );
    assert!(images < TOLERANCE && embedded < TOLERANCE);
}

#[test]
#[ignore = "needs what tests/parity/run.sh makes"]
fn a_trained_sentence_encoder_gives_what_python_gives() {
    #[derive(Deserialize)]
    struct Reference {
        texts: Vec<String>,
        embeddings: Vec<Vec<f32>>,
    }
    let reference = std::fs::read(folder().join("sentences.json")).unwrap();
    let Reference { texts, embeddings } = serde_json::from_slice(&reference).unwrap();
    assert_eq!(texts.len(), 200);
    let model = folder().join("all-MiniLM-L6-v2");
    let encoder = encoder::load(model.to_str().unwrap(), Device::Cpu).unwrap();
    let rows: Vec<_> = texts.iter().map(|text| Some(&text[..])).collect();
    let embedded = embed_texts(&*encoder, &rows, &BatchOptions::default(), &Silent).unwrap();
    let pairs = embedded.embeddings.rows().into_iter().zip(embeddings);
    let cosines = pairs.map(|(ours, theirs)| ours.dot(&Array1::from(theirs)));
    let least = cosines.fold(f32::INFINITY, f32::min);
    println!(
        "all-MiniLM-L6-v2: 1 - {:.1e} is the least cosine of 200",
        1.0 - least
    );
    assert!(least >= 0.9999, "{least}");
}
