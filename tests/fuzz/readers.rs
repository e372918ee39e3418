//! Everything that reads foreign bytes, one function for each kind.
//!
//! Each takes any bytes, and must come back without a panic, in little time and memory; what the bytes are found to be
//! does not matter, but for a check here and there that no wrong number comes out. Where there are several formats, the
//! first byte chooses one and the others are the file. Fuzzers call these functions, and so do the tests that repeat what
//! fuzzers found.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::Parser;
use vmfmix::cli::Cli;
use vmfmix::encoder::{self, DecodeOptions, Device, Picture, Preprocessing};
use vmfmix::frame::io;
use vmfmix::mixture::VonMisesFisherMixture;
use vmfmix::ndarray::Array2;
use vmfmix::report::{Comparison, Summary};

/// A function that reads foreign bytes.
pub type Reader = fn(&[u8]);

/// All of them, by the names of their fuzz targets.
pub const READERS: [(&str, Reader); 8] = [
    ("arguments", arguments),
    ("checkpoint", checkpoint),
    ("config", config),
    ("model", model),
    ("npy", npy),
    ("picture", picture),
    ("table", table),
    ("tokenizer", tokenizer),
];

/// Pixels of the largest picture that is decoded here.
const MAX_PIXELS: u64 = 1 << 20;

/// Bytes of an encoded picture.
pub fn picture(bytes: &[u8]) {
    let options = DecodeOptions {
        max_pixels: MAX_PIXELS,
        apply_orientation: true,
    };
    if let Ok(picture) = Picture::decode(bytes, &options) {
        assert!(picture.width() as u64 * picture.height() as u64 <= MAX_PIXELS);
        let size = 8;
        let prepared = Preprocessing::openai(size).prepare(&picture);
        assert_eq!((prepared.width(), prepared.height()), (size, size));
    }
}

/// Weights: safetensors, an archive of PyTorch's, or the program in such an archive.
pub fn checkpoint(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let (base, file, bytes) = match kind % 3 {
        0 => ("tests/fixtures/siglip", "model.safetensors", bytes.to_vec()),
        1 => (
            "tests/fixtures/sentence/distilbert",
            "pytorch_model.bin",
            bytes.to_vec(),
        ),
        _ => (
            "tests/fixtures/sentence/distilbert",
            "pytorch_model.bin",
            archive(bytes),
        ),
    };
    load(base, file, &bytes);
}

/// One of the JSON files beside the weights.
pub fn config(bytes: &[u8]) {
    const FILES: [(&str, &str); 12] = [
        ("datasets/tiny-clip", "config.json"),
        ("datasets/tiny-clip", "preprocessor_config.json"),
        ("datasets/tiny-clip", "open_clip_config.json"),
        ("datasets/tiny-clip", "model.safetensors.index.json"),
        ("tests/fixtures/siglip", "config.json"),
        ("tests/fixtures/siglip", "preprocessor_config.json"),
        ("tests/fixtures/siglip", "tokenizer_config.json"),
        ("tests/fixtures/sentence/bert", "config.json"),
        ("tests/fixtures/sentence/bert", "modules.json"),
        ("tests/fixtures/sentence/bert", "1_Pooling/config.json"),
        ("tests/fixtures/sentence/bert", "sentence_bert_config.json"),
        ("tests/fixtures/sentence/bert", "tokenizer_config.json"),
    ];
    if let Some((kind, bytes)) = bytes.split_first() {
        let (base, file) = FILES[usize::from(*kind) % FILES.len()];
        load(base, file, bytes);
    }
}

/// The words of a model.
pub fn tokenizer(bytes: &[u8]) {
    const FILES: [(&str, &str); 4] = [
        ("datasets/tiny-clip", "tokenizer.json"),
        ("tests/fixtures/siglip", "tokenizer.json"),
        ("tests/fixtures/sentence/bert", "tokenizer.json"),
        ("tests/fixtures/sentence/mpnet", "vocab.txt"),
    ];
    if let Some((kind, bytes)) = bytes.split_first() {
        let (base, file) = FILES[usize::from(*kind) % FILES.len()];
        load(base, file, bytes);
    }
}

