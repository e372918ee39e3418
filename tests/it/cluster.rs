//! Fits on a cluster: inside this process, and of three processes one of which is killed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ndarray::{Array1, Array2, Axis, concatenate};
use polars::prelude::*;
use vmfmix::device::Device;
use vmfmix::distributed::{ClusterFiles, ClusterTable, EmbedSettings};
use vmfmix::encoder::{ClipEncoder, Placement, Tower};
use vmfmix::frame::{EMBEDDING, FrameExt, io};
use vmfmix::mixture::{InitMethod, VonMisesFisherMixture};
use vmfmix::progress::Silent;

use crate::cli::{json, succeed, vmfmix};
use crate::observations::{clustered, sample, write_shards};

fn refused(folder: &Path, column: &str) -> String {
    let table = ClusterTable::standalone(folder.to_str().unwrap(), column);
    table.err().unwrap().to_string()
}

#[test]
fn what_is_no_table_of_embeddings_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(folder.path(), EMBEDDING).contains("no Parquet files with rows"));
    write_shards(&sample(), folder.path(), 2);
    let message = refused(folder.path(), "vector");
    assert!(
        message.contains("no column \"vector\"; there are embedding"),
        "{message}"
    );
    let whole = io::table(folder.path().join("part-00.parquet")).unwrap();
    let places: IdxCa = (0..10).map(|row| (row != 3).then_some(row)).collect();
    let gaps = whole.column(EMBEDDING).unwrap().take(&places).unwrap();
    let gaps = DataFrame::new_infer_height(vec![gaps]).unwrap();
    io::write_table(&gaps, folder.path().join("part-02.parquet")).unwrap();
    let message = refused(folder.path(), EMBEDDING);
    assert!(
        message.contains("1 of 3010 rows have no embedding"),
        "{message}"
    );
}

/// Writes the files of a folder once more, with the embeddings as lists of doubles.
fn write_doubles(shards: &Path, doubles: &Path) -> Array2<f64> {
    let mut paths: Vec<_> = std::fs::read_dir(shards)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let wide = DataType::List(Box::new(DataType::Float64));
    let parts: Vec<Array2<f64>> = paths
        .iter()
        .map(|path| {
            let frame = io::table(path).unwrap();
            let column = frame.column(EMBEDDING).unwrap().cast(&wide).unwrap();
            let column = DataFrame::new_infer_height(vec![column]).unwrap();
            io::write_table(&column, doubles.join(path.file_name().unwrap())).unwrap();
            let rows = frame.embeddings(EMBEDDING).unwrap();
            rows.view().mapv(f64::from)
        })
        .collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).unwrap()
}

fn assert_same_mixture(a: &VonMisesFisherMixture, b: &VonMisesFisherMixture) {
    let largest = |x: Array2<f64>| x.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let column = |x: Array1<f64>| x.insert_axis(Axis(1));
    let means = largest(a.mean_directions() - b.mean_directions());
    let weights = largest(column(a.weights() - b.weights()));
    let concentrations = largest(column(a.concentrations() / b.concentrations() - 1.0));
    println!("off by {means:.1e}, {weights:.1e}, {concentrations:.1e}");
    assert!(means.max(weights).max(concentrations) < 1e-10);
}

#[test]
fn a_fit_to_doubles_is_that_in_memory() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    write_shards(&sample(), folders[0].path(), 3);
    let rows = write_doubles(folders[0].path(), folders[1].path());
    let place = folders[1].path().to_str().unwrap();
    let table = ClusterTable::standalone(place, EMBEDDING).unwrap();
    let params = VonMisesFisherMixture::params(5)
        .n_runs(2)
        .max_n_iterations(20)
        .tolerance(0.0);
    let expected = params.fit(&linfa::DatasetBase::from(rows)).unwrap();
    assert_same_mixture(&expected, &params.fit_observations(&table).unwrap());
}

#[test]
#[ignore = "large, and wants a cluster: tests/ballista/run.sh FOLDER"]
fn many_doubles_are_fitted_as_in_memory() {
    let set = |name| std::env::var(name).unwrap();
    let (shards, doubles) = (set("VMFMIX_SHARDS"), set("VMFMIX_DOUBLES"));
    let rows = write_doubles(Path::new(&shards), Path::new(&doubles));
    let table = ClusterTable::connect(&set("VMFMIX_CLUSTER"), &doubles, EMBEDDING).unwrap();
    let params = VonMisesFisherMixture::params(64)
        .n_runs(1)
        .init_method(InitMethod::RandomRows)
        .max_n_iterations(10)
        .tolerance(0.0);
    let expected = params.fit(&linfa::DatasetBase::from(rows)).unwrap();
    assert_same_mixture(&expected, &params.fit_observations(&table).unwrap());
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmfmix"));
    command.current_dir(folder).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Process(command.spawn().unwrap())
}

