//! Embeddings in files: what is read from them, and fits and predictions that never hold them whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ndarray::{Array2, s};
use npyz::{AutoSerialize, Order, WriterBuilder};
use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use tempfile::TempDir;
use vmfmix::frame::{EMBEDDING, Embeddings, FrameError, FrameExt, Shards, io};
use vmfmix::linfa::ParamGuard;
use vmfmix::mixture::{
    Assignment, InMemory, MixtureError, Observations, Scorer, VonMisesFisherMixture,
};

use crate::cli::{fail_in, json, succeed};

/// Rows around a few directions, of many lengths.
fn rows(n: usize, dimension: usize) -> Array2<f32> {
    let mut rng = Xoshiro256Plus::seed_from_u64(3);
    Array2::from_shape_fn((n, dimension), |(i, j)| {
        let own = if i % 5 == j % 5 { 1.5 } else { 0.0 };
        (1 + i % 7) as f32 * (own + rng.gen_range(-1.0..1.0_f32))
    })
}

fn frame(rows: &Array2<f32>) -> DataFrame {
    let column = Embeddings::into_column(EMBEDDING, rows.clone()).unwrap();
    DataFrame::new_infer_height(vec![column]).unwrap()
}

/// The frame with null embeddings in some rows, and the row numbers as items.
fn with_nulls(rows: &Array2<f32>, nulls: &[usize]) -> DataFrame {
    let places: IdxCa = (0..rows.nrows())
        .map(|row| (!nulls.contains(&row)).then_some(row as IdxSize))
        .collect();
    let column = frame(rows)
        .column(EMBEDDING)
        .unwrap()
        .take(&places)
        .unwrap();
    let items: Vec<String> = (0..rows.nrows()).map(|row| format!("item {row}")).collect();
    DataFrame::new_infer_height(vec![Column::new("item".into(), items), column]).unwrap()
}

fn write_npy<T: AutoSerialize + Copy>(path: &Path, order: Order, matrix: &Array2<T>) {
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .order(order)
        .shape(&[matrix.nrows() as u64, matrix.ncols() as u64])
        .writer(File::create(path).unwrap())
        .begin_nd()
        .unwrap();
    let numbers: Vec<T> = match order {
        Order::C => matrix.iter().copied().collect(),
        Order::Fortran => matrix.t().iter().copied().collect(),
    };
    writer.extend(numbers).unwrap();
    writer.finish().unwrap();
}

/// A matrix in three files, of which one is Parquet.
fn in_three_files(folder: &Path, rows: &Array2<f32>) -> Vec<PathBuf> {
    let n = rows.nrows();
    let paths: Vec<PathBuf> = ["a.npy", "b.parquet", "c.npy"]
        .map(|name| folder.join(name))
        .into();
    let part = |range: std::ops::Range<usize>| rows.slice(s![range, ..]).to_owned();
    write_npy(&paths[0], Order::C, &part(0..n / 3));
    io::write_parquet(&frame(&part(n / 3..n / 2)), &paths[1]).unwrap();
    write_npy(&paths[2], Order::Fortran, &part(n / 2..n));
    paths
}

#[test]
fn rows_on_disk_give_the_same_statistics_bit_by_bit_as_rows_in_memory() {
    let folder = TempDir::new().unwrap();
    let rows = rows(5000, 20);
    let shards = Shards::open(&in_three_files(folder.path(), &rows), &folder).unwrap();
    let some: Vec<usize> = (0..5000)
        .filter(|row| row % 7 != 3 && row / 900 != 2)
        .collect();
    for chosen in [shards.present(), some] {
        let kept = rows.select(ndarray::Axis(0), &chosen);
        let memory = InMemory::new(kept.view(), None).unwrap().block_size(100);
        let disk = shards.points(chosen).unwrap().block_size(100);
        assert_eq!((disk.n_samples(), disk.dimension()), (kept.nrows(), 20));
        let scorer = Scorer::cosine(memory.directions(&[3, 10, 500]).unwrap());
        for assignment in [Assignment::Soft, Assignment::Hard, Assignment::Stochastic] {
            assert_eq!(
                disk.sweep(&scorer, assignment).unwrap(),
                memory.sweep(&scorer, assignment).unwrap()
            );
        }
        let places = [0, 777, 1234, kept.nrows() - 1];
        assert_eq!(
            disk.directions(&places).unwrap(),
            memory.directions(&places).unwrap()
        );
        let params = VonMisesFisherMixture::params(5).n_runs(2).check().unwrap();
        let model = params.fit_observations(&disk).unwrap();
        assert_eq!(model, params.fit_observations(&memory).unwrap());
        let scored = model.score_observations(&disk).unwrap();
        assert_eq!(scored, model.score_observations(&memory).unwrap());
        assert!((scored - model.score(kept.view()).unwrap()).abs() < 1e-6);
    }
}

