//! Sentence encoders against Python sentence-transformers on the same files: tiny ones of each family
//! (`tests/fixtures/make_sentence.py`).

use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::ArrayView1;
use serde::Deserialize;
use vmfmix::encoder::{
    self, BatchOptions, Device, Encoder, ImageSource, SentenceEncoder, Tower, embed_images,
    embed_texts,
};
use vmfmix::progress::Silent;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    families: Vec<Family>,
}

#[derive(Deserialize)]
struct Family {
    family: String,
    /// Number of tokens of each text, special ones included.
    tokens: Vec<usize>,
    embeddings: Vec<Vec<f32>>,
}

/// Largest difference of a coordinate that counts as agreement.
const TOLERANCE: f32 = 1e-5;

/// Smallest cosine that counts as agreement for random weights.
const COSINE: f64 = 0.999_999;

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/sentence")
        .join(family)
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../fixtures/sentence/expected.json")).unwrap()
}

fn load(family: &str) -> SentenceEncoder {
    SentenceEncoder::from_folder(&folder(family), Device::Cpu).unwrap()
}

/// A copy of a family's folder in which files can be changed.
fn copy(family: &str) -> tempfile::TempDir {
    fn copy_below(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                std::fs::create_dir(&target).unwrap();
                copy_below(&path, &target);
            } else {
                std::fs::copy(&path, &target).unwrap();
            }
        }
    }
    let copied = tempfile::tempdir().unwrap();
    copy_below(&folder(family), copied.path());
    copied
}

/// The message of the error after `file` has been written anew.
fn message_with(family: &str, file: &str, content: &str) -> String {
    let copied = copy(family);
    std::fs::write(copied.path().join(file), content).unwrap();
    let name = copied.path().to_str().unwrap();
    encoder::load(name, Device::Cpu).err().unwrap().to_string()
}

fn cosine(a: ArrayView1<'_, f32>, b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let a = a.to_vec();
    dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt()
}

fn largest_difference(a: ArrayView1<'_, f32>, b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn each_family_agrees_with_sentence_transformers_and_batched_texts_with_single_ones() {
    let expected = expected();
    let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
    assert!(texts.len() >= 20);
    assert_eq!(expected.families.len(), 5);
    for family in &expected.families {
        let name = &family.family;
        let encoder = load(name);
        assert_eq!(encoder.towers(), [Tower::Text]);
        let batched = encoder.embed_texts(&texts).unwrap();
        for (i, text) in texts.iter().enumerate() {
            let tokens = encoder.tokenize(text).unwrap();
            assert_eq!(tokens.ids.len(), family.tokens[i], "{name}: {text:?}");
            let alone = encoder.embed_tokens(&[&tokens]).unwrap();
            let reference = &family.embeddings[i];
            let (difference, cosine) = (
                largest_difference(alone.row(0), reference),
                cosine(alone.row(0), reference),
            );
            assert!(
                difference < TOLERANCE && cosine > COSINE,
                "{name}: {text:?}: {difference:e}, {cosine}"
            );
            let difference = largest_difference(batched.row(i), &alone.row(0).to_vec());
            assert!(difference < TOLERANCE, "{name}: {text:?}: {difference:e}");
        }
    }
}

#[test]
fn a_cut_text_keeps_its_closing_token_and_is_reported() {
    let encoder = load("bert");
    let short = encoder.tokenize("a red circle").unwrap();
    let long = encoder.tokenize(&"a red circle ".repeat(60)).unwrap();
    assert!(!short.is_cut);
    assert!(long.is_cut);
    assert_eq!(long.ids.len(), 24);
    assert_eq!(long.ids.last(), short.ids.last());
    assert_eq!(long.types, [0; 24]);
    let texts = [Some("star"), None, Some(&*"a red circle ".repeat(60))];
    let embedded = embed_texts(&encoder, &texts, &BatchOptions::default(), &Silent).unwrap();
    assert_eq!(embedded.cut, [2]);
    assert_eq!(embedded.failures[0].row, 1);
}

#[test]
fn a_text_encoder_that_is_asked_for_images_says_so() {
    let encoder = load("bert");
    let sources = [Some(ImageSource::Bytes(b"never read"))];
    let error = embed_images(&encoder, &sources, &BatchOptions::default(), &Silent).unwrap_err();
    assert!(
        error.to_string().starts_with("bert does not embed images;"),
        "{error}"
    );
}

#[test]
fn a_folder_becomes_the_encoder_that_its_files_are_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let towers = |path: &Path| {
        let encoder = encoder::load(path.to_str().unwrap(), Device::Cpu).unwrap();
        encoder.towers().to_vec()
    };
    assert_eq!(towers(&folder("mpnet")), [Tower::Text]);
    assert_eq!(
        towers(&root.join("datasets/tiny-clip")),
        [Tower::Text, Tower::Image]
    );
}