/// Two ports, one after the other, that nobody listens on.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn wait_for(port: u16) {
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nobody on port {port}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cluster_that_loses_an_executor_fits_the_same_mixture() {
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    std::fs::create_dir(&shards).unwrap();
    let rows: Array2<f32> = clustered(60_000, 64, 5, 1.0);
    write_shards(&rows, &shards, 8);
    let shards = shards.to_str().unwrap();
    let port = free_ports();
    let scheduler = format!("127.0.0.1:{port}");
    let _scheduler = start(
        folder.path(),
        &["scheduler", "--bind", &scheduler, "--executor-timeout", "8"],
    );
    wait_for(port);
    let mut executors: Vec<Process> = (0..2)
        .map(|_| {
            let port = free_ports();
            let bind = format!("127.0.0.1:{port}");
            let executor = start(
                folder.path(),
                &[
                    "executor",
                    "--scheduler",
                    &scheduler,
                    "--bind",
                    &bind,
                    "--tasks",
                    "1",
                ],
            );
            wait_for(port);
            executor
        })
        .collect();
    let settings = [
        "-k",
        "5",
        "--n-runs",
        "1",
        "--max-iterations",
        "12",
        "--tolerance",
        "0",
        "--test-split",
        "0",
        // Divides the rows of a file.
        "--block-size",
        "500",
    ];
    let address = format!("df://{scheduler}");
    let here = ["fit", "--embeddings", shards, "--output-dir", "here"];
    succeed(folder.path(), &[&here[..], &settings].concat());
    let there = [
        "fit",
        "--cluster",
        &address,
        "--embeddings",
        shards,
        "--output-dir",
        "there",
    ];
    let victim = executors.remove(0);
    let killer = std::thread::spawn({
        let checkpoint = folder.path().join("there/checkpoint.json");
        move || {
            // In the midst of a pass after the first iteration.
            while !checkpoint.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(victim);
        }
    });
    let out = succeed(folder.path(), &[&there[..], &settings].concat());
    killer.join().unwrap();
    assert!(out.contains("60000 points in"), "{out}");
    let parameters = |name: &str| json(folder.path().join(name).join("model_parameters.json"));
    let (here, there) = (parameters("here"), parameters("there"));
    for list in ["weights", "concentrations", "mean_directions"] {
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            let flat = value[list].as_array().unwrap().iter();
            flat.flat_map(|x| match x.as_array() {
                Some(row) => row.iter().map(|x| x.as_f64().unwrap()).collect(),
                None => vec![x.as_f64().unwrap()],
            })
            .collect()
        };
        for (a, b) in numbers(&here).into_iter().zip(numbers(&there)) {
            assert!((a - b).abs() <= 1e-10 * a.abs().max(1.0), "{list}: {a} {b}");
        }
    }
    assert!(!folder.path().join("there/checkpoint.json").exists());
}

/// A scheduler and an executor, and the scheduler's port.
fn cluster(folder: &Path) -> ([Process; 2], u16) {
    let (port, of_executor) = (free_ports(), free_ports());
    let scheduler = format!("127.0.0.1:{port}");
    let first = start(folder, &["scheduler", "--bind", &scheduler]);
    wait_for(port);
    let bind = format!("127.0.0.1:{of_executor}");
    let second = start(
        folder,
        &["executor", "--scheduler", &scheduler, "--bind", &bind],
    );
    wait_for(of_executor);
    ([first, second], port)
}

