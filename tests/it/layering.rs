//! The layers: a file imports only from its own layer's folder or from a lower layer, and names only the crates
//! that its layer may name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file below `src`, its layer, and the outside crates it may name besides `std` and those of the
/// layers below it in the same list.
const LAYERS: [(&str, usize, &[&str]); 16] = [
    ("contained.rs", 0, &["thiserror"]),
    ("device", 0, &["candle_core", "thiserror"]),
    ("memory.rs", 0, &["sysinfo"]),
    ("product.rs", 0, &["gemm", "linfa", "ndarray"]),
    ("progress.rs", 0, &[]),
    ("whole_file.rs", 0, &["tempfile", "thiserror"]),
    (
        "vmf",
        0,
        &[
            "libm",
            "ndarray",
            "rand",
            "rand_distr",
            "rand_xoshiro",
            "serde",
            "statrs",
            "thiserror",
        ],
    ),
    (
        "mixture",
        1,
        &["candle_core", "linfa", "pulp", "rayon", "schemars"],
    ),
    (
        "encoder",
        2,
        &[
            "candle_core",
            "candle_flash_attn",
            "candle_nn",
            "candle_transformers",
            "flate2",
            "half",
            "hf_hub",
            "image",
            "indicatif",
            "libjpeg_turbo_rs",
            "positioned_io",
            "redb",
            "safetensors",
            "serde_json",
            "sha1",
            "sha2",
            "tokenizers",
            "ureq",
            "zip",
        ],
    ),
    ("frame", 3, &["bytemuck", "npyz", "polars", "walkdir"]),
    (
        "distributed",
        3,
        &[
            "ballista",
            "ballista_core",
            "ballista_executor",
            "ballista_scheduler",
            "bytes",
            "datafusion",
            "futures",
            "object_store",
            "tokio",
        ],
    ),
    (
        "report",
        4,
        &[
            "askama",
            "base64",
            "bhtsne",
            "epaint_default_fonts",
            "linfa_linalg",
            "plotly",
            "plotters",
        ],
    ),
    (
        "cli",
        5,
        &["anyhow", "clap", "clap_complete", "ctrlc", "glob", "rlimit"],
    ),
    ("notebook", 5, &[]),
    ("main.rs", 5, &["anyhow", "clap", "vmfmix"]),
    ("prelude.rs", 6, &[]),
];

/// These stand beside the layers and serve all of them.
const SHARED: [&str; 6] = [
    "contained",
    "device",
    "memory",
    "product",
    "progress",
    "whole_file",
];

/// `lib.rs` ties the layers together and re-exports what notebooks need.
const FACADE: &str = "lib.rs";

#[test]
fn no_file_reaches_upward_or_names_a_foreign_crate() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    let mut seen = 0;
    for file in rust_files(&src) {
        let name = file
            .strip_prefix(&src)
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/");
        if name == FACADE {
            continue;
        }
        let folder = name.split('/').next().unwrap();
        let Some(own) = LAYERS.iter().find(|(layer, ..)| *layer == folder) else {
            faults.push(format!("{name}: belongs to no layer"));
            continue;
        };
        seen += 1;
        let code = code_only(&fs::read_to_string(&file).unwrap());
        faults.extend(
            faults_of(&code, own)
                .into_iter()
                .map(|fault| format!("{name}: {fault}")),
        );
    }
    assert!(seen > 10, "only {seen} files were looked at");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn sees_an_upward_import_and_a_foreign_crate() {
    let vmf = LAYERS.iter().find(|layer| layer.0 == "vmf").unwrap();
    assert_eq!(
        faults_of("use crate::mixture::Statistics;", vmf),
        ["imports crate::mixture of a higher layer"]
    );
    assert_eq!(
        faults_of("use crate::{mixture::X, vmf::Y};", vmf),
        ["imports crate::mixture of a higher layer"]
    );
    assert_eq!(
        faults_of("let x = crate::report::f();", vmf),
        ["imports crate::report of a higher layer"]
    );
    assert_eq!(
        faults_of("use polars::prelude::*;", vmf),
        ["names the crate polars"]
    );
    assert_eq!(
        faults_of("let x = polars::df!();", vmf),
        ["names the crate polars"]
    );
    assert!(
        faults_of(
            "use super::bessel::ratio;\nuse ndarray::Array1;\nuse std::fmt;",
            vmf
        )
        .is_empty()
    );
}

#[test]
fn every_dependency_belongs_to_a_layer() {
    let manifest = include_str!("../../Cargo.toml");
    let dependencies = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    for line in dependencies
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
    {
        let name = line.split('=').next().unwrap().trim().replace('-', "_");
        assert!(
            outside_crates().contains(name.as_str()),
            "{name} is in no layer's list"
        );
    }
}

fn faults_of(code: &str, (folder, layer, _): &(&str, usize, &[&str])) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for module in modules_of_this_crate(code) {
        match LAYERS
            .iter()
            .find(|(name, ..)| name.trim_end_matches(".rs") == module)
        {
            Some((name, other, _)) if other < layer || name == folder => {}
            Some(_) if SHARED.contains(&module.as_str()) => {}
            Some(_) => drop(faults.insert(format!("imports crate::{module} of a higher layer"))),
            None => drop(faults.insert(format!("imports crate::{module}, which is no layer"))),
        }
    }
    let allowed: BTreeSet<&str> = LAYERS
        .iter()
        .filter(|(name, other, _)| other < layer || name == folder)
        .flat_map(|(_, _, crates)| crates.iter().copied())
        .collect();
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    for path in words.filter(|word| word.contains("::")) {
        let root = path.trim_start_matches("::").split("::").next().unwrap();
        if outside_crates().contains(root) && !allowed.contains(root) {
            faults.insert(format!("names the crate {root}"));
        }
    }
    faults.into_iter().collect()
}

/// The first segments after `crate::`, of a `use crate::{a::X, b}` too.
fn modules_of_this_crate(code: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut modules = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            modules.push(identifier(rest));
            continue;
        };
        let mut depth = 0;
        let mut first = true;
        for (at, c) in list.char_indices() {
            if depth == 0 && (c.is_alphabetic() || c == '_') && first {
                modules.push(identifier(&list[at..]));
                first = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                _ => {}
            }
        }
    }
    modules
}

/// The crates that the manifest depends on, as Rust spells them.
fn outside_crates() -> BTreeSet<&'static str> {
    LAYERS
        .iter()
        .flat_map(|(_, _, crates)| crates.iter().copied())
        .filter(|name| *name != "vmfmix")
        .collect()
}

/// The code without comments.
fn code_only(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn notebooks_know_the_types_of_the_crates_that_are_built() {
    let types = include_str!("../../notebooks/kernel/types/Cargo.toml");
    let own = include_str!("../../Cargo.toml");
    let version = |manifest: &str, name: &str| {
        let line = manifest
            .lines()
            .find(|line| line.starts_with(&format!("{name} = ")));
        line.unwrap().split('"').nth(1).unwrap().to_owned()
    };
    for name in ["linfa", "ndarray", "polars", "rand", "rand_xoshiro"] {
        assert_eq!(version(types, name), version(own, name), "{name}");
    }
}
