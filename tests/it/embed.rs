//! `vmfmix embed` of columns of tables.

use std::fs::{self, File};
use std::path::Path;

use polars::prelude::*;
use tempfile::TempDir;
use vmfmix::frame::{EMBEDDING, EMBEDDING_ERROR, FrameExt, io};

use crate::cli::{dataset, fail_in, succeed, vmfmix};

const CAPTIONS: [Option<&str>; 4] = [
    Some("a red circle"),
    None,
    Some(
        "a \"blue\" star, which goes on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on and on",
    ),
    Some("a green square"),
];

fn captions() -> DataFrame {
    let ids = Column::new("id".into(), [10_i64, 11, 12, 13]);
    DataFrame::new_infer_height(vec![ids, Column::new("caption".into(), CAPTIONS)]).unwrap()
}

fn embed(folder: &Path, args: &[&str]) -> String {
    let clip = dataset("tiny-clip");
    succeed(folder, &[&["embed", "--clip-model", &clip], args].concat())
}

fn pictures(names: &[&str]) -> Vec<Vec<u8>> {
    let read = |name: &&str| fs::read(dataset(&format!("shapes/images/{name}"))).unwrap();
    names.iter().map(read).collect()
}

#[test]
fn a_column_of_texts_is_embedded_and_the_other_columns_stay() {
    let folder = TempDir::new().unwrap();
    let mut first: Option<DataFrame> = None;
    for table in ["x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.arrow"] {
        io::write_table(&captions(), folder.path().join(table)).unwrap();
        let args = [
            "--input",
            table,
            "--column",
            "caption",
            "-o",
            "out.parquet",
            "--shard-size",
            "3",
        ];
        let said = embed(folder.path(), &args);
        assert_eq!(
            said,
            "3 items embedded, 1 skipped (see column embedding_error), 1 texts cut to the encoder's context: out.parquet\n"
        );
        let embedded = io::table(folder.path().join("out.parquet")).unwrap();
        assert_eq!(
            embedded.get_column_names_owned(),
            [
                "item",
                "modality",
                "label",
                "id",
                "embedding",
                "embedding_error",
                "embedding_truncated"
            ]
        );
        let items: Vec<_> = embedded
            .column("item")
            .unwrap()
            .str()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(items, CAPTIONS, "{table}");
        assert!(
            embedded
                .column("id")
                .unwrap()
                .equals(captions().column("id").unwrap())
        );
        assert_eq!(embedded.column(EMBEDDING).unwrap().null_count(), 1);
        match &first {
            None => first = Some(embedded),
            Some(first) => assert!(embedded.equals_missing(first), "{table}"),
        }
    }
}