#[test]
fn a_transformer_without_modules_is_pooled_by_its_mean() {
    let copied = copy("bert");
    std::fs::remove_file(copied.path().join("modules.json")).unwrap();
    let bare = encoder::load(copied.path().to_str().unwrap(), Device::Cpu).unwrap();
    let (bare, whole) = (
        bare.embed_texts(&["a star"]).unwrap(),
        load("bert").embed_texts(&["a star"]).unwrap(),
    );
    let whole = whole.row(0).to_vec();
    assert!(largest_difference(bare.row(0), &whole) < TOLERANCE);
}

#[test]
fn an_unknown_module_is_named() {
    for (modules, module) in [
        (
            r#"[{"path": "", "type": "custom_st.Transformer"}]"#,
            "custom_st.Transformer",
        ),
        (
            r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1", "type": "sentence_transformers.models.LSTM"}]"#,
            "sentence_transformers.models.LSTM",
        ),
        (
            r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                {"path": "2", "type": "sentence_transformers.models.CNN"}]"#,
            "sentence_transformers.models.CNN",
        ),
    ] {
        let message = message_with("bert", "modules.json", modules);
        assert!(
            message.contains(&format!(
                "modules.json: the module {module} cannot be run here"
            )),
            "{message}"
        );
    }
}

#[test]
fn a_malformed_file_is_named() {
    let sizes =
        r#""vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32"#;
    for (file, content, expected) in [
        ("modules.json", "{", "is not the JSON that was expected"),
        (
            "config.json",
            r#"{"model_type": "bert"}"#,
            "missing field `vocab_size`",
        ),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode": "best"}"#,
            "1_Pooling/config.json is not the JSON",
        ),
        (
            "sentence_bert_config.json",
            r#"{"max_seq_length": 2}"#,
            "max_seq_length is 2, expected at least 3",
        ),
        (
            "tokenizer.json",
            "{}",
            "tokenizer.json is not a usable tokeniser",
        ),
        (
            "config_sentence_transformers.json",
            "{",
            "config_sentence_transformers.json is not the JSON",
        ),
        (
            "model.safetensors",
            "weights",
            "is not a readable weight file",
        ),
    ] {
        let message = message_with("bert", file, content);
        assert!(message.contains(expected), "{file}: {message}");
    }
    let wide = format!(r#"{{"model_type": "bert", {sizes}, "num_attention_heads": 3}}"#);
    let message = message_with("bert", "config.json", &wide);
    assert!(
        message.ends_with("num_attention_heads is 3, expected a divisor of hidden_size"),
        "{message}"
    );
    let deep = sizes.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let deep = format!(
        r#"{{"model_type": "bert", {deep}, "num_attention_heads": 2, "max_position_embeddings": 64}}"#
    );
    let message = message_with("bert", "config.json", &deep);
    assert!(
        message.contains("model.safetensors has no tensor encoder.layer.2."),
        "{message}"
    );
    let message = message_with("bert", "config.json", r#"{"model_type": "modernbert"}"#);
    assert!(
        message.contains("needs the architecture \"modernbert\""),
        "{message}"
    );
}

#[test]
fn a_missing_shard_is_named() {
    let copied = copy("xlm_roberta");
    std::fs::remove_file(copied.path().join("model-00002-of-00002.safetensors")).unwrap();
    let error = SentenceEncoder::from_folder(copied.path(), Device::Cpu).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("holds no model-00002-of-00002.safetensors"),
        "{error}"
    );
}

#[test]
fn an_id_whose_files_are_in_the_cache_works_offline_and_refuses_images_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let model = cache.path().join("models--someone--tiny-mpnet");
    std::fs::create_dir_all(model.join("refs")).unwrap();
    std::fs::create_dir_all(model.join("snapshots")).unwrap();
    std::fs::write(model.join("refs/main"), "abc").unwrap();
    std::fs::rename(copy("mpnet").keep(), model.join("snapshots/abc")).unwrap();
    let texts = cache.path().join("texts.txt");
    std::fs::write(
        &texts,
        expected().texts.join(" ").replace('\n', " ") + "\nstar\nblue\nred circle\n",
    )
    .unwrap();
    let run = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_vmfmix"))
            .current_dir(cache.path())
            .env("HF_HUB_CACHE", cache.path())
            .env("HF_HUB_OFFLINE", "1")
            .args(["--clip-model", "someone/tiny-mpnet", "--n-components", "2"])
            .arg("--text-file")
            .arg(&texts)
            .args(more)
            .output()
            .unwrap()
    };
    let output = run(&[]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let output = run(&["--image-dir", pictures.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        errors.contains("someone/tiny-mpnet does not embed images"),
        "{errors}"
    );
}
