//! SigLIP against Python's transformers on the same files: a tiny random one (`tests/fixtures/make_siglip.py`).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use vmfmix::encoder::{self, DecodeOptions, Device, Encoder, Picture, SiglipEncoder, Tower};

#[derive(Deserialize)]
struct Expected {
    logit_scale: f32,
    texts: Vec<Text>,
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    /// Without padding.
    ids: Vec<u32>,
    is_cut: bool,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Image {
    image: String,
    embedding: Vec<f32>,
    bilinear: Vec<f32>,
}

/// Largest difference of a coordinate that counts as agreement.
const TOLERANCE: f32 = 1e-5;

/// The files of the model.
const FILES: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn load() -> SiglipEncoder {
    SiglipEncoder::from_folder(&fixtures().join("siglip"), Device::Cpu).unwrap()
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../fixtures/siglip/expected.json")).unwrap()
}

fn picture(name: &str) -> Picture {
    let bytes = std::fs::read(fixtures().join("images").join(name)).unwrap();
    Picture::decode(&bytes, &DecodeOptions::default()).unwrap()
}

/// A copy of the model in which `from` is `to` in one file.
fn copy_with(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let copied = tempfile::tempdir().unwrap();
    for name in FILES {
        std::fs::copy(
            fixtures().join("siglip").join(name),
            copied.path().join(name),
        )
        .unwrap();
    }
    let path = copied.path().join(file);
    let content = std::fs::read_to_string(&path).unwrap();
    assert!(content.contains(from), "{file} has no {from}");
    std::fs::write(&path, content.replace(from, to)).unwrap();
    copied
}

/// The message of the error after such a change.
fn message_with(file: &str, from: &str, to: &str) -> String {
    let copied = copy_with(file, from, to);
    let name = copied.path().to_str().unwrap();
    encoder::load(name, Device::Cpu).err().unwrap().to_string()
}

fn assert_agree<'a>(got: impl IntoIterator<Item = &'a f32>, expected: &[f32], what: &str) {
    let got: Vec<f32> = got.into_iter().copied().collect();
    assert_eq!(got.len(), expected.len(), "{what}");
    let pairs = got.iter().zip(expected);
    let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < TOLERANCE, "{what}: {difference:e}");
}

#[test]
fn texts_agree_with_transformers_and_batched_ones_with_single_ones() {
    let (encoder, expected) = (load(), expected());
    let texts: Vec<&str> = expected.texts.iter().map(|row| row.text.as_str()).collect();
    assert!(texts.len() >= 15);
    let batched = encoder.embed_texts(&texts).unwrap();
    assert_eq!(batched.dim(), (texts.len(), encoder.dimension()));
    for (row, batched) in expected.texts.iter().zip(batched.rows()) {
        let tokens = encoder.tokenize(&row.text).unwrap();
        assert_eq!(tokens.ids, row.ids, "{:?}", row.text);
        assert_eq!(tokens.is_cut, row.is_cut, "{:?}", row.text);
        let alone = encoder.embed_tokens(&[&tokens]).unwrap();
        assert_agree(&alone, &row.embedding, &row.text);
        assert_agree(batched, &alone.row(0).to_vec(), &row.text);
    }
}

#[test]
fn images_agree_with_transformers_and_batched_ones_with_single_ones() {
    let (encoder, expected) = (load(), expected());
    let pictures = expected.images.iter().map(|row| picture(&row.image));
    let pictures: Vec<Picture> = pictures.collect();
    let batched = encoder.embed_images(&pictures).unwrap();
    for ((row, batched), picture) in expected.images.iter().zip(batched.rows()).zip(&pictures) {
        let prepared = encoder.prepare(picture);
        assert_eq!((prepared.width(), prepared.height()), (32, 32));
        let alone = encoder.embed_images(&[prepared]).unwrap();
        assert_agree(&alone, &row.embedding, &row.image);
        assert_agree(batched, &alone.row(0).to_vec(), &row.image);
    }
}

