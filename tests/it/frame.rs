//! The verbs of data frames.

use ndarray::{Array2, arr1};
use polars::prelude::*;
use vmfmix::encoder::{ClipEncoder, Device, PromptTemplate, ZeroShotLabels};
use vmfmix::frame::{
    EMBEDDING, EmbedOptions, Embeddings, FrameExt, describe_components, label_components,
};
use vmfmix::linfa::traits::Fit;
use vmfmix::mixture::VonMisesFisherMixture;

/// Vectors with names, a null where there is none.
fn frame(rows: &[Option<[f32; 3]>]) -> DataFrame {
    let flat = rows.iter().flat_map(|row| row.unwrap_or([1.0; 3]));
    let vectors = Array2::from_shape_vec((rows.len(), 3), flat.collect()).unwrap();
    let column = Embeddings::into_column(EMBEDDING, vectors).unwrap();
    let places: IdxCa = (0..).zip(rows).map(|(i, row)| row.map(|_| i)).collect();
    let names: Vec<String> = (0..rows.len()).map(|i| format!("row {i}")).collect();
    DataFrame::new_infer_height(vec![
        Column::new("name".into(), names),
        column.take(&places).unwrap(),
    ])
    .unwrap()
}

fn names(frame: &DataFrame) -> Vec<String> {
    frame.strings("name").unwrap()
}

#[test]
fn the_nearest_rows_come_first_whatever_their_length() {
    let frame = frame(&[
        Some([0.0, 1.0, 0.0]),
        None,
        Some([9.0, 1.0, 0.0]),
        Some([1.0, 1.0, 0.0]),
        Some([-1.0, 0.0, 0.0]),
    ]);
    let found = frame
        .nearest(EMBEDDING, arr1(&[3.0, 0.0, 0.0]).view(), 3)
        .unwrap();
    assert_eq!(names(&found), ["row 2", "row 3", "row 0"]);
    let cosines = found.column("cosine").unwrap().f32().unwrap();
    let expected = [9.0 / 82.0_f32.sqrt(), 0.5_f32.sqrt(), 0.0];
    for (got, expected) in cosines.into_no_null_iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6);
    }
    let all = frame
        .nearest(EMBEDDING, arr1(&[1.0, 0.0, 0.0]).view(), 99)
        .unwrap();
    assert_eq!(all.height(), 4);
    let error = frame
        .nearest(EMBEDDING, arr1(&[1.0, 0.0]).view(), 1)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("column `embedding` holds vectors of 3 numbers, but 2 are needed"),
        "{error}"
    );
}

#[test]
fn a_duplicate_points_to_the_nearest_earlier_row() {
    let frame = frame(&[
        Some([1.0, 0.0, 0.0]),
        None,
        Some([2.0, 0.1, 0.0]),
        Some([0.0, 1.0, 0.0]),
        Some([4.0, 0.2, 0.0]),
    ]);
    let marked = frame.near_duplicates(EMBEDDING, 0.99).unwrap();
    assert_eq!(names(&marked), names(&frame));
    let duplicates: Vec<Option<u32>> = marked
        .column("duplicate_of")
        .unwrap()
        .u32()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(duplicates, [None, None, Some(0), None, Some(2)]);
    let cosines = marked.column("duplicate_cosine").unwrap().f32().unwrap();
    assert!((cosines.get(4).unwrap() - 1.0).abs() < 1e-6);
}

#[test]
fn duplicates_are_found_across_blocks() {
    let angle = |i: usize| (i as f32) * 0.003;
    let mut rows: Vec<Option<[f32; 3]>> = (0..1500)
        .map(|i| Some([angle(i).cos(), angle(i).sin(), 0.0]))
        .collect();
    rows[1400] = Some([2.0 * angle(3).cos(), 2.0 * angle(3).sin(), 0.0]);
    let marked = frame(&rows).near_duplicates(EMBEDDING, 0.999_999).unwrap();
    let duplicates = marked.column("duplicate_of").unwrap().u32().unwrap();
    assert_eq!(duplicates.get(1400), Some(3));
    assert_eq!(duplicates.len() - duplicates.null_count(), 1);
}

