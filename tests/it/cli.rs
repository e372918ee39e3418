//! The command line as a newcomer meets it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn dataset(name: &str) -> String {
    root()
        .join("datasets")
        .join(name)
        .to_str()
        .unwrap()
        .to_owned()
}

/// Runs in a folder of its own, and never on the network.
pub(crate) fn vmfmix(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmfmix"));
    command
        .current_dir(folder)
        .args(args)
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", folder.join("hf"));
    command.output().unwrap()
}

pub(crate) fn json(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = vmfmix(folder, args);
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{args:?}\n{out}\n{err}");
    out
}

/// The one line that a failing call says; nothing is left behind.
fn fail(code: i32, args: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    fail_in(folder.path(), code, args)
}

pub(crate) fn fail_in(folder: &Path, code: i32, args: &[&str]) -> String {
    let before = fs::read_dir(folder).unwrap().count();
    let output = vmfmix(folder, args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{error}");
    assert_eq!(
        fs::read_dir(folder).unwrap().count(),
        before,
        "{args:?} leaves files behind"
    );
    let messages: Vec<&str> = error
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(messages.len(), 1, "{args:?}\n{error}");
    messages[0].to_owned()
}

const FILES: [&str; 14] = [
    "report.html",
    "model_parameters.json",
    "convergence_info.json",
    "evaluation_metrics.json",
    "assignments.parquet",
    "convergence_plot.png",
    "convergence_plot.html",
    "visualizations/component_parameters.html",
    "visualizations/mean_directions_2d.html",
    "visualizations/mean_directions_3d.html",
    "visualizations/similarity_matrix.html",
    "visualizations/assignments.html",
    "visualizations/entropies.html",
    "visualizations/overview.html",
];

#[test]
fn without_arguments_fits_synthetic_embeddings_and_writes_every_file() {
    let folder = TempDir::new().unwrap();
    let out = succeed(
        folder.path(),
        &["--n_samples", "600", "--n_components", "3"],
    );
    assert!(out.contains("report: results/report.html"), "{out}");
    for file in FILES {
        assert!(
            folder
                .path()
                .join("results")
                .join(file)
                .metadata()
                .unwrap()
                .len()
                > 0,
            "{file}"
        );
    }
    let results = folder.path().join("results");
    let model = json(results.join("model_parameters.json"));
    assert_eq!(model["n_components"], 3);
    assert_eq!(model["dimension"], 512);
    for key in ["weights", "mean_directions", "concentrations"] {
        assert_eq!(model[key].as_array().unwrap().len(), 3, "{key}");
    }
    let convergence = json(results.join("convergence_info.json"));
    assert_eq!(
        convergence["log_likelihoods"].as_array().unwrap().len() as u64,
        convergence["n_iterations"].as_u64().unwrap()
    );
    assert!(convergence["converged"].is_boolean() && convergence["warnings"].is_array());
    let metrics = json(results.join("evaluation_metrics.json"));
    for key in [
        "train_log_likelihood",
        "test_log_likelihood",
        "n_parameters",
        "bic",
        "aic",
        "silhouette",
        "nmi",
        "ari",
    ] {
        assert!(metrics[key].is_number(), "{key}: {metrics}");
    }
    assert_eq!(
        (metrics["n_train"].as_u64(), metrics["n_test"].as_u64()),
        (Some(480), Some(120))
    );
    assert!(metrics["nmi"].as_f64().unwrap() > 0.9);
}

#[test]
fn fits_texts_images_and_both_and_predicts_with_the_saved_model() {
    let (texts, images, clip) = (
        dataset("shapes/captions.txt"),
        dataset("shapes/images"),
        dataset("tiny-clip"),
    );
    let labels = dataset("shapes/labels.txt");
    let cases: [(&[&str], u64); 3] = [
        (&["--text-file", &texts, "--labels", &labels], 480),
        (
            &["fit", "--image-dir", &images, "--n-runs", "1", "--quiet"],
            480,
        ),
        (
            &[
                "--text_file",
                &texts,
                "--image_dir",
                &images,
                "--n-runs",
                "1",
            ],
            960,
        ),
    ];
    for (args, n) in cases {
        let folder = TempDir::new().unwrap();
        let more = [
            "--clip-model",
            &clip,
            "--test-split",
            "0",
            "--n-components",
            "12",
        ];
        let out = succeed(folder.path(), &[args, &more].concat());
        assert_eq!(out.is_empty(), args.contains(&"--quiet"));
        let metrics = json(folder.path().join("results/evaluation_metrics.json"));
        assert_eq!(metrics["n_train"].as_u64(), Some(n));
        assert!(metrics["test_log_likelihood"].is_null());
        assert_eq!(metrics["nmi"].is_number(), args.contains(&"--labels"));
        let out = succeed(
            folder.path(),
            &[
                "predict",
                "--model",
                "results/model_parameters.json",
                "--clip-model",
                &clip,
                "--text-file",
                &texts,
            ],
        );
        assert_eq!(out, "480 items assigned, 0 skipped: assignments.parquet\n");
    }
}

#[test]
fn bad_input_is_one_line_and_exit_code_1() {
    let clip = dataset("tiny-clip");
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (empty, three, no_pictures) = (path("empty.txt"), path("three.txt"), path("no-pictures"));
    fs::write(&empty, "\n\n").unwrap();
    fs::write(&three, "a red circle\na blue star\na green square\n").unwrap();
    fs::create_dir(&no_pictures).unwrap();
    let nan = path("nan.npy");
    write_npy(&nan, 10, 4, |row, column| {
        if (row, column) == (7, 1) {
            f32::NAN
        } else {
            (row + column + 1) as f32
        }
    });
    let cases: [(&[&str], &str); 12] = [
        (&["--text-file", "missing.txt"], "missing.txt: "),
        (
            &["--text-file", &empty],
            "the file holds no text; put one text on each line",
        ),
        (&["--image-dir", "missing"], "missing: "),
        (
            &["--image-dir", &no_pictures],
            "no picture in this folder or below it",
        ),
        (
            &["--text-file", &three, "--clip-model", &clip],
            "5 components cannot be fitted to 2 points",
        ),
        (
            &["--text-file", &three, "--clip-model", "ViT-B-32"],
            "ViT-B/32",
        ),
        (
            &["--text-file", &three, "--clip-model", &no_pictures],
            &no_pictures,
        ),
        (
            &["--embeddings", &nan],
            "row 7 has no direction: its length is NaN; leave it out or repair it",
        ),
        (
            &["--embeddings", &three],
            "unknown kind of file; .npy and .parquet are understood",
        ),
        (
            &["--output-dir", "/dev/null/results"],
            "cannot write there; choose another --output-dir",
        ),
        (
            &["predict", "--model", &three, "--embeddings", &nan],
            "not a saved mixture",
        ),
        (
            &[
                "--text-file",
                &three,
                "--clip-model",
                &clip,
                "--labels",
                &empty,
            ],
            "empty.txt: ",
        ),
    ];
    for (args, expected) in cases {
        let message = fail(1, args);
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [
        &["--n-components", "0"][..],
        &["--test-split", "1"],
        &["--tolerance", "-1"],
        &["--device", "gpu"],
        &["--no-such-flag"],
        &["predict", "--model", "m.json"],
        &["vmf", "--dim", "1", "--kappa", "2"],
        &["vmf", "--dim", "3", "--kappa", "-1"],
        &["vmf", "--dim", "3", "--mean-resultant-length", "1"],
        &["vmf", "--dim", "3"],
        &["vmf", "--dim", "3", "--kappa", "1", "--n", "5"],
        &["--embeddings", "x.npy", "--text-file", "x.txt"],
        &["sweep", "--n-components", "3"],
        &["sweep", "--select", "5..2"],
        &["report", "--model", "m.json"],
        &["report", "--embeddings", "x.npy"],
        &["completions", "csh"],
        &["--center-by-modality", "--zero-shot-labels", "w.txt"],
    ] {
        fail(2, args);
    }
}

#[test]
fn a_broken_picture_among_good_ones_is_skipped_named_and_counted() {
    let folder = TempDir::new().unwrap();
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    for i in 0..12 {
        let name = format!("{i:04}.png");
        fs::copy(
            root().join("datasets/shapes/images").join(&name),
            pictures.join(&name),
        )
        .unwrap();
    }
    fs::write(pictures.join("0005a.png"), "not a picture").unwrap();
    let args = [
        "--image-dir",
        "pictures",
        "--clip-model",
        &dataset("tiny-clip"),
        "--n-components",
        "2",
    ];
    let out = succeed(folder.path(), &args);
    assert!(
        out.contains("skipped 1 items, the first: pictures/0005a.png: "),
        "{out}"
    );
    let report = fs::read_to_string(folder.path().join("results/report.html")).unwrap();
    assert!(report.contains("0005a.png"));
    let assignments =
        vmfmix::frame::io::table(folder.path().join("results/assignments.parquet")).unwrap();
    assert_eq!(assignments.height(), 13);
    let components = assignments.column("component").unwrap();
    assert_eq!(components.null_count(), 1);
    assert!(
        components.is_null().get(6).unwrap(),
        "the rows keep their order"
    );
}

#[test]
fn components_are_named_by_the_likeliest_label() {
    let folder = TempDir::new().unwrap();
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, "red circle\nblue star\ngreen square\nred circle\n").unwrap();
    let images = dataset("shapes/images");
    let clip = dataset("tiny-clip");
    let args = |prompt: &str, output: &str| {
        let labels = labels.to_str().unwrap();
        let args = [
            "--image-dir",
            &images,
            "--clip-model",
            &clip,
            "-k",
            "24",
            "--zero-shot-labels",
            labels,
            "--prompt-template",
            prompt,
            "--output-dir",
            output,
        ];
        args.map(ToOwned::to_owned)
    };
    for (prompt, output) in [("a {}", "plain"), ("ensemble", "ensemble")] {
        let args = args(prompt, output);
        succeed(folder.path(), &args.each_ref().map(String::as_str));
    }
    let summary = fs::read_to_string(folder.path().join("plain/report.html")).unwrap();
    assert!(
        summary.contains("red circle (100"),
        "the label and its probability are shown"
    );

    let args = args("no place", "none");
    let message = fail_in(folder.path(), 2, &args.each_ref().map(String::as_str));
    assert!(
        message.contains("needs one {} where the label goes"),
        "{message}"
    );
}

#[test]
fn texts_that_lose_their_tail_are_counted() {
    let folder = TempDir::new().unwrap();
    let long = "a red circle ".repeat(60);
    let texts: Vec<String> = (0..20)
        .map(|i| {
            if i % 7 == 0 {
                long.clone()
            } else {
                format!("a blue star {i}")
            }
        })
        .collect();
    fs::write(folder.path().join("texts.txt"), texts.join("\n")).unwrap();
    let clip = dataset("tiny-clip");
    let out = succeed(
        folder.path(),
        &["--text-file", "texts.txt", "--clip-model", &clip, "-k", "2"],
    );
    let expected = "3 texts were longer than the encoder's context and lost their tail";
    assert!(out.contains(expected), "{out}");
}

/// Arguments of an `embed` of texts and pictures in many small shards.
fn embed_args(output: &str) -> Vec<String> {
    let (images, clip) = (dataset("shapes/images"), dataset("tiny-clip"));
    let texts = dataset("shapes/captions.txt");
    let args = [
        "embed",
        "--image-dir",
        &images,
        "--text-file",
        &texts,
        "--clip-model",
        &clip,
    ];
    let rest = ["--shard-size", "32", "--output", output];
    args.iter()
        .chain(&rest)
        .map(|arg| (*arg).to_owned())
        .collect()
}

#[test]
fn embeddings_are_written_once_and_fitted_from_the_file() {
    let folder = TempDir::new().unwrap();
    let args = embed_args("all.parquet");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let out = succeed(folder.path(), &args);
    assert!(out.contains("960 items embedded: all.parquet"), "{out}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "shards are removed"
    );
    let images = dataset("shapes/images");
    let out = succeed(
        folder.path(),
        &[
            "--embeddings",
            "all.parquet",
            "-k",
            "2",
            "--image-root",
            &images,
        ],
    );
    assert!(
        out.contains("2 components in the embeddings in all.parquet"),
        "{out}"
    );
    let report = fs::read_to_string(folder.path().join("results/report.html")).unwrap();
    assert!(
        report.contains("data:image/jpeg;base64,"),
        "pictures are shown"
    );
}

#[test]
fn an_embed_that_was_killed_goes_on_and_ends_with_the_same_bytes() {
    killed_and_resumed(&[], &[]);
}

#[test]
fn an_embed_with_a_cache_that_was_killed_ends_with_the_same_bytes() {
    killed_and_resumed(&["--cache", "whole.redb"], &["--cache", "killed.redb"]);
}

/// The flags are those of the run that is not disturbed, and those of the other.
fn killed_and_resumed(undisturbed: &[&str], disturbed: &[&str]) {
    let folder = TempDir::new().unwrap();
    let whole = embed_args("whole.parquet");
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    succeed(folder.path(), &[&whole[..], undisturbed].concat());
    let expected = fs::read(folder.path().join("whole.parquet")).unwrap();

    let mut args = embed_args("killed.parquet");
    args.extend(disturbed.iter().map(|flag| (*flag).to_owned()));
    let shards = folder.path().join("killed.parquet.shards");
    for kill in 0..6 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmfmix"));
        command
            .current_dir(folder.path())
            .args(&args)
            .arg("--quiet");
        if kill > 0 {
            command.arg("--resume");
        }
        let mut child = command.spawn().unwrap();
        // Killed as soon as it has made some shards more than the run before, of 30.
        let finished = || {
            let entries = fs::read_dir(&shards).into_iter().flatten().flatten();
            let is_shard = |name: &str| name.ends_with(".parquet");
            entries
                .filter(|entry| is_shard(&entry.file_name().to_string_lossy()))
                .count()
        };
        while finished() <= 4 * kill && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    if shards.exists() {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let message = String::from_utf8(vmfmix(folder.path(), &args).stderr).unwrap();
        assert!(message.contains("go on with --resume"), "{message}");
        let other = [&args[..], &["--resume", "--batch-size", "7"]].concat();
        let message = String::from_utf8(vmfmix(folder.path(), &other).stderr).unwrap();
        assert!(message.contains("or with other options"), "{message}");
        succeed(folder.path(), &[&args[..], &["--resume"]].concat());
    }
    assert_eq!(
        fs::read(folder.path().join("killed.parquet")).unwrap(),
        expected
    );
    assert!(!shards.exists());
}

#[test]
fn centring_by_modality_closes_the_gap_and_is_recorded() {
    let folder = TempDir::new().unwrap();
    let (texts, images, clip) = (
        dataset("shapes/captions.txt"),
        dataset("shapes/images"),
        dataset("tiny-clip"),
    );
    let data = [
        "--text-file",
        &texts,
        "--image-dir",
        &images,
        "--clip-model",
        &clip,
    ];
    let args = [&data[..], &["-k", "24", "--n-runs", "1"]].concat();
    let distance = |folder: &Path| {
        json(folder.join("evaluation_metrics.json"))["modality_gap"]["distance"]
            .as_f64()
            .unwrap()
    };
    let out = succeed(folder.path(), &args);
    let before = distance(&folder.path().join("results"));
    let expected = format!(
        "modality gap: the means of texts and images lie {before:.3} apart; --center-by-modality closes it before a fit\n"
    );
    assert!(out.ends_with(&expected), "{out}");
    let centred = [
        &args[..],
        &["--center_by_modality", "--output-dir", "centred"],
    ]
    .concat();
    let out = succeed(folder.path(), &centred);
    let centred = folder.path().join("centred");
    let after = distance(&centred);
    assert!(after < before / 4.0, "{after} {before}");
    let expected = format!("modality gap: {before:.3} before centring, {after:.3} after\n");
    assert!(out.ends_with(&expected), "{out}");
    let page = fs::read_to_string(centred.join("report.html")).unwrap();
    assert!(page.contains("centred by modality"));
    assert!(page.contains(&format!("yes; the gap was {before:.3} before")));

    // The same rows, centred, are assigned by `predict` as by the fit; not centred, they are not.
    let assigned = |more: &[&str]| {
        let args = ["predict", "--model", "centred/model_parameters.json"];
        succeed(folder.path(), &[&args[..], &data, more].concat());
        let table = vmfmix::frame::io::table(folder.path().join("assignments.parquet")).unwrap();
        table.column("component").unwrap().clone()
    };
    let fitted = vmfmix::frame::io::table(centred.join("assignments.parquet")).unwrap();
    let fitted = fitted.column("component").unwrap();
    assert!(assigned(&["--center-by-modality"]).equals(fitted));
    assert!(!assigned(&[]).equals(fitted));
    let args = [
        "report",
        "--model",
        "centred/model_parameters.json",
        "--center-by-modality",
        "--output-dir",
        "again",
    ];
    succeed(folder.path(), &[&args[..], &data].concat());
    assert_eq!(distance(&folder.path().join("again")), after);
}

#[test]
fn sweep_tries_2_to_12_components_unless_told_otherwise_and_reports_on_the_best() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("x.npy").to_str().unwrap().to_owned();
    let value = |row: usize, column: usize| {
        let own = if row % 3 == column % 3 { 2.0 } else { 0.1 };
        own + ((row * 31 + column * 17) % 13) as f32 / 20.0
    };
    write_npy(&data, 300, 6, value);
    let swept = |more: &[&str]| {
        let args = ["sweep", "--embeddings", &data, "--n-runs", "1"];
        let out = succeed(folder.path(), &[&args[..], more].concat());
        let candidates = json(folder.path().join("results/selection.json"));
        let sizes = candidates.as_array().unwrap().iter();
        let sizes: Vec<_> = sizes
            .map(|candidate| candidate["n_components"].as_u64().unwrap())
            .collect();
        (out, sizes)
    };
    let (out, sizes) = swept(&[]);
    assert_eq!(sizes, (2..=12).collect::<Vec<_>>());
    let chosen = out.lines().find(|line| line.ends_with(" *")).unwrap();
    let best = chosen.split_whitespace().next().unwrap();
    assert!(
        out.contains(&format!("{best} components in the embeddings in ")),
        "{out}"
    );
    assert!(folder.path().join("results/report.html").exists());
    let (_, sizes) = swept(&["--select", "2,4", "--criterion", "held-out"]);
    assert_eq!(sizes, [2, 4]);
    let page = fs::read_to_string(folder.path().join("results/report.html")).unwrap();
    assert!(page.contains("compared by the log-likelihood of items kept aside"));

    let schema = succeed(folder.path(), &["schema", "selection.json"]);
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut candidates = json(folder.path().join("results/selection.json"));
    assert!(schema.is_valid(&candidates));
    candidates[0]["n_components"] = "two".into();
    assert!(!schema.is_valid(&candidates));
}