#[test]
fn every_kind_of_npy_is_read_as_numpy_means_it() {
    let folder = TempDir::new().unwrap();
    // Halves and quarters are exact in all precisions.
    let rows = rows(70, 3000).mapv(|x| (x * 4.0).round() / 4.0);
    let path = |name: &str| folder.path().join(name);
    for order in [Order::C, Order::Fortran] {
        write_npy(&path("f16.npy"), order, &rows.mapv(half::f16::from_f32));
        write_npy(&path("f32.npy"), order, &rows);
        write_npy(&path("f64.npy"), order, &rows.mapv(f64::from));
        for name in ["f16.npy", "f32.npy", "f64.npy"] {
            let whole = io::embeddings_file(path(name)).unwrap();
            assert_eq!(
                whole.embeddings(EMBEDDING).unwrap().view(),
                rows,
                "{name} {order:?}"
            );
            let file = io::EmbeddingsFile::open(path(name)).unwrap();
            assert_eq!((file.height(), file.dimension()), (70, 3000));
            let some = file.read(11..42).unwrap();
            let expected = rows.slice(s![11..42, ..]);
            assert_eq!(some.embeddings(EMBEDDING).unwrap().view(), expected);
        }
    }
    // Numbers in the other order of bytes, as numpy writes '>f4'.
    let big: Vec<u8> = rows.iter().flat_map(|x| x.to_be_bytes()).collect();
    let mut header =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '>f4', 'fortran_order': False, 'shape': (70, 3000), }"
            .to_vec();
    header.resize(127, b' ');
    header.push(b'\n');
    fs::write(path("big.npy"), [header, big].concat()).unwrap();
    let big = io::embeddings_file(path("big.npy")).unwrap();
    assert_eq!(big.embeddings(EMBEDDING).unwrap().view(), rows);
}

#[test]
fn rows_without_an_embedding_are_left_out_and_keep_their_numbers() {
    let folder = TempDir::new().unwrap();
    let rows = rows(40, 6);
    let parquet = folder.path().join("x.parquet");
    io::write_parquet(&with_nulls(&rows, &[0, 7, 39]), &parquet).unwrap();
    let empty = folder.path().join("none.parquet");
    io::write_parquet(
        &with_nulls(&rows.slice(s![..3, ..]).to_owned(), &[0, 1, 2]),
        &empty,
    )
    .unwrap();
    let shards = Shards::open(&[&empty, &parquet], &folder).unwrap();
    assert_eq!(shards.height(), 43);
    let present = shards.present();
    assert_eq!(present.len(), 37);
    assert_eq!(present[..8], [4, 5, 6, 7, 8, 9, 11, 12]);
    let points = shards.points(present).unwrap();
    let first = points.directions(&[0]).unwrap();
    let expected = InMemory::new(rows.view(), None)
        .unwrap()
        .directions(&[1])
        .unwrap();
    assert_eq!(first, expected);
}