#[test]
fn pictures_in_a_table_are_paths_below_it_or_bytes_or_structs_of_both() {
    let folder = TempDir::new().unwrap();
    let below = folder.path().join("table");
    fs::create_dir(&below).unwrap();
    let names = ["0000.png", "0001.png"];
    let bytes = pictures(&names);
    for (name, bytes) in names.iter().zip(&bytes) {
        fs::write(below.join(name), bytes).unwrap();
    }
    let paths = Column::new(
        "picture".into(),
        [names[0], names[1], "https://example.org/2.png"],
    );
    let bytes: Vec<Option<&[u8]>> = vec![Some(&bytes[0]), Some(&bytes[1]), None];
    let bytes = Series::new("bytes".into(), bytes);
    let both = [
        bytes.clone(),
        paths
            .as_materialized_series()
            .clone()
            .with_name("path".into()),
    ];
    let both = StructChunked::from_series("picture".into(), 3, both.iter()).unwrap();
    let columns = [
        paths,
        bytes.with_name("picture".into()).into(),
        both.into_series().into(),
    ];
    let mut found = Vec::new();
    for (i, column) in columns.into_iter().enumerate() {
        let table = format!("table/{i}.parquet");
        let frame = DataFrame::new_infer_height(vec![column]).unwrap();
        io::write_parquet(&frame, folder.path().join(&table)).unwrap();
        embed(
            folder.path(),
            &[
                "--input",
                &table,
                "--column",
                "picture",
                "-o",
                "out.parquet",
            ],
        );
        let embedded = io::table(folder.path().join("out.parquet")).unwrap();
        assert!(embedded.column("picture").is_err());
        assert_eq!(embedded.strings("modality").unwrap(), ["image"; 3]);
        found.push(embedded);
    }
    let vectors = |frame: &DataFrame| frame.head(Some(2)).select([EMBEDDING]).unwrap();
    assert_eq!(
        vectors(&found[0]).column(EMBEDDING).unwrap().null_count(),
        0
    );
    assert!(
        found
            .iter()
            .all(|frame| vectors(frame).equals(&vectors(&found[0])))
    );
    let reason = |frame: &DataFrame| frame.strings(EMBEDDING_ERROR).unwrap()[2].clone();
    assert!(
        reason(&found[0]).contains("is a URL"),
        "{}",
        reason(&found[0])
    );
    assert!(
        reason(&found[2]).contains("is a URL"),
        "{}",
        reason(&found[2])
    );
    assert_eq!(found[0].strings("item").unwrap()[1], "table/0001.png");
    assert_eq!(
        found[1].strings("item").unwrap(),
        ["row 0", "row 1", "row 2"]
    );
    assert_eq!(found[2].strings("item").unwrap()[0], "0000.png");
}

#[test]
fn vectors_in_npy_have_their_items_and_reasons_beside_them() {
    let folder = TempDir::new().unwrap();
    io::write_table(&captions(), folder.path().join("x.csv")).unwrap();
    let args = [
        "--input",
        "x.csv",
        "--column",
        "caption",
        "--shard-size",
        "3",
    ];
    embed(folder.path(), &[&args[..], &["-o", "x.npy"]].concat());
    embed(folder.path(), &[&args[..], &["-o", "x.parquet"]].concat());
    let read = |name: &str| io::embeddings_file(folder.path().join(name)).unwrap();
    let columns = ["item", "id", EMBEDDING, EMBEDDING_ERROR];
    let [npy, parquet] = ["x.npy", "x.parquet"].map(|name| read(name).select(columns).unwrap());
    let vectors = |frame: &DataFrame| {
        let present = frame.drop_nulls(Some(&[EMBEDDING])).unwrap();
        present.embeddings(EMBEDDING).unwrap().view().to_owned()
    };
    assert_eq!(vectors(&npy), vectors(&parquet));
    assert!(
        npy.drop(EMBEDDING)
            .unwrap()
            .equals_missing(&parquet.drop(EMBEDDING).unwrap())
    );
    assert_eq!(npy.column(EMBEDDING).unwrap().null_count(), 1);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["x.csv", "x.metadata.parquet", "x.npy", "x.parquet"]);
}

#[test]
fn a_wrong_table_or_column_is_told_before_the_model_is_loaded() {
    let folder = TempDir::new().unwrap();
    io::write_table(&captions(), folder.path().join("x.csv")).unwrap();
    let fail = |code: i32, args: &[&str]| {
        let args = [&["embed", "--clip-model", "no/such", "-q"], args].concat();
        fail_in(folder.path(), code, &args)
    };
    let error = fail(1, &["--input", "x.csv", "--column", "text"]);
    assert!(
        error.contains("x.csv: no column `text`; there are [\"id\", \"caption\"]"),
        "{error}"
    );
    let error = fail(1, &["--input", "y.csv", "--column", "text"]);
    assert!(error.contains("y.csv: "), "{error}");
    fail(2, &["--input", "x.csv"]);
    let error = fail(
        1,
        &["--input", "x.csv", "--column", "caption", "-o", "x.txt"],
    );
    assert!(
        error.contains("x.txt: unknown kind of file; .npy and .parquet are understood"),
        "{error}"
    );
}

