//! What must not cost a result: a second program, a file that is no file, paths that lead elsewhere.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use polars::prelude::*;
use tempfile::TempDir;
use vmfmix::frame::{EMBEDDING_ERROR, FrameExt, io};

use crate::cli::{dataset, fail_in, json, succeed};

#[test]
fn a_folder_that_another_program_writes_to_is_refused() {
    let folder = TempDir::new().unwrap();
    let fit = ["fit", "-q", "--n-samples", "60", "-k", "2"];
    succeed(folder.path(), &fit);
    let results = File::open(folder.path().join("results")).unwrap();
    results.try_lock().unwrap();
    let before = fs::read(folder.path().join("results/report.json")).unwrap();
    let error = fail_in(folder.path(), 1, &fit);
    assert!(
        error.contains("results: another vmfmix is writing there; wait until it has ended, or choose another --output-dir"),
        "{error}"
    );
    assert_eq!(
        fs::read(folder.path().join("results/report.json")).unwrap(),
        before
    );
    drop(results);
    succeed(folder.path(), &fit);
}

#[test]
fn an_output_that_another_program_embeds_to_is_refused() {
    let folder = TempDir::new().unwrap();
    let shards = folder.path().join("out.parquet.shards");
    fs::create_dir(&shards).unwrap();
    let lock = File::open(&shards).unwrap();
    lock.try_lock().unwrap();
    let (clip, captions) = (dataset("tiny-clip"), dataset("shapes/captions.txt"));
    let args = [
        "embed",
        "-q",
        "--clip-model",
        &clip,
        "--text-file",
        &captions,
        "-o",
        "out.parquet",
    ];
    let error = fail_in(folder.path(), 1, &args);
    assert!(error.contains("another vmfmix is writing there"), "{error}");
    drop(lock);
    succeed(folder.path(), &args);
}

/// Files that a killed program did not finish go; those that somebody is writing stay.
#[test]
fn what_a_killed_program_left_is_removed_by_the_next() {
    let folder = TempDir::new().unwrap();
    let figures = folder.path().join("results/visualizations");
    fs::create_dir_all(&figures).unwrap();
    let left = [
        folder.path().join("results/.vmfmix-abc"),
        figures.join(".vmfmix-def"),
    ];
    left.iter()
        .for_each(|path| fs::write(path, "half").unwrap());
    let written = folder.path().join("results/.vmfmix-ghi");
    let lock = File::create(&written).unwrap();
    lock.try_lock().unwrap();
    succeed(
        folder.path(),
        &["fit", "-q", "--n-samples", "60", "-k", "2"],
    );
    assert!(left.iter().all(|path| !path.exists()));
    assert!(written.exists());
}

/// A table of pictures' paths, embedded with more arguments; returns the reasons why some are not.
fn reasons(folder: &Path, paths: &[&str], more: &[&str]) -> Vec<String> {
    fs::create_dir_all(folder.join("table")).unwrap();
    let table = DataFrame::new_infer_height(vec![Column::new("path".into(), paths)]).unwrap();
    io::write_table(&table, folder.join("table/x.csv")).unwrap();
    let clip = dataset("tiny-clip");
    let args = [
        "embed",
        "-q",
        "--clip-model",
        &clip,
        "--input",
        "table/x.csv",
        "--column",
        "path",
    ];
    succeed(folder, &[&args[..], &["-o", "out.parquet"], more].concat());
    let embedded = io::table(folder.join("out.parquet")).unwrap();
    embedded.strings(EMBEDDING_ERROR).unwrap()
}

#[test]
fn pictures_outside_of_the_folder_of_their_table_are_not_read_unless_asked_for() {
    let folder = TempDir::new().unwrap();
    let picture = dataset("shapes/images/0000.png");
    fs::create_dir_all(folder.path().join("table/in")).unwrap();
    fs::copy(&picture, folder.path().join("table/in/a.png")).unwrap();
    fs::copy(&picture, folder.path().join("b.png")).unwrap();
    let paths = [
        "in/a.png",
        "in/../in/a.png",
        "../b.png",
        "in/../../b.png",
        &picture,
    ];
    let refused = |reasons: Vec<String>| -> Vec<bool> {
        let is_outside = |reason: &String| reason.contains("lies outside of");
        assert!(
            reasons
                .iter()
                .all(|reason| reason.is_empty() || is_outside(reason)),
            "{reasons:?}"
        );
        reasons.iter().map(is_outside).collect()
    };
    let found = reasons(folder.path(), &paths, &[]);
    assert!(found[2].contains("--image-root"), "{found:?}");
    assert_eq!(refused(found), [false, false, true, true, true]);
    let found = reasons(folder.path(), &paths, &["--image-root", "."]);
    assert_eq!(refused(found), [false, false, false, false, true]);
    let found = reasons(folder.path(), &paths, &["--image-root", "/"]);
    assert_eq!(refused(found), [false; 5]);
}

#[test]
fn pictures_named_in_embeddings_are_shown_if_they_lie_in_the_current_folder() {
    let folder = TempDir::new().unwrap();
    let clip = dataset("tiny-clip");
    let images = dataset("shapes/images");
    let args = [
        "embed",
        "-q",
        "--clip-model",
        &clip,
        "--image-dir",
        &images,
        "-o",
        "x.parquet",
    ];
    succeed(folder.path(), &args);
    let fit = ["fit", "-q", "-k", "2", "--embeddings", "x.parquet"];
    let thumbnails = |more: &[&str]| {
        succeed(folder.path(), &[&fit[..], more].concat());
        let report = json(folder.path().join("results/report.json"));
        let settings = report["settings"].to_string();
        let is_said = settings.contains("pictures outside of --image-root, not shown");
        (report["thumbnails"].as_array().unwrap().len(), is_said)
    };
    assert_eq!(thumbnails(&[]), (0, true));
    let (shown, is_said) = thumbnails(&["--image-root", &images]);
    assert!(shown > 0 && !is_said);
}

#[test]
fn a_pipe_or_a_device_among_pictures_is_skipped_and_not_waited_for() {
    let folder = TempDir::new().unwrap();
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    fs::copy(dataset("shapes/images/0000.png"), pictures.join("a.png")).unwrap();
    let pipe = pictures.join("pipe.png");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::os::unix::fs::symlink("/dev/zero", pictures.join("zero.png")).unwrap();
    let clip = dataset("tiny-clip");
    let args = [
        "embed",
        "--clip-model",
        &clip,
        "--image-dir",
        "pictures",
        "-o",
        "x.parquet",
    ];
    let said = succeed(folder.path(), &args);
    assert!(said.starts_with("1 items embedded, 2 skipped"), "{said}");
}