#[test]
fn a_fit_that_loses_its_scheduler_says_so_and_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let shards = folder.path().join("shards");
    std::fs::create_dir(&shards).unwrap();
    write_shards(&sample(), &shards, 2);
    let shards = shards.to_str().unwrap();
    let fit = |port: u16, flags: &[&str]| {
        let address = format!("df://127.0.0.1:{port}");
        let always = [
            "fit",
            "--cluster",
            &address,
            "--embeddings",
            shards,
            "--n-runs",
            "1",
        ];
        vmfmix(folder.path(), &[&always[..], flags].concat())
    };
    let message = |output: &std::process::Output| {
        assert!(!output.status.success());
        String::from_utf8(output.stderr.clone()).unwrap()
    };
    let unheard = message(&fit(free_ports(), &[]));
    assert!(unheard.starts_with("error: "), "{unheard}");

    let (processes, port) = cluster(folder.path());
    let early = message(&fit(port, &["--resume"]));
    assert!(early.contains("nothing to go on from"), "{early}");
    let checkpoint = folder.path().join("results/checkpoint.json");
    let killer = std::thread::spawn({
        let checkpoint = checkpoint.clone();
        move || {
            while !checkpoint.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(processes);
        }
    });
    let long = ["--max-iterations", "1000", "--tolerance", "0"];
    let lost = message(&fit(port, &long));
    killer.join().unwrap();
    assert!(lost.contains("--resume goes on from"), "{lost}");
    assert!(checkpoint.exists());

    let (_processes, port) = cluster(folder.path());
    let output = fit(port, &["--resume"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    assert!(!checkpoint.exists());
    assert!(folder.path().join("results/model_parameters.json").exists());
}

#[test]
fn assignments_are_those_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let (shards, out) = (folder.path().join("shards"), folder.path().join("out"));
    std::fs::create_dir(&shards).unwrap();
    write_shards(&sample(), &shards, 3);
    let rows = sample();
    let model = VonMisesFisherMixture::params(4)
        .n_runs(1)
        .fit(&linfa::DatasetBase::from(rows))
        .unwrap();
    // A row without an embedding gets nulls, and other columns are kept.
    let first = shards.join("part-00.parquet");
    let places: IdxCa = (0..1000).map(|row| (row != 7).then_some(row)).collect();
    let gaps = io::table(&first).unwrap();
    let gaps = gaps.column(EMBEDDING).unwrap().take(&places).unwrap();
    let names: Vec<String> = (0..1000).map(|row| format!("row {row}")).collect();
    let named = vec![Column::new("Name".into(), names), gaps];
    io::write_table(&DataFrame::new_infer_height(named).unwrap(), &first).unwrap();
    let files = ClusterFiles::standalone(first.to_str().unwrap()).unwrap();
    files
        .predict(EMBEDDING, &model, out.to_str().unwrap(), &Silent)
        .unwrap();
    std::fs::rename(&first, folder.path().join("part-00.parquet")).unwrap();
    let files = ClusterFiles::standalone(shards.to_str().unwrap()).unwrap();
    files
        .predict(EMBEDDING, &model, out.to_str().unwrap(), &Silent)
        .unwrap();
    std::fs::rename(folder.path().join("part-00.parquet"), &first).unwrap();
    for part in ["part-00.parquet", "part-01.parquet", "part-02.parquet"] {
        let got = io::table(out.join(part)).unwrap();
        let expected = io::table(shards.join(part)).unwrap();
        let expected = expected
            .predict_with(EMBEDDING, &model)
            .unwrap()
            .drop(EMBEDDING)
            .unwrap();
        assert!(got.equals_missing(&expected), "{got}\n{expected}");
    }
}

#[test]
fn embeddings_are_those_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let (shards, out) = (folder.path().join("shards"), folder.path().join("out"));
    std::fs::create_dir(&shards).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let captions = io::text_file(root.join("datasets/shapes/captions.txt")).unwrap();
    let clip = root.join("datasets/tiny-clip");
    let encoder = ClipEncoder::from_folder(&clip, Device::Cpu).unwrap();
    let placement = Placement::from(Device::Cpu);
    let mut settings = EmbedSettings {
        model: clip.to_str().unwrap().into(),
        tower: Tower::Text,
        image_root: "/".into(),
        placement,
        batch_size: None,
    };
    for (name, start) in [("a.parquet", 0), ("b.parquet", 100)] {
        io::write_table(&captions.slice(start, 100), shards.join(name)).unwrap();
    }
    let items = ClusterFiles::standalone(shards.to_str().unwrap()).unwrap();
    assert_eq!(items.n_rows(), 200);
    items
        .embed("text", &settings, out.to_str().unwrap(), &Silent)
        .unwrap();
    for (name, start) in [("a.parquet", 0), ("b.parquet", 100)] {
        let got = io::table(out.join(name)).unwrap();
        let texts = captions.slice(start, 100);
        assert_eq!(got.column("text").unwrap(), texts.column("text").unwrap());
        let expected = texts.embed_text("text", &encoder).unwrap();
        let expected = expected.embeddings(EMBEDDING).unwrap();
        let difference = &got.embeddings(EMBEDDING).unwrap().view() - &expected.view();
        assert!(difference.iter().all(|x| x.abs() < 1e-5));
    }

    let images = root.join("datasets/shapes/images");
    let mut paths: Vec<Option<String>> = std::fs::read_dir(&images)
        .unwrap()
        .take(10)
        .map(|entry| Some(entry.unwrap().path().to_str().unwrap().into()))
        .collect();
    paths.extend([None, Some("/no/such/picture.png".into())]);
    let pictures = folder.path().join("pictures.parquet");
    let frame = DataFrame::new_infer_height(vec![Column::new("path".into(), paths)]).unwrap();
    io::write_table(&frame, &pictures).unwrap();
    let items = ClusterFiles::standalone(pictures.to_str().unwrap()).unwrap();
    settings.tower = Tower::Image;
    items
        .embed("path", &settings, out.to_str().unwrap(), &Silent)
        .unwrap();
    let got = io::table(out.join("pictures.parquet")).unwrap();
    assert_eq!(got.column(EMBEDDING).unwrap().null_count(), 2);
    let reasons = got.column("embedding_error").unwrap();
    assert_eq!(reasons.null_count(), 10);
    let reason = reasons.str().unwrap().get(11).unwrap();
    assert!(reason.contains("/no/such/picture.png"), "{reason}");
}