#[test]
fn report_shows_a_saved_mixture_on_other_data_without_fitting() {
    let folder = TempDir::new().unwrap();
    let (texts, images, clip) = (
        dataset("shapes/captions.txt"),
        dataset("shapes/images"),
        dataset("tiny-clip"),
    );
    let fit = [
        "--image-dir",
        &images,
        "--clip-model",
        &clip,
        "-k",
        "12",
        "--n-runs",
        "1",
    ];
    succeed(folder.path(), &fit);
    let args = [
        "report",
        "--model",
        "results/model_parameters.json",
        "--text-file",
        &texts,
        "--clip-model",
        &clip,
        "--output-dir",
        "new/report",
    ];
    let out = succeed(folder.path(), &args);
    assert!(out.contains("12 components in the texts in "), "{out}");
    assert!(
        out.contains(" held out\n") && !out.contains("fitted"),
        "{out}"
    );
    assert!(out.ends_with("report: new/report/report.html\n"), "{out}");
    let written = folder.path().join("new/report");
    for file in FILES {
        assert!(written.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert!(!written.join("selection.json").exists());
    let model = |folder: &Path| fs::read(folder.join("model_parameters.json")).unwrap();
    assert_eq!(model(&written), model(&folder.path().join("results")));
    let metrics = json(written.join("evaluation_metrics.json"));
    assert_eq!(
        (&metrics["n_train"], &metrics["n_test"]),
        (&0.into(), &480.into())
    );
    assert!(metrics["test_log_likelihood"].is_number() && metrics["bic"].is_null());
    let assigned = vmfmix::frame::io::table(written.join("assignments.parquet")).unwrap();
    let held_out = assigned.column("split").unwrap().str().unwrap();
    assert!(held_out.iter().all(|split| split == Some("test")));
    let page = fs::read_to_string(written.join("report.html")).unwrap();
    assert!(page.contains("fitted before: results/model_parameters.json"));

    let other = folder.path().join("other.npy");
    write_npy(other.to_str().unwrap(), 5, 4, |row, column| {
        (row + column + 1) as f32
    });
    let args = [
        "report",
        "--model",
        "results/model_parameters.json",
        "--embeddings",
        "other.npy",
    ];
    let message = fail_in(folder.path(), 1, &args);
    assert!(
        message.contains("use the encoder the model was fitted with"),
        "{message}"
    );
}

#[test]
fn a_cache_spares_the_encoder_whatever_the_verb() {
    let folder = TempDir::new().unwrap();
    let args = |output| {
        let mut args = embed_args(output);
        args.extend(["--cache", "cache/embeddings.redb"].map(str::to_owned));
        args
    };
    let embed = |output| {
        let args = args(output);
        succeed(
            folder.path(),
            &args.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let out = embed("first.parquet");
    assert!(out.starts_with("960 items embedded"), "{out}");
    let out = embed("second.parquet");
    assert_eq!(
        out,
        "960 items embedded, 960 from the cache: second.parquet\n"
    );
    let bytes = |name| fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("first.parquet") == bytes("second.parquet"));

    let (texts, clip) = (dataset("shapes/captions.txt"), dataset("tiny-clip"));
    let data = ["--text-file", &texts, "--clip-model", &clip];
    let cached = ["--cache", "cache/embeddings.redb", "-k", "2"];
    let fitted = |flags: &[&str]| {
        succeed(folder.path(), &[&data[..], flags].concat());
        let metrics = json(folder.path().join("results/evaluation_metrics.json"));
        metrics["train_log_likelihood"].as_f64().unwrap()
    };
    assert!((fitted(&cached) - fitted(&cached[2..])).abs() < 1e-3);

    fs::write(folder.path().join("cache/embeddings.redb"), "damaged").unwrap();
    let output = vmfmix(folder.path(), &[&data[..], &cached].concat());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("error: cache/embeddings.redb cannot serve as a cache of embeddings"),
        "{message}"
    );
}

#[test]
fn completions_know_every_subcommand_in_every_shell() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeed(folder.path(), &["completions", shell]);
        for word in ["sweep", "predict", "completions", "center-by-modality"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let help = succeed(folder.path(), &["completions", "--help"]);
    assert!(
        help.contains("/bash-completion/completions/vmfmix"),
        "{help}"
    );
}

#[test]
fn every_subcommand_with_flags_shows_examples() {
    let folder = TempDir::new().unwrap();
    for command in ["fit", "sweep", "embed", "predict", "report", "vmf"] {
        let help = succeed(folder.path(), &[command, "--help"]);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        assert!(examples.contains("  vmfmix "), "{command}: {help}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_finished_shards_and_resume_ends_with_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let texts: String = (0..6000).map(|i| format!("a red circle {i}\n")).collect();
    fs::write(folder.path().join("texts.txt"), texts).unwrap();
    let clip = dataset("tiny-clip");
    let args = |output| {
        let items = ["embed", "--text-file", "texts.txt", "--clip-model", &clip];
        [&items[..], &["--shard-size", "256", "--output", output]].concat()
    };
    succeed(folder.path(), &args("whole.parquet"));

    let mut command = Command::new(env!("CARGO_BIN_EXE_vmfmix"));
    let mut child = command
        .current_dir(folder.path())
        .args(args("stopped.parquet"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let shards = folder.path().join("stopped.parquet.shards");
    while !shards.join("000000.parquet").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{error}");

    let finished = fs::read_dir(&shards).unwrap().flatten();
    let paths = finished.map(|entry| entry.path());
    let items: usize = paths
        .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        .map(|path| vmfmix::frame::io::embeddings_file(path).unwrap().height())
        .sum();
    let expected = format!(
        "interrupted: {items} of 6000 items are embedded; go on with --resume, or use what is there: \
         vmfmix fit --embeddings 'stopped.parquet.shards/*.parquet'"
    );
    assert!(error.contains(&expected), "{error}");
    succeed(
        folder.path(),
        &[&args("stopped.parquet")[..], &["--resume"]].concat(),
    );
    let bytes = |name| fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("stopped.parquet") == bytes("whole.parquet"));
}

#[test]
fn models_lists_the_nine_of_openai() {
    let folder = TempDir::new().unwrap();
    let out = succeed(folder.path(), &["models"]);
    for name in [
        "ViT-B/32",
        "ViT-B/16",
        "ViT-L/14",
        "ViT-L/14@336px",
        "RN50",
        "RN101",
        "RN50x4",
        "RN50x16",
        "RN50x64",
    ] {
        assert!(
            out.lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
            "{name}\n{out}"
        );
    }
}

#[test]
fn every_setting_of_the_estimator_is_a_flag() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, means, labels) = (path("x.npy"), path("means.npy"), path("labels.txt"));
    let value = |row: usize, column: usize| {
        let own = if row % 3 == column % 3 { 2.0 } else { 0.1 };
        own + ((row * 31 + column * 17) % 13) as f32 / 20.0
    };
    write_npy(&data, 300, 6, value);
    write_npy(&means, 3, 6, |row, column| {
        f32::from(u8::from(row == column % 3))
    });
    fs::write(
        &labels,
        (0..300).map(|i| format!("{}\n", i % 3)).collect::<String>(),
    )
    .unwrap();
    let base = [
        "--embeddings",
        &data,
        "--n-components",
        "3",
        "--output-dir",
        "first",
    ];
    succeed(folder.path(), &base);
    let model = |directory: &str| json(folder.path().join(directory).join("model_parameters.json"));
    let changed = |flags: &[&str]| {
        succeed(
            folder.path(),
            &[&base[..4], flags, &["--output-dir", "changed"]].concat(),
        );
        model("changed")
    };
    let model_file = format!("model={}", path("first/model_parameters.json"));
    let (means, labels_start) = (format!("means={means}"), format!("labels={labels}"));
    for flags in [
        &["--init-method", "kmeans++"][..],
        &["--init_method", "random-rows"],
        &["--init-method", "random-responsibilities"],
        &["--init-method", &means],
        &["--init-method", &labels_start],
        &["--init-method", &model_file],
        &["--assignment", "hard"],
        &["--assignment", "stochastic"],
        &["--annealing", "0.1:10"],
        &["--block-size", "64"],
        &["--n-threads", "1"],
        &["--min-weight", "0.01", "--empty-component", "drop"],
    ] {
        assert_eq!(changed(flags)["n_components"], 3, "{flags:?}");
    }
    let tied = changed(&["--concentration", "tied"]);
    assert_eq!(tied["concentrations"][0], tied["concentrations"][1]);
    assert_eq!(tied["concentration"], "tied");
    assert_eq!(
        changed(&["--concentration", "7.5"])["concentrations"][2],
        7.5
    );
    assert_eq!(
        changed(&["--max-concentration", "3"])["concentrations"][0],
        3.0
    );
    let noisy = changed(&["--noise-component"]);
    assert_eq!(
        (
            noisy["n_components"].as_u64(),
            noisy["concentrations"][3].as_f64()
        ),
        (Some(4), Some(0.0))
    );
    let pulled = changed(&["--prior", "100000:0.1"]);
    let plain = model("first");
    assert!(pulled["concentrations"][0].as_f64() < plain["concentrations"][0].as_f64());

    let args = [
        "--embeddings",
        &data,
        "--select",
        "2..4",
        "--criterion",
        "held-out",
        "--output-dir",
        "selected",
    ];
    let out = succeed(folder.path(), &args);
    assert!(
        out.lines()
            .any(|line| line.contains("held out") && line.contains("silhouette")),
        "{out}"
    );
    let candidates = json(folder.path().join("selected/selection.json"));
    let sizes: Vec<_> = candidates
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["n_components"].as_u64())
        .collect();
    assert_eq!(sizes, [Some(2), Some(3), Some(4)]);

    fs::write(&labels, "0\n1\nx\n").unwrap();
    let refused = |code: i32, flags: &[&str]| {
        let output = vmfmix(folder.path(), &[&base[..4], flags].concat());
        assert_eq!(output.status.code(), Some(code), "{flags:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(
        refused(1, &["--init-method", &labels_start])
            .contains("labels.txt, label 3: `x` is not a number from 0")
    );
    fs::write(&labels, "0\n1\n").unwrap();
    assert!(refused(1, &["--init-method", &labels_start]).contains("2 labels for 300 items"));
    let args = [
        "--embeddings",
        &data,
        "--select",
        "2,3",
        "--criterion",
        "held-out",
        "--test-split",
        "0",
    ];
    let output = vmfmix(folder.path(), &args);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no points are held out to choose by")
    );
    for flags in [
        &["--concentration", "loose"][..],
        &["--assignment", "firm"],
        &["--annealing", "2:5"],
        &["--prior", "1:1"],
        &["--select", "4..2"],
        &["--empty-component", "keep"],
    ] {
        refused(2, flags);
    }
}

#[test]
fn vmf_computes_one_distribution_an_estimate_or_a_table() {
    let folder = TempDir::new().unwrap();
    let out = succeed(
        folder.path(),
        &["vmf", "--dim", "768", "--kappa", "500", "--json"],
    );
    let one: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(one["dim"], 768);
    // mpmath, tests/fixtures/vmf.csv
    assert_eq!(one["mean_resultant_length"], 0.493_035_031_132_43);
    assert!(one["angle_50"].as_f64() < one["angle_99"].as_f64());
    let text = succeed(folder.path(), &["vmf", "--dim", "768", "--kappa", "500"]);
    assert!(text.contains("0.49303503113243\n"), "{text}");
    let args = [
        "vmf",
        "--dim",
        "768",
        "--mean_resultant_length",
        "0.4",
        "--n",
        "20",
        "--json",
    ];
    let estimate: Value = serde_json::from_str(&succeed(folder.path(), &args)).unwrap();
    let number = |key: &str| estimate[key].as_f64().unwrap();
    assert!(number("kappa_bias_corrected") < number("kappa"));
    assert!(number("kappa_standard_error") > 0.0);

    let table = |input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vmfmix"))
            .arg("vmf")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), words)
    };
    let (code, [out, err]) = table("768 500\n\n2 0\n");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        (rows[0][0], rows[1][1], rows[2][0], rows.len()),
        ("dim", "500.0", "2", 3)
    );
    let (code, [_, err]) = table("768 500\n768 -1\n");
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "error: standard input, line 2: kappa `-1`: give a number from 0 to 1e15\n"
    );
}

fn write_npy(path: &str, rows: usize, columns: usize, value: impl Fn(usize, usize) -> f32) {
    use npyz::WriterBuilder;
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[rows as u64, columns as u64])
        .writer(fs::File::create(path).unwrap())
        .begin_nd()
        .unwrap();
    for row in 0..rows {
        for column in 0..columns {
            writer.push(&value(row, column)).unwrap();
        }
    }
    writer.finish().unwrap();
}