#[test]
fn a_row_without_direction_is_named_by_file_and_row() {
    let folder = TempDir::new().unwrap();
    let mut rows = rows(60, 6);
    rows.row_mut(45).fill(0.0);
    let files = in_three_files(folder.path(), &rows);
    let shards = Shards::open(&files, &folder).unwrap();
    let error = shards.points(shards.present()).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "{}, row 15: the vector has no direction, its length is 0; leave it out or repair it",
            files[2].display()
        )
    );
    assert!(shards.points((0..45).collect()).is_ok());
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    write_npy(&path, Order::C, &rows(5000, 20));
    let shards = Shards::open(&[&path], &folder).unwrap();
    let points = shards.points(shards.present()).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(5000)
        .unwrap();
    let params = VonMisesFisherMixture::params(5).check().unwrap();
    let error = params.fit_observations(&points).unwrap_err();
    assert!(matches!(error, MixtureError::Read { .. }), "{error}");
    assert!(
        error.to_string().starts_with(path.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_npy(&path("x.npy"), Order::C, &rows(10, 6));
    write_npy(&path("y.npy"), Order::C, &rows(10, 5));
    let error = Shards::open(&[path("x.npy"), path("y.npy")], &folder)
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: vectors of 5 numbers, but 6 in the files before; use embeddings of one encoder",
            path("y.npy").display()
        )
    );
    io::write_parquet(&with_nulls(&rows(9, 2), &[]), path("x.metadata.parquet")).unwrap();
    let error = io::embeddings_file(path("x.npy")).unwrap_err().to_string();
    assert!(
        error.ends_with("x.npy has 10; they do not belong together"),
        "{error}"
    );
}

#[test]
fn a_table_of_clip_retrieval_names_the_rows_of_its_matrix() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("img_emb")).unwrap();
    write_npy(
        &path("img_emb/img_emb_0.npy"),
        Order::C,
        &rows(10, 6).mapv(half::f16::from_f32),
    );
    let paths: Vec<String> = (0..10).map(|row| format!("{row}.jpg")).collect();
    let table = DataFrame::new_infer_height(vec![Column::new("image_path".into(), paths.clone())]);
    io::write_parquet(&table.unwrap(), path("metadata/metadata_0.parquet")).unwrap();
    let frame = io::embeddings_file(path("img_emb/img_emb_0.npy")).unwrap();
    assert_eq!(frame.strings("image_path").unwrap(), paths);
    assert_eq!(frame.embeddings(EMBEDDING).unwrap().view().dim(), (10, 6));
    succeed(
        folder.path(),
        &[
            "fit",
            "--embeddings",
            folder.path().to_str().unwrap(),
            "-k",
            "2",
        ],
    );
    let assigned = io::table(path("results/assignments.parquet")).unwrap();
    assert_eq!(assigned.strings("item").unwrap(), paths);
}

#[test]
fn embeddings_written_to_npy_come_back_with_their_nulls() {
    let folder = TempDir::new().unwrap();
    let rows = rows(12, 4);
    let frame = with_nulls(&rows, &[2, 11]);
    let path = folder.path().join("x.npy");
    io::write_npy(&frame, EMBEDDING, &path).unwrap();
    let bare = io::embeddings_file(&path).unwrap();
    let bare = bare.embeddings(EMBEDDING).unwrap();
    assert!(bare.view().row(2).iter().all(|x| x.is_nan()));
    assert_eq!(bare.view().row(3), rows.row(3));

    let mut frame = frame;
    let reason = |row| [2, 11].contains(&row).then_some("broken");
    let reasons: Vec<Option<&str>> = (0..12).map(reason).collect();
    frame
        .with_column(Column::new("embedding_error".into(), reasons))
        .unwrap();
    io::write_embeddings(&path, (12, 4), [Ok(frame.clone())]).unwrap();
    let read = io::embeddings_file(&path).unwrap();
    assert!(
        read.select(["item", EMBEDDING])
            .unwrap()
            .equals_missing(&frame.select(["item", EMBEDDING]).unwrap())
    );
    let shards = Shards::open(&[&path], &folder).unwrap();
    assert_eq!(shards.present(), [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]);
    let error = io::write_embeddings(&path, (13, 4), [Ok(frame)]).unwrap_err();
    assert!(matches!(error, FrameError::Io { .. }), "{error}");
    assert_eq!(io::embeddings_file(&path).unwrap().height(), 12);
}

