//! tiny-clip against Python transformers on the same files (`tests/fixtures/make_tiny_clip.py`).

use std::path::Path;

use ndarray::{ArrayView2, Axis};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use vmfmix::encoder::{ClipEncoder, DecodeOptions, Device, Encoder, Picture};

#[derive(Deserialize)]
struct Fixture {
    images: Vec<Image>,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Image {
    path: String,
    pixels_sha256: String,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    embedding: Vec<f32>,
}

/// Largest difference of a coordinate that counts as agreement.
const TOLERANCE: f32 = 1e-5;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/tiny_clip.json")).unwrap()
}

fn encoder() -> ClipEncoder {
    ClipEncoder::from_folder(&root().join("datasets/tiny-clip"), Device::Cpu).unwrap()
}

fn largest_difference(got: ArrayView2<'_, f32>, expected: &[&[f32]]) -> f32 {
    assert_eq!(got.nrows(), expected.len());
    let rows = got.rows().into_iter().zip(expected);
    rows.flat_map(|(a, b)| a.to_vec().into_iter().zip(b.iter().copied()))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn pixels_are_pillows_byte_for_byte_and_image_embeddings_agree_with_transformers() {
    let (encoder, fixture) = (encoder(), fixture());
    assert!(fixture.images.len() >= 30);
    let open = |image: &Image| {
        Picture::open(&root().join(&image.path), &DecodeOptions::default()).unwrap()
    };
    let pictures: Vec<Picture> = fixture.images.iter().map(open).collect();
    for (image, picture) in fixture.images.iter().zip(&pictures) {
        let hash: String = Sha256::digest(encoder.prepare(picture).rgb())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hash, image.pixels_sha256, "{}", image.path);
    }
    let expected: Vec<&[f32]> = fixture
        .images
        .iter()
        .map(|image| &image.embedding[..])
        .collect();
    let batched = encoder.embed_images(&pictures).unwrap();
    for (i, image) in fixture.images.iter().enumerate() {
        let row = batched.slice(ndarray::s![i..=i, ..]);
        let difference = largest_difference(row, &expected[i..=i]);
        assert!(difference < TOLERANCE, "{}: {difference}", image.path);
    }
    for (i, picture) in pictures.iter().enumerate() {
        let alone = encoder.embed_images(std::slice::from_ref(picture)).unwrap();
        let row = batched.index_axis(Axis(0), i).to_vec();
        assert!(largest_difference(alone.view(), &[&row]) < TOLERANCE);
    }
}

#[test]
fn token_ids_and_text_embeddings_agree_with_transformers() {
    let (encoder, fixture) = (encoder(), fixture());
    assert!(fixture.texts.len() >= 40);
    for text in &fixture.texts {
        let tokens = encoder.tokenize(&text.text).unwrap();
        assert_eq!(tokens.ids, text.ids, "{:?}", text.text);
    }
    let texts: Vec<&str> = fixture
        .texts
        .iter()
        .map(|text| text.text.as_str())
        .collect();
    let expected: Vec<&[f32]> = fixture
        .texts
        .iter()
        .map(|text| &text.embedding[..])
        .collect();
    let batched = encoder.embed_texts(&texts).unwrap();
    let difference = largest_difference(batched.view(), &expected);
    println!("texts: {difference:e}");
    assert!(difference < TOLERANCE, "{difference}");
    for (i, text) in texts.iter().enumerate() {
        let alone = encoder.embed_texts(&[text]).unwrap();
        let row = batched.index_axis(Axis(0), i).to_vec();
        assert!(largest_difference(alone.view(), &[&row]) < TOLERANCE);
    }
}
