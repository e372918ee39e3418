//! What needs a GPU. Where there is none, each test says so and is left out; `tests/cuda/run.sh` counts those.

use std::num::NonZeroUsize;
use std::path::Path;

use candle_core::{DType, Tensor};
use ndarray::{Array1, Array2, Axis};
use vmfmix::device::Device;
use vmfmix::encoder::{
    self, BatchOptions, Encoder, ImageSource, Placement, Precision, embed_images,
};
use vmfmix::mixture::{
    Assignment, InMemory, Observations, OnDevice, Scorer, SphericalKMeans, VonMisesFisherMixture,
};
use vmfmix::progress::Silent;

use crate::observations::{clustered, difference, scorer};

const GPU: Device = Device::Cuda(0);

/// Whether there is a GPU.
fn has_gpu() -> bool {
    match GPU.resolve() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("LEFT OUT: {error}");
            false
        }
    }
}

fn on_gpu(rows: &Array2<f32>) -> OnDevice<ndarray::ArrayView2<'_, f32>> {
    OnDevice::new(InMemory::new(rows.view(), None).unwrap(), GPU).unwrap()
}

#[test]
fn a_sweep_is_that_of_the_processor() {
    if !has_gpu() {
        return;
    }
    let rows = clustered(20_000, 96, 7, 0.7);
    let weights: Array1<f32> = (0..20_000).map(|i| (i % 3) as f32).collect();
    for sample_weights in [None, Some(weights.view())] {
        let points = InMemory::new(rows.view(), sample_weights).unwrap();
        let on_gpu = InMemory::new(rows.view(), sample_weights).unwrap();
        let on_gpu = OnDevice::new(on_gpu, GPU).unwrap();
        for (k, concentration, inverse_temperature) in [
            (1, 20.0, 1.0),
            (7, 20.0, 0.4),
            (7, 3000.0, 1.0),
            (300, 100.0, 1.0),
        ] {
            let scorer = Scorer {
                inverse_temperature,
                ..scorer(&rows, k, concentration)
            };
            for assignment in [Assignment::Soft, Assignment::Hard, Assignment::Stochastic] {
                let expected = points.sweep(&scorer, assignment).unwrap();
                let got = on_gpu.sweep(&scorer, assignment).unwrap();
                let difference = difference(&expected, &got);
                // A row in 20,000 may be drawn for another component.
                let limit = if assignment == Assignment::Soft {
                    1e-6
                } else {
                    2e-4
                };
                assert!(
                    difference < limit,
                    "{assignment:?}, {k}, {concentration}: {difference:e}"
                );
            }
        }
    }
}

#[test]
fn rows_in_double_and_rows_that_do_not_fit_are_swept_alike() {
    if !has_gpu() {
        return;
    }
    let rows = clustered(9000, 40, 5, 0.7);
    let wide = rows.mapv(f64::from);
    let scorer = scorer(&rows, 5, 50.0);
    let points = || InMemory::new(wide.view(), None).unwrap();
    let expected = points().sweep(&scorer, Assignment::Soft).unwrap();
    let resident = OnDevice::new(points(), GPU).unwrap();
    let sent = OnDevice::within(points(), GPU, 0).unwrap();
    assert_eq!((resident.n_resident(), sent.n_resident()), (9000, 0));
    let all = resident.sweep(&scorer, Assignment::Soft).unwrap();
    assert!(difference(&expected, &all) < 1e-12);
    assert_eq!(sent.sweep(&scorer, Assignment::Soft).unwrap(), all);
}

#[test]
fn fits_are_those_of_the_processor() {
    if !has_gpu() {
        return;
    }
    let rows = clustered(20_000, 128, 8, 0.6);
    let points = InMemory::new(rows.view(), None).unwrap();
    let on_gpu = on_gpu(&rows);
    let params = VonMisesFisherMixture::params(8).n_runs(1);
    let expected = params.fit_observations(&points).unwrap();
    for (tf32, limit) in [(false, 1e-6), (true, 1e-5)] {
        let dataset = linfa::DatasetBase::from(rows.clone());
        let got = params.clone().device(GPU).tf32(tf32).fit(&dataset).unwrap();
        let difference = (expected.log_likelihood() - got.log_likelihood()).abs();
        assert!(difference < limit, "TF32 {tf32}: {difference:e}");
    }
    let params = linfa::ParamGuard::check(SphericalKMeans::params(8)).unwrap();
    let expected = params.fit_observations(&points).unwrap();
    let got = params.fit_observations(&on_gpu).unwrap();
    assert_eq!(expected.masses(), got.masses());
}