#[test]
fn shards_of_a_table_that_has_changed_are_not_mixed_with_new_ones() {
    let folder = TempDir::new().unwrap();
    let table = folder.path().join("x.csv");
    io::write_table(&captions(), &table).unwrap();
    let args = [
        "--input",
        "x.csv",
        "--column",
        "caption",
        "-o",
        "out.npy",
        "--shard-size",
        "2",
    ];
    // What cannot be named in the end leaves its shards behind.
    fs::create_dir(folder.path().join("out.metadata.parquet")).unwrap();
    let clip = dataset("tiny-clip");
    let call = [&["embed", "--clip-model", &clip, "-q"], &args[..]].concat();
    let output = vmfmix(folder.path(), &call);
    assert_eq!(output.status.code(), Some(1));
    assert!(folder.path().join("out.npy.shards/job.json").exists());
    File::options()
        .append(true)
        .open(&table)
        .unwrap()
        .set_len(30)
        .unwrap();
    let said = fail_in(folder.path(), 1, &[&call[..], &["--resume"]].concat());
    assert!(said.contains("made from other items"), "{said}");
}

#[test]
fn a_folder_of_something_else_is_neither_used_nor_removed() {
    let folder = TempDir::new().unwrap();
    io::write_table(&captions(), folder.path().join("x.csv")).unwrap();
    embed(
        folder.path(),
        &["--input", "x.csv", "--column", "caption", "-o", "a.parquet"],
    );
    let foreign = folder.path().join("out.parquet.shards");
    fs::create_dir(&foreign).unwrap();
    fs::copy(
        folder.path().join("a.parquet"),
        foreign.join("000000.parquet"),
    )
    .unwrap();
    let clip = dataset("tiny-clip");
    let captions = dataset("shapes/captions.txt");
    let args = [
        "embed",
        "--clip-model",
        &clip,
        "--text-file",
        &captions,
        "-o",
        "out.parquet",
    ];
    let error = fail_in(folder.path(), 1, &args);
    assert!(error.contains("something else is there"), "{error}");
    assert!(foreign.join("000000.parquet").exists());
}

#[test]
fn tables_without_rows_and_columns_that_would_be_replaced_are_refused() {
    let folder = TempDir::new().unwrap();
    let fail = |table: &str, column: &str| {
        let args = [
            "embed",
            "--clip-model",
            "no/such",
            "--input",
            table,
            "--column",
            column,
        ];
        fail_in(folder.path(), 1, &args)
    };
    io::write_parquet(
        &captions().head(Some(0)),
        folder.path().join("empty.parquet"),
    )
    .unwrap();
    assert!(fail("empty.parquet", "caption").contains("nothing to embed: no rows"));
    let mut taken = captions();
    taken.rename("id", "modality".into()).unwrap();
    io::write_parquet(&taken, folder.path().join("taken.parquet")).unwrap();
    let error = fail("taken.parquet", "caption");
    assert!(
        error.contains("taken.parquet: column `modality` would be replaced"),
        "{error}"
    );
    io::write_parquet(&captions(), folder.path().join("x.parquet")).unwrap();
    let error = fail("x.parquet", "id");
    assert!(
        error.contains("x.parquet: column `id` is i64; texts, paths (strings)"),
        "{error}"
    );
}

#[test]
fn strings_of_which_the_first_are_null_are_texts() {
    let folder = TempDir::new().unwrap();
    let texts: Vec<Option<&str>> = (0..1100)
        .map(|i| (i > 1050).then_some("a red circle"))
        .collect();
    let frame = DataFrame::new_infer_height(vec![Column::new("caption".into(), texts)]).unwrap();
    io::write_parquet(&frame, folder.path().join("x.parquet")).unwrap();
    let said = embed(
        folder.path(),
        &[
            "--input",
            "x.parquet",
            "--column",
            "caption",
            "-o",
            "o.parquet",
        ],
    );
    assert!(
        said.starts_with("49 items embedded, 1051 skipped"),
        "{said}"
    );
}