/// A table of items or of embeddings.
pub fn table(bytes: &[u8]) {
    const EXTENSIONS: [&str; 6] = ["csv", "tsv", "jsonl", "parquet", "arrow", "txt"];
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let extension = EXTENSIONS[usize::from(*kind) % EXTENSIONS.len()];
    let path = written(&format!("table.{extension}"), bytes);
    match extension {
        "txt" => drop(io::text_file(&path)),
        _ => drop(io::table(&path)),
    }
    if extension == "parquet" {
        drop(io::embeddings_file(&path));
    }
}

/// A matrix of embeddings.
pub fn npy(bytes: &[u8]) {
    let path = written("matrix.npy", bytes);
    if let Ok(file) = io::EmbeddingsFile::open(&path) {
        let rows = file.height().min(3);
        if let Ok(frame) = file.read(0..rows) {
            assert_eq!(frame.height(), rows);
        }
    }
}

/// A saved mixture, or the summary of a report.
pub fn model(bytes: &[u8]) {
    if let Ok(model) = serde_json::from_slice::<VonMisesFisherMixture>(bytes) {
        assert!(
            model
                .weights()
                .iter()
                .all(|weight| (0.0..=1.0).contains(weight))
        );
        let mut rows = Array2::<f64>::zeros((2, model.dimension()));
        rows.column_mut(0).fill(1.0);
        if let Ok(samples) = model.score_samples(rows.view()) {
            assert!(samples.iter().all(|likelihood| !likelihood.is_nan()));
        }
        assert!(serde_json::to_vec(&model).is_ok());
    }
    if let Ok(summary) = serde_json::from_slice::<Summary>(bytes) {
        let both = [("first", summary.clone()), ("second", summary)];
        if let Ok(comparison) = Comparison::new("both", both) {
            assert!(comparison.to_html().is_ok());
        }
    }
}

/// Arguments of the command line, with a zero byte between them.
pub fn arguments(bytes: &[u8]) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let given = bytes.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let _ = Cli::try_parse_from([OsStr::new("vmfmix")].into_iter().chain(given));
}

/// An archive such as `torch.save` writes, with this program.
fn archive(program: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("archive/data.pkl", program), ("archive/data/0", &[0; 64])] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Loads the model in a folder of the project with one file replaced, and embeds what it can.
fn load(base: &str, file: &str, bytes: &[u8]) {
    let folder = scratch().join(base.rsplit('/').next().unwrap());
    let _ = fs::remove_dir_all(&folder);
    link(&project().join(base), &folder);
    let path = folder.join(file);
    let _ = fs::remove_file(&path);
    fs::write(&path, bytes).unwrap();
    let Ok(encoder) = encoder::load(folder.to_str().unwrap(), Device::Cpu) else {
        return;
    };
    if let Ok(embeddings) = encoder.embed_texts(&["a red circle", "\u{130}é 東京 \u{1f600}\0", ""])
    {
        assert!(embeddings.iter().all(|x| !x.is_infinite()));
    }
    let picture = Picture::from_rgb(2, 1, vec![0, 1, 2, 253, 254, 255]).unwrap();
    let _ = encoder.embed_images(&[encoder.prepare(&picture)]);
}

/// A folder with links to the files of another.
fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => link(&entry.path(), &to),
            false => symlink(entry.path(), to).unwrap(),
        }
    }
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// The folder of this thread for files.
pub fn scratch() -> PathBuf {
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(format!("vmfmix-fuzz-{process}-{thread:?}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The project's folder, of which this package is a part.
fn project() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders
        .find(|folder| folder.join("datasets").is_dir())
        .unwrap()
}