/// Cosines between what an encoder computes in some precision and what it computes on the processor.
fn cosines(
    model: &str,
    precision: Precision,
    embed: impl Fn(&dyn Encoder) -> Array2<f32>,
) -> Array1<f32> {
    let placement = Placement {
        device: GPU,
        precision,
    };
    let on_gpu = encoder::load(model, placement).unwrap();
    assert_eq!(on_gpu.device(), GPU);
    let expected = embed(&*encoder::load(model, Device::Cpu).unwrap());
    (expected * embed(&*on_gpu)).sum_axis(Axis(1))
}

#[test]
fn encoders_of_all_families_agree_with_the_processor() {
    if !has_gpu() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let images: Vec<_> = std::fs::read_dir(root.join("datasets/shapes/images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let sources: Vec<_> = images
        .iter()
        .map(|path| Some(ImageSource::Path(path)))
        .collect();
    let texts = ["a red circle", "two small blue squares in a row", "x"];
    for (model, has_images) in [
        ("datasets/tiny-clip", true),
        ("tests/fixtures/siglip", true),
        ("tests/fixtures/sentence/bert", false),
        ("tests/fixtures/sentence/mpnet", false),
        ("tests/fixtures/sentence/distilbert", false),
        ("tests/fixtures/sentence/roberta", false),
    ] {
        let model = root.join(model);
        let model = model.to_str().unwrap();
        for (precision, limit) in [
            (Precision::F32, 1e-6),
            (Precision::F16, 1e-4),
            (Precision::Bf16, 1e-3),
        ] {
            let of_texts = cosines(model, precision, |encoder| {
                encoder.embed_texts(&texts).unwrap()
            });
            let of_images = has_images.then(|| {
                cosines(model, precision, |encoder| {
                    let options = BatchOptions::default();
                    embed_images(encoder, &sources, &options, &Silent)
                        .unwrap()
                        .embeddings
                })
            });
            for cosine in of_texts.iter().chain(of_images.iter().flatten()) {
                assert!(*cosine > 1.0 - limit, "{model}, {precision}: {cosine}");
            }
        }
    }
}

#[test]
fn a_device_that_is_nearly_full_still_embeds_and_fits() {
    if !has_gpu() {
        return;
    }
    let full = candle_core::Device::new_cuda(0).unwrap();
    let mut filler = Vec::new();
    for size in [1_usize << 30, 1 << 28, 1 << 26] {
        while let Ok(piece) = Tensor::zeros(size, DType::U8, &full) {
            filler.push(piece);
        }
    }
    // Some room for the kernels themselves.
    filler.truncate(filler.len() - 4);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::fs::read_dir(root.join("datasets/shapes/images"))
        .unwrap()
        .next()
        .unwrap();
    let path = path.unwrap().path();
    let side_by_side: Vec<Vec<u8>> = (0..20_000_u32)
        .map(|i| {
            let mut bytes = std::fs::read(&path).unwrap();
            // What follows the end of a picture makes it another item.
            bytes.extend(i.to_le_bytes());
            bytes
        })
        .collect();
    let sources: Vec<_> = side_by_side
        .iter()
        .map(|bytes| Some(ImageSource::Bytes(bytes)))
        .collect();
    let encoder = encoder::load(root.join("datasets/tiny-clip").to_str().unwrap(), GPU).unwrap();
    let options = BatchOptions {
        batch_size: NonZeroUsize::new(20_000),
        ..BatchOptions::default()
    };
    let embedded = embed_images(&*encoder, &sources, &options, &Silent).unwrap();
    assert!(embedded.failures.is_empty());
    assert!(
        embedded
            .embeddings
            .rows()
            .into_iter()
            .all(|row| row == embedded.embeddings.row(0))
    );

    let rows = clustered(100_000, 64, 5, 0.7);
    let points = InMemory::new(rows.view(), None).unwrap();
    let scorer = scorer(&rows, 200, 50.0);
    let expected = points.sweep(&scorer, Assignment::Soft).unwrap();
    let got = on_gpu(&rows).sweep(&scorer, Assignment::Soft).unwrap();
    assert!(difference(&expected, &got) < 1e-6);
}