#[test]
fn tables_come_back_from_every_format() {
    let folder = TempDir::new().unwrap();
    let frame = DataFrame::new_infer_height(vec![
        Column::new(
            "caption".into(),
            [Some("a \"red\", round\tthing"), None, Some("héllo\nwörld")],
        ),
        Column::new("n".into(), [1_i64, 2, 3]),
    ])
    .unwrap();
    for name in [
        "x.csv",
        "x.tsv",
        "x.jsonl",
        "x.ndjson",
        "x.parquet",
        "x.arrow",
        "x.feather",
    ] {
        let path = folder.path().join(name);
        io::write_table(&frame, &path).unwrap();
        assert!(io::table(&path).unwrap().equals_missing(&frame), "{name}");
    }
    let vectors = frame_of_vectors();
    for name in ["v.jsonl", "v.parquet", "v.arrow"] {
        let path = folder.path().join(name);
        io::write_table(&vectors, &path).unwrap();
        let read = io::table(&path).unwrap();
        assert_eq!(
            read.embeddings(EMBEDDING).unwrap().view(),
            rows(4, 3),
            "{name}"
        );
    }
    let path = folder.path().join("v.csv");
    assert!(io::write_table(&vectors, &path).is_err());
    assert!(!path.exists());
    let error = io::write_table(&frame, folder.path().join("x.xls"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(
            "unknown kind of file; .csv, .tsv, .jsonl, .parquet and .arrow are understood"
        ),
        "{error}"
    );
    fs::write(folder.path().join("broken.jsonl"), "{\"a\": 1}\n{\"a\": ").unwrap();
    let error = io::table(folder.path().join("broken.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("broken.jsonl"), "{error}");
}

fn frame_of_vectors() -> DataFrame {
    frame(&rows(4, 3))
}

#[test]
fn a_fit_that_reads_from_disk_writes_what_a_fit_in_memory_writes() {
    let folder = TempDir::new().unwrap();
    let parts = folder.path().join("parts");
    fs::create_dir(&parts).unwrap();
    let rows = rows(700, 12);
    let mut frame = with_nulls(&rows, &[5, 444]);
    let labels: Vec<String> = (0..700).map(|row| (row % 5).to_string()).collect();
    frame
        .with_column(Column::new("label".into(), labels))
        .unwrap();
    for (i, start) in (0..700).step_by(250).enumerate() {
        let part = frame.slice(start, 250);
        io::write_parquet(&part, parts.join(format!("part-{i}.parquet"))).unwrap();
    }
    let fit = |more: &[&str]| {
        let args = ["fit", "--embeddings", "parts/*.parquet", "-k", "5"];
        succeed(folder.path(), &[&args[..], more].concat())
    };
    let memory = fit(&[]);
    let disk = fit(&["--memory-share", "0", "--output-dir", "disk"]);
    let last = |out: &str| out.lines().last().unwrap().to_owned();
    assert_eq!(
        memory.replace(&last(&memory), ""),
        disk.replace(&last(&disk), "")
    );
    let [memory, disk] = ["results", "disk"].map(|name| folder.path().join(name));
    for name in ["model_parameters.json", "convergence_info.json"] {
        assert_eq!(
            fs::read(disk.join(name)).unwrap(),
            fs::read(memory.join(name)).unwrap()
        );
    }
    let assigned = |folder: &Path| io::table(folder.join("assignments.parquet")).unwrap();
    let columns = [
        "item",
        "label",
        "component",
        "probability",
        "split",
        "embedding_error",
    ];
    let select = |frame: DataFrame| frame.select(columns).unwrap();
    assert!(select(assigned(&disk)).equals_missing(&select(assigned(&memory))));
    let metrics = |folder: &Path| json(folder.join("evaluation_metrics.json"));
    let (disk, memory) = (metrics(&disk), metrics(&memory));
    assert!(disk.get("n_sampled").is_none());
    for name in [
        "train_log_likelihood",
        "test_log_likelihood",
        "bic",
        "nmi",
        "silhouette",
    ] {
        let (got, expected) = (disk[name].as_f64().unwrap(), memory[name].as_f64().unwrap());
        assert!(
            (got - expected).abs() < 1e-9 * expected.abs(),
            "{name} {got} {expected}"
        );
    }
    let left: Vec<_> = fs::read_dir(folder.path().join("disk")).unwrap().collect();
    assert!(left.iter().all(|entry| {
        !entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.')
    }));
}

#[test]
fn predict_assigns_rows_of_files_as_it_does_those_of_one_table() {
    let folder = TempDir::new().unwrap();
    let rows = rows(300, 8);
    let whole = with_nulls(&rows, &[17]);
    io::write_parquet(&whole, folder.path().join("whole.parquet")).unwrap();
    succeed(
        folder.path(),
        &["fit", "--embeddings", "whole.parquet", "-k", "3"],
    );
    io::write_parquet(&whole.slice(0, 100), folder.path().join("1.parquet")).unwrap();
    io::write_parquet(&whole.slice(100, 200), folder.path().join("2.parquet")).unwrap();
    let predict = |more: &[&str]| {
        let args = [
            "predict",
            "--model",
            "results/model_parameters.json",
            "-o",
            "out.parquet",
        ];
        let out = succeed(folder.path(), &[&args[..], more].concat());
        assert_eq!(out, "299 items assigned, 1 skipped: out.parquet\n");
        io::table(folder.path().join("out.parquet")).unwrap()
    };
    let parts = predict(&["--embeddings", "1.parquet", "2.parquet"]);
    let fitted = io::table(folder.path().join("results/assignments.parquet")).unwrap();
    assert!(
        parts.equals_missing(
            &fitted
                .drop("split")
                .unwrap()
                .select(parts.get_column_names_owned())
                .unwrap()
        )
    );
    fs::write(folder.path().join("labels.txt"), "a label\n".repeat(300)).unwrap();
    let labelled = predict(&[
        "--embeddings",
        "1.parquet",
        "2.parquet",
        "--labels",
        "labels.txt",
    ]);
    assert_eq!(labelled.column("label").unwrap().n_unique().unwrap(), 1);

    let mut bad = rows;
    bad.row_mut(250).fill(f32::INFINITY);
    io::write_parquet(
        &frame(&bad.slice(s![100.., ..]).to_owned()),
        folder.path().join("2.parquet"),
    )
    .unwrap();
    let args = [
        "predict",
        "--model",
        "results/model_parameters.json",
        "--embeddings",
        "1.parquet",
        "2.parquet",
        "-q",
    ];
    let error = fail_in(folder.path(), 1, &args);
    assert!(
        error.contains("2.parquet, row 150: the vector has no direction"),
        "{error}"
    );
    let error = fail_in(folder.path(), 1, &["fit", "--embeddings", "*.csv"]);
    assert!(
        error.contains(
            "*.csv: no such file; give .npy or .parquet files, a folder of them, or a pattern"
        ),
        "{error}"
    );
}

#[test]
fn samples_are_those_of_the_mixture_in_both_formats() {
    let folder = TempDir::new().unwrap();
    let draw = |more: &[&str]| {
        let args = ["sample", "-n", "3000", "-q"];
        succeed(folder.path(), &[&args[..], more].concat())
    };
    let made_up = ["--dim", "16", "-k", "3", "--concentrations", "50,200"];
    draw(&[&made_up[..], &["-o", "x.parquet"]].concat());
    draw(&[&made_up[..], &["-o", "x.npy"]].concat());
    let read = |name: &str| io::embeddings_file(folder.path().join(name)).unwrap();
    let (parquet, npy) = (read("x.parquet"), read("x.npy"));
    assert_eq!(
        parquet.embeddings(EMBEDDING).unwrap().view(),
        npy.embeddings(EMBEDDING).unwrap().view()
    );
    assert_eq!(
        parquet.strings("label").unwrap(),
        npy.strings("label").unwrap()
    );
    succeed(folder.path(), &["fit", "--embeddings", "x.npy", "-k", "3"]);
    assert!(
        json(folder.path().join("results/evaluation_metrics.json"))["nmi"]
            .as_f64()
            .unwrap()
            > 0.99
    );
    draw(&[
        "--model",
        "results/model_parameters.json",
        "-o",
        "again.npy",
    ]);
    let again = read("again.npy");
    let model = fs::read_to_string(folder.path().join("results/model_parameters.json")).unwrap();
    let model: VonMisesFisherMixture = serde_json::from_str(&model).unwrap();
    let [drawn, given] = [&again, &npy].map(|frame| {
        model
            .score(frame.embeddings(EMBEDDING).unwrap().view())
            .unwrap()
    });
    assert!((drawn - given).abs() < 0.2, "{drawn} {given}");
}

#[test]
fn files_of_different_layouts_make_one_table() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = rows(300, 8);
    let part = |first: usize, last: usize| rows.slice(s![first..last, ..]).to_owned();
    write_npy(
        &path("1.npy"),
        Order::Fortran,
        &part(0, 100).mapv(f64::from),
    );
    io::write_parquet(&with_nulls(&part(100, 200), &[3, 50]), path("2.parquet")).unwrap();
    let lists = with_nulls(&part(200, 300), &[99]);
    let doubles = DataType::List(Box::new(DataType::Float64));
    let lists = lists.column(EMBEDDING).unwrap().cast(&doubles).unwrap();
    let frame = DataFrame::new_infer_height(vec![lists.with_name("vector".into())]).unwrap();
    io::write_parquet(&frame, path("3.parquet")).unwrap();

    let files = [
        "fit",
        "-k",
        "3",
        "--embeddings",
        "1.npy",
        "2.parquet",
        "3.parquet",
    ];
    for (share, output) in [("1", "memory"), ("0", "disk")] {
        let more = ["--memory-share", share, "--output-dir", output];
        succeed(folder.path(), &[&files[..], &more].concat());
        let assigned = io::table(path(output).join("assignments.parquet")).unwrap();
        let items = assigned.strings("item").unwrap();
        assert_eq!(
            (&items[7][..], &items[103][..], &items[299][..]),
            ("1.npy, row 7", "item 3", "3.parquet, row 99")
        );
        let missing = assigned.column("component").unwrap().is_null();
        let missing: Vec<usize> = (0..300)
            .filter(|&row| missing.get(row) == Some(true))
            .collect();
        assert_eq!(missing, [103, 150, 299]);
    }
    let model = |output: &str| fs::read(path(output).join("model_parameters.json")).unwrap();
    assert_eq!(model("memory"), model("disk"));
}

#[test]
fn a_vector_of_another_length_is_named_by_file_and_row() {
    let folder = TempDir::new().unwrap();
    let vector = |length: usize| Series::new("".into(), vec![1.0_f32; length]);
    let mut lists: Vec<Option<Series>> = (0..10).map(|_| Some(vector(4))).collect();
    lists[2] = None;
    lists[7] = Some(vector(3));
    let lists: ListChunked = lists.into_iter().collect();
    let column = lists.with_name(EMBEDDING.into()).into_column();
    let frame = DataFrame::new_infer_height(vec![column]).unwrap();
    let path = folder.path().join("x.parquet");
    io::write_parquet(&frame, &path).unwrap();
    let expected = format!(
        "{}: column `embedding`, row 7: a vector of 3 numbers among vectors of 4",
        path.display()
    );
    let message = |error: FrameError| error.to_string();
    assert_eq!(message(io::embeddings_file(&path).unwrap_err()), expected);
    assert_eq!(
        message(Shards::open(&[&path], &folder).err().unwrap()),
        expected
    );
}

#[test]
fn rows_without_vectors_may_be_empty_lists_or_a_column_without_type() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = rows(60, 4);
    write_npy(&path("1.npy"), Order::C, &rows);
    let lists: ListChunked = (0..40)
        .map(|row| {
            (row % 4 != 1)
                .then(|| Series::new("".into(), vec![1.0_f32; if row % 4 == 2 { 0 } else { 4 }]))
        })
        .collect();
    let lists =
        DataFrame::new_infer_height(vec![lists.with_name(EMBEDDING.into()).into_column()]).unwrap();
    io::write_parquet(&lists, path("2.parquet")).unwrap();
    io::write_parquet(&lists.slice(1, 1), path("3.parquet")).unwrap();
    let untyped = Column::full_null(EMBEDDING.into(), 3, &DataType::Null);
    io::write_parquet(
        &DataFrame::new_infer_height(vec![untyped]).unwrap(),
        path("4.parquet"),
    )
    .unwrap();
    let files = [
        "--embeddings",
        "1.npy",
        "2.parquet",
        "3.parquet",
        "4.parquet",
    ];
    for (share, output) in [("1", "memory"), ("0", "disk")] {
        let more = [
            "fit",
            "-k",
            "2",
            "--memory-share",
            share,
            "--output-dir",
            output,
        ];
        let said = succeed(folder.path(), &[&more[..], &files].concat());
        assert!(
            said.contains("skipped 24 items, the first: 2.parquet, row 1: no embedding"),
            "{said}"
        );
    }
    let model = |output: &str| fs::read(path(output).join("model_parameters.json")).unwrap();
    assert_eq!(model("memory"), model("disk"));
    let predict = [
        "predict",
        "--model",
        "disk/model_parameters.json",
        "-o",
        "out.parquet",
    ];
    let said = succeed(folder.path(), &[&predict[..], &files].concat());
    assert_eq!(said, "80 items assigned, 24 skipped: out.parquet\n");
    // Also where no row at all has a vector.
    let said = succeed(
        folder.path(),
        &[&predict[..], &["--embeddings", "3.parquet", "4.parquet"]].concat(),
    );
    assert_eq!(said, "0 items assigned, 4 skipped: out.parquet\n");
}

#[test]
fn plain_columns_go_through_a_prediction_and_others_are_not_read() {
    let folder = TempDir::new().unwrap();
    let rows = rows(50, 4);
    let mut frame = with_nulls(&rows, &[7]);
    let small: Vec<i8> = (0..50).collect();
    frame
        .with_column(Column::new("small".into(), small))
        .unwrap();
    frame
        .with_column(Column::new("entropy".into(), [0.0; 50]))
        .unwrap();
    let bytes: Vec<&[u8]> = vec![b"picture"; 50];
    frame
        .with_column(Series::new("jpg".into(), bytes).into_column())
        .unwrap();
    io::write_parquet(&frame, folder.path().join("x.PARQUET")).unwrap();
    succeed(folder.path(), &["fit", "-k", "2", "--embeddings", "."]);
    let args = [
        "predict",
        "--model",
        "results/model_parameters.json",
        "-o",
        "out.parquet",
        "--embeddings",
        "x.PARQUET",
    ];
    succeed(folder.path(), &args);
    let out = io::table(folder.path().join("out.parquet")).unwrap();
    assert!(
        out.column("small")
            .unwrap()
            .equals(frame.column("small").unwrap())
    );
    assert!(out.column("jpg").is_err());
    assert!(out.column("entropy").unwrap().null_count() == 1);
}

#[test]
fn a_few_vectors_among_many_rows_are_all_in_the_report() {
    let folder = TempDir::new().unwrap();
    let vectors = rows(12, 4);
    let nulls: Vec<usize> = (0..40_000).filter(|row| row % 4000 != 13).collect();
    let many = Array2::from_shape_fn((40_000, 4), |(i, j)| vectors[[i % 12, j]]);
    let mut places = vec![true; 40_000];
    nulls.iter().for_each(|&row| places[row] = false);
    let places: IdxCa = (0..)
        .zip(&places)
        .map(|(row, here)| here.then_some(row))
        .collect();
    let column = frame(&many)
        .column(EMBEDDING)
        .unwrap()
        .take(&places)
        .unwrap();
    let frame = DataFrame::new_infer_height(vec![column]).unwrap();
    io::write_parquet(&frame, folder.path().join("x.parquet")).unwrap();
    let args = [
        "fit",
        "-k",
        "2",
        "--memory-share",
        "0",
        "--embeddings",
        "x.parquet",
    ];
    let said = succeed(folder.path(), &args);
    assert!(
        said.contains("skipped 39990 items, the first: row 0: no embedding"),
        "{said}"
    );
}

#[test]
fn a_header_that_promises_more_than_can_be_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    let mut header = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775808, 4611686018427387904), }".to_vec();
    header.resize(127, b' ');
    header.push(b'\n');
    fs::write(&path, header).unwrap();
    let error = io::embeddings_file(&path).unwrap_err();
    assert!(matches!(error, FrameError::Truncated { .. }), "{error}");
}