#[test]
fn exemplars_and_predictions_agree_and_nulls_stay_null() {
    let mut rows: Vec<Option<[f32; 3]>> = (0..40)
        .map(|i| {
            let off = 0.01 * i as f32;
            Some(if i % 2 == 0 {
                [1.0, off, 0.0]
            } else {
                [0.0, off, 1.0]
            })
        })
        .collect();
    rows[5] = None;
    let frame = frame(&rows);
    let present = frame
        .filter(&frame.column(EMBEDDING).unwrap().is_not_null())
        .unwrap();
    let embeddings = present.embeddings(EMBEDDING).unwrap();
    let model = VonMisesFisherMixture::params(2)
        .fit(&embeddings.dataset())
        .unwrap();

    let predicted = frame.predict_with(EMBEDDING, &model).unwrap();
    for column in [
        "component",
        "probability",
        "log_likelihood",
        "entropy",
        "outlier_score",
    ] {
        let column = predicted.column(column).unwrap();
        assert_eq!((column.len(), column.null_count()), (40, 1));
        assert!(column.is_null().get(5).unwrap());
    }
    let exemplars = frame.exemplars(EMBEDDING, &model, 3).unwrap();
    assert_eq!(exemplars.height(), 6);
    let components: Vec<u32> = exemplars
        .column("component")
        .unwrap()
        .u32()
        .unwrap()
        .into_no_null_iter()
        .collect();
    assert_eq!(components, [0, 0, 0, 1, 1, 1]);
    let of_all = predicted.column("component").unwrap().u32().unwrap();
    for (name, component) in names(&exemplars).iter().zip(components) {
        let row: usize = name.trim_start_matches("row ").parse().unwrap();
        assert_eq!(of_all.get(row), Some(component));
    }
    let described = describe_components(&model).unwrap();
    let weights: f64 = described
        .column("weight")
        .unwrap()
        .f64()
        .unwrap()
        .sum()
        .unwrap();
    assert!((weights - 1.0).abs() < 1e-12);
    let (half, most) = (
        described.column("angle_50").unwrap(),
        described.column("angle_90").unwrap(),
    );
    assert!(half.f64().unwrap().get(0) < most.f64().unwrap().get(0));
}

#[test]
fn components_get_the_likeliest_label_and_labels_of_another_encoder_are_refused() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    let encoder = ClipEncoder::from_folder(&root.join("tiny-clip"), Device::Cpu).unwrap();
    let names = ["red circle", "blue star"];
    let labels = ZeroShotLabels::new(&encoder, names, &[PromptTemplate::plain()]).unwrap();
    let model = VonMisesFisherMixture::params(2)
        .fit(&vmfmix::linfa::DatasetBase::from(labels.directions()))
        .unwrap();
    let named = label_components(&model, &labels).unwrap();
    let mut found = named.strings("label").unwrap();
    found.sort_unstable();
    assert_eq!(found, ["blue star", "red circle"]);

    let flat = frame(&[
        Some([1.0, 0.0, 0.0]),
        Some([0.0, 1.0, 0.0]),
        Some([0.0, 0.9, 0.1]),
    ]);
    let embeddings = flat.embeddings(EMBEDDING).unwrap();
    let model = VonMisesFisherMixture::params(1)
        .fit(&embeddings.dataset())
        .unwrap();
    let error = label_components(&model, &labels).unwrap_err().to_string();
    assert!(
        error.contains("but 3 are needed; use embeddings of the same encoder"),
        "{error}"
    );
}

fn tiny_clip() -> ClipEncoder {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    ClipEncoder::from_folder(&root.join("tiny-clip"), Device::Cpu).unwrap()
}

/// The bytes of a drawn picture.
fn picture(name: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    std::fs::read(root.join("shapes/images").join(name)).unwrap()
}

/// Column `image` as Hugging Face writes it.
fn hugging_face(bytes: Column, paths: Column) -> DataFrame {
    let fields = [
        bytes.with_name("bytes".into()),
        paths.with_name("path".into()),
    ];
    let image = StructChunked::from_columns("image".into(), fields[0].len(), &fields).unwrap();
    DataFrame::new_infer_height(vec![image.into_column()]).unwrap()
}