#[test]
fn the_bilinear_filter_of_siglip_2_agrees_with_transformers() {
    let file = "preprocessor_config.json";
    let copied = copy_with(file, "\"resample\": 3", "\"resample\": 2");
    let encoder = SiglipEncoder::from_folder(copied.path(), Device::Cpu).unwrap();
    for row in expected().images {
        let embedded = encoder.embed_images(&[picture(&row.image)]).unwrap();
        assert_agree(&embedded, &row.bilinear, &row.image);
    }
}

#[test]
fn without_a_preprocessor_config_pixels_are_as_transformers_has_them_by_default() {
    let copied = copy_with("config.json", "", "");
    std::fs::remove_file(copied.path().join("preprocessor_config.json")).unwrap();
    let encoder = SiglipEncoder::from_folder(copied.path(), Device::Cpu).unwrap();
    let row = &expected().images[0];
    let embedded = encoder.embed_images(&[picture(&row.image)]).unwrap();
    assert_agree(&embedded, &row.embedding, &row.image);
}

#[test]
fn a_folder_of_its_type_is_loaded_by_name_with_both_towers_and_their_scale() {
    let folder = fixtures().join("siglip");
    let encoder = encoder::load(folder.to_str().unwrap(), Device::Cpu).unwrap();
    assert_eq!(encoder.name(), "siglip");
    assert_eq!(encoder.towers(), [Tower::Text, Tower::Image]);
    let scale = encoder.logit_scale().unwrap();
    assert!((scale / expected().logit_scale - 1.0).abs() < 1e-6);
    assert_eq!(encoder.embed_texts(&[]).unwrap().dim(), (0, 16));
    assert_eq!(encoder.embed_images(&[]).unwrap().dim(), (0, 16));
}

#[test]
fn another_tokeniser_than_the_first_siglips_keeps_punctuation() {
    let (from, to) = ("SiglipTokenizer", "PreTrainedTokenizerFast");
    let copied = copy_with("tokenizer_config.json", from, to);
    let encoder = SiglipEncoder::from_folder(copied.path(), Device::Cpu).unwrap();
    let ids = |text: &str| encoder.tokenize(text).unwrap().ids;
    assert_ne!(ids("star!"), ids("star"));
    assert_ne!(ids("STAR"), ids("star"));
    assert_eq!(ids("star"), load().tokenize("star").unwrap().ids);
}

#[test]
fn rejects_what_the_towers_cannot_do() {
    for (file, from, to, expected) in [
        (
            "config.json",
            "\"siglip\"",
            "\"siglip2\"",
            "needs the architecture \"siglip2\", which is not built",
        ),
        (
            "config.json",
            "\"vocab_size\": 100",
            "\"vocab_size\": 100, \"projection_size\": 8",
            "text_config.projection_size is 8, expected text_config.hidden_size",
        ),
        (
            "config.json",
            "\"image_size\": 32",
            "\"image_size\": 32, \"vision_use_head\": false",
            "vision_config.vision_use_head is false, expected true",
        ),
        (
            "config.json",
            "\"num_attention_heads\": 2",
            "\"num_attention_heads\": 3",
            "text_config.num_attention_heads is 3, expected a divisor of hidden_size",
        ),
        (
            "config.json",
            "\"patch_size\": 8",
            "\"patch_size\": 0",
            "vision_config.patch_size is 0, expected 1 to the image_size",
        ),
        (
            "config.json",
            "\"patch_size\": 8",
            "\"patch_size\": 16",
            "tensor vision_model.embeddings.",
        ),
        (
            "config.json",
            "\"vocab_size\": 100",
            "\"vocab_size\": 50",
            "but the text tower knows only 50",
        ),
        (
            "preprocessor_config.json",
            "\"height\": 32",
            "\"height\": 48",
            "expected the image_size of config.json as both height and width",
        ),
        (
            "tokenizer_config.json",
            "\"pad_token\": \"</s>\"",
            "\"pad_token\": \"<nothing>\"",
            "pad_token is \"<nothing>\", expected the token of tokenizer.json",
        ),
        (
            "tokenizer_config.json",
            "\"model_max_length\": 64",
            "\"padding_side\": \"left\"",
            "padding_side is left, expected right",
        ),
    ] {
        let message = message_with(file, from, to);
        assert!(message.contains(expected), "{to}: {message}");
    }
}