fn reasons(frame: &DataFrame) -> Vec<Option<String>> {
    let column = frame.column("embedding_error").unwrap().str().unwrap();
    column
        .iter()
        .map(|reason| reason.map(str::to_owned))
        .collect()
}

#[test]
fn images_come_as_paths_as_bytes_or_as_structs_of_both() {
    let encoder = tiny_clip();
    let (first, second) = (picture("0000.png"), picture("0001.png"));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/shapes/images");
    let options = EmbedOptions::default().root(root);
    let vectors = |frame: &DataFrame, rows: &[usize]| {
        let embedded = frame
            .embed_images_with("image", &encoder, &options)
            .unwrap();
        let column = embedded.column(EMBEDDING).unwrap();
        assert!(matches!(column.dtype(), DataType::Array(_, 64)));
        let places: IdxCa = rows.iter().map(|&row| Some(row as IdxSize)).collect();
        let found = embedded.take(&places).unwrap();
        (
            found.embeddings(EMBEDDING).unwrap().view().to_owned(),
            reasons(&embedded),
        )
    };
    let paths = Column::new("image".into(), ["0000.png", "0001.png"]);
    let (expected, _) = vectors(&DataFrame::new_infer_height(vec![paths]).unwrap(), &[0, 1]);

    let bytes = Column::new("image".into(), [Some(&first[..]), None, Some(&second[..])]);
    let binary = DataFrame::new_infer_height(vec![bytes]).unwrap();
    let (found, why) = vectors(&binary, &[0, 2]);
    assert_eq!(found, expected);
    assert!(why[1].as_ref().unwrap().starts_with("the item is null"));

    let both = hugging_face(
        Column::new("".into(), [Some(&first[..]), None, None]),
        Column::new("".into(), [Some("of no use"), Some("0001.png"), None]),
    );
    let (found, why) = vectors(&both, &[0, 1]);
    assert_eq!(found, expected);
    assert!(why[2].as_ref().unwrap().starts_with("the item is null"));

    let whole_row_null = both.column("image").unwrap();
    let places: IdxCa = [Some(0), None, Some(1)].into_iter().collect();
    let column = whole_row_null.take(&places).unwrap();
    let (found, why) = vectors(&DataFrame::new_infer_height(vec![column]).unwrap(), &[0, 2]);
    assert_eq!(found, expected);
    assert!(why[1].as_ref().unwrap().starts_with("the item is null"));

    let no_paths = hugging_face(
        Column::new("".into(), [&first[..], &second[..]]),
        Column::full_null("".into(), 2, &DataType::Null),
    );
    assert_eq!(vectors(&no_paths, &[0, 1]).0, expected);
}

#[test]
fn a_url_among_the_paths_is_named_and_the_others_are_embedded() {
    let urls = ["https://example.org/a.png", "s3://bucket/a.png"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/shapes/images");
    let paths = Column::new("image".into(), [urls[0], "0000.png", urls[1]]);
    let frame = DataFrame::new_infer_height(vec![paths]).unwrap();
    let options = EmbedOptions::default().root(root);
    let embedded = frame
        .embed_images_with("image", &tiny_clip(), &options)
        .unwrap();
    let why = reasons(&embedded);
    for (row, url) in [(0, urls[0]), (2, urls[1])] {
        let expected = format!("`{url}` is a URL; download it first and give the path of the file");
        assert_eq!(why[row].as_ref(), Some(&expected));
    }
    assert_eq!(why[1], None);
}

#[test]
fn a_column_that_holds_no_images_says_what_is_needed() {
    let encoder = tiny_clip();
    let numbers = Column::new("image".into(), [1, 2]);
    let words = Column::new("".into(), ["a", "b"]);
    for frame in [
        DataFrame::new_infer_height(vec![numbers.clone()]).unwrap(),
        hugging_face(words.clone(), words.clone()),
        hugging_face(numbers, words),
    ] {
        let error = frame.embed_images("image", &encoder).unwrap_err();
        assert!(
            error.to_string().contains(
                "or of structs with the fields `bytes` (binary) and `path` (string) is needed"
            ),
            "{error}"
        );
    }
}
