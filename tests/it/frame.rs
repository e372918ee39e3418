//! The verbs of data frames.

use ndarray::{Array2, arr1};
use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::encoder::{ClipEncoder, Device, PromptTemplate, ZeroShotLabels};
use vmfmix::frame::{
    EMBEDDING, EmbedOptions, Embeddings, FrameExt, describe_components, label_components,
    modality_gap,
};
use vmfmix::mixture::VonMisesFisherMixture;
use vmfmix::mixture::metrics::normalized_mutual_information;

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

#[test]
fn lists_and_arrays_of_floats_are_embeddings_and_nulls_and_ragged_rows_are_refused_by_row() {
    let lists = |rows: &[&[f64]]| {
        let rows: Vec<Series> = rows
            .iter()
            .map(|row| Series::new("".into(), row.to_vec()))
            .collect();
        DataFrame::new_infer_height(vec![Column::new(EMBEDDING.into(), rows)]).unwrap()
    };
    let embeddings = lists(&[&[1.0, 2.0], &[3.0, 4.0]])
        .embeddings(EMBEDDING)
        .unwrap();
    assert_eq!(embeddings.view(), ndarray::array![[1.0, 2.0], [3.0, 4.0]]);
    let message =
        |frame: &DataFrame, column: &str| frame.embeddings(column).unwrap_err().to_string();
    assert_eq!(
        message(&lists(&[&[1.0, 2.0], &[3.0]]), EMBEDDING),
        "column `embedding`, row 1: a vector of 1 numbers among vectors of 2"
    );
    let frame = frame(&[Some([1.0, 0.0, 0.0]), None]);
    assert!(
        message(&frame, EMBEDDING)
            .starts_with("column `embedding`, row 1: null; leave such rows out")
    );
    assert!(message(&frame, "name").contains("a column of lists or arrays of floats is needed"));
}

#[test]
fn strings_are_empty_where_null_and_other_columns_are_refused() {
    let column = Column::new("name".into(), [Some("a"), None]);
    let frame = DataFrame::new_infer_height(vec![column, Column::new("n".into(), [1, 2])]).unwrap();
    assert_eq!(frame.strings("name").unwrap(), ["a", ""]);
    let error = frame.strings("n").unwrap_err().to_string();
    assert!(error.contains("a column of strings is needed"), "{error}");
}

/// A frame of vectors of three kinds: two named, one null.
fn by_kind(rows: &[(Option<&str>, Option<[f32; 3]>)]) -> DataFrame {
    let vectors: Vec<_> = rows.iter().map(|row| row.1).collect();
    let kinds: Vec<_> = rows.iter().map(|row| row.0).collect();
    let mut frame = frame(&vectors);
    frame
        .with_column(Column::new("modality".into(), kinds))
        .unwrap();
    frame
}

/// The rows of a column of embeddings, `None` where null.
fn rows_of(frame: &DataFrame) -> Vec<Option<Vec<f32>>> {
    let column = frame.column(EMBEDDING).unwrap().array().unwrap();
    let row = |row: usize| {
        let row = column.get_as_series(row)?;
        Some(row.f32().unwrap().into_no_null_iter().collect())
    };
    (0..column.len()).map(row).collect()
}

#[test]
fn centring_takes_the_mean_of_its_group_from_each_row_and_scales_back() {
    let centred = by_kind(&[
        (Some("text"), Some([5.0, 0.0, 0.0])),
        (Some("image"), Some([0.0, 0.0, 1.0])),
        (Some("text"), None),
        (None, Some([0.0, 2.0, 0.0])),
        (Some("text"), Some([0.0, 0.1, 0.0])),
        (Some("image"), Some([0.0, 3.0, 4.0])),
        (None, Some([0.0, 0.0, 1.0])),
    ])
    .center_by(EMBEDDING, "modality")
    .unwrap();
    let type_of = centred.column(EMBEDDING).unwrap().dtype().clone();
    assert_eq!(type_of, DataType::Array(Box::new(DataType::Float32), 3));
    let half = 0.5_f32.sqrt();
    // The image [0, 0.6, 0.8] less the mean [0, 0.3, 0.9] of the two is [0, 0.3, -0.1].
    let (a, b) = (3.0 / 10.0_f32.sqrt(), 1.0 / 10.0_f32.sqrt());
    let expected = [
        Some([half, -half, 0.0]),
        Some([0.0, -a, b]),
        None,
        Some([0.0, half, -half]),
        Some([-half, half, 0.0]),
        Some([0.0, a, -b]),
        Some([0.0, -half, half]),
    ];
    for (got, expected) in rows_of(&centred).iter().zip(expected) {
        match (got, expected) {
            (Some(got), Some(expected)) => {
                let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
                assert!(off.fold(0.0, f32::max) < 1e-6, "{got:?} {expected:?}");
            }
            (got, expected) => assert_eq!((got.is_none(), expected.is_none()), (true, true)),
        }
    }
    assert_eq!(centred.column("embedding_error").unwrap().null_count(), 7);
}

#[test]
fn a_row_without_a_direction_after_centring_is_null_with_a_reason_and_reasons_before_are_kept() {
    let mut frame = by_kind(&[
        (Some("text"), Some([0.6, 0.8, 0.0])),
        (Some("image"), Some([0.0, 1.0, 0.0])),
        (Some("image"), None),
        (Some("image"), Some([0.0, 0.0, 1.0])),
        (None, Some([0.1, 0.2, 0.3])),
        (None, Some([0.2, 0.4, 0.6])),
        (Some("image"), Some([f32::NAN, 0.0, 1.0])),
        (Some("image"), Some([0.0; 3])),
    ]);
    let reasons = [
        None,
        None,
        Some("not a picture"),
        None,
        None,
        None,
        None,
        None,
    ];
    frame
        .with_column(Column::new("embedding_error".into(), reasons))
        .unwrap();
    let centred = frame.center_by(EMBEDDING, "modality").unwrap();
    assert_eq!(names(&centred), names(&frame));
    let present: Vec<bool> = rows_of(&centred).iter().map(Option::is_some).collect();
    assert_eq!(
        present,
        [false, true, false, true, false, false, false, false]
    );
    let is_the_mean = "equals the mean of its group: centring leaves it no direction";
    let no_direction = "its embedding has no direction: a length of zero, or not a number";
    assert_eq!(
        centred.strings("embedding_error").unwrap(),
        [
            is_the_mean,
            "",
            "not a picture",
            "",
            is_the_mean,
            is_the_mean,
            no_direction,
            no_direction
        ]
    );
}

#[test]
fn centring_needs_strings_to_group_by_and_keeps_a_frame_of_nulls() {
    let none = by_kind(&[(Some("text"), None), (None, None)]);
    let centred = none.center_by(EMBEDDING, "modality").unwrap();
    assert_eq!(centred.column(EMBEDDING).unwrap().null_count(), 2);
    let message = |by: &str| none.center_by(EMBEDDING, by).unwrap_err().to_string();
    assert!(message(EMBEDDING).contains("a column of strings is needed"));
    assert!(message("kind").contains("kind"), "{}", message("kind"));
}

#[test]
fn the_modality_gap_is_that_of_all_pairs_and_needs_two_kinds() {
    let rows: Vec<(Option<&str>, Option<[f32; 3]>)> = (0..13)
        .map(|i| {
            let x = i as f32;
            match i % 3 {
                0 => (Some("text"), Some([2.0, (x * 0.7).sin(), 0.3 * x.cos()])),
                1 => (Some("image"), Some([0.2, (x * 0.9).cos(), 1.5])),
                _ if i == 2 => (Some("text"), None),
                _ => (None, Some([1.0, 1.0, 1.0])),
            }
        })
        .collect();
    let frame = by_kind(&rows);
    let gap = modality_gap(&frame, EMBEDDING, "modality")
        .unwrap()
        .unwrap();
    let units = |kind: &str| -> Vec<[f64; 3]> {
        let of_kind = rows.iter().filter(|row| row.0 == Some(kind));
        let unit = |row: [f32; 3]| {
            let row = row.map(f64::from);
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.map(|x| x / length)
        };
        of_kind.filter_map(|row| row.1.map(unit)).collect()
    };
    let cosine = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (texts, images) = (units("text"), units("image"));
    let mean = |units: &[[f64; 3]]| {
        [0, 1, 2].map(|i| units.iter().map(|u| u[i]).sum::<f64>() / units.len() as f64)
    };
    let (a, b) = (mean(&texts), mean(&images));
    let close =
        |got: f64, expected: f64| assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    let apart = [0, 1, 2].map(|i| a[i] - b[i]);
    close(gap.distance, cosine(&apart, &apart).sqrt());
    let of_means = cosine(&a, &b) / (cosine(&a, &a) * cosine(&b, &b)).sqrt();
    close(gap.cosine_of_means.unwrap(), of_means);
    let pairs = texts
        .iter()
        .flat_map(|t| images.iter().map(move |i| (t, i)));
    let between: Vec<f64> = pairs.map(|(t, i)| cosine(t, i)).collect();
    close(
        gap.cosine_between,
        between.iter().sum::<f64>() / between.len() as f64,
    );
    for (side, (name, units)) in gap.sides.iter().zip([("text", &texts), ("image", &images)]) {
        assert_eq!((side.name.as_str(), side.size), (name, units.len()));
        let (mut sum, mut n) = (0.0, 0.0);
        for i in 0..units.len() {
            for j in 0..i {
                sum += cosine(&units[i], &units[j]);
                n += 1.0;
            }
        }
        close(side.cosine_within.unwrap(), sum / n);
    }

    let gap = |rows: &[(Option<&str>, Option<[f32; 3]>)]| {
        modality_gap(&by_kind(rows), EMBEDDING, "modality").unwrap()
    };
    let [x, y] = [Some([1.0, 0.0, 0.0]), Some([-1.0, 0.0, 0.0])];
    assert_eq!(gap(&[(Some("text"), x)]), None);
    assert_eq!(gap(&[(Some("a"), x), (Some("b"), x), (Some("c"), y)]), None);
    let widest = gap(&[(Some("text"), x), (Some("image"), y)]).unwrap();
    assert_eq!((widest.distance, widest.cosine_between), (2.0, -1.0));
    assert_eq!(widest.sides[0].cosine_within, None);
    let balanced = gap(&[(Some("text"), x), (Some("text"), y), (Some("image"), y)]).unwrap();
    assert_eq!((balanced.distance, balanced.cosine_of_means), (1.0, None));
}

#[test]
fn a_mixture_over_two_kinds_finds_subjects_once_they_are_centred() {
    let mut rng = Xoshiro256Plus::seed_from_u64(7);
    // Two cones as CLIP's: an axis of the kind, longer than that of the subject.
    let rows = Array2::from_shape_fn((400, 16), |(i, j)| {
        let (kind, subject) = (i % 2, i / 2 % 4);
        let axis = if j == kind { 2.0 } else { 0.0 };
        let own = if j == 2 + subject { 1.0 } else { 0.0 };
        axis + own + rng.gen_range(-0.4..0.4_f32)
    });
    let kinds: Vec<&str> = (0..400).map(|i| ["text", "image"][i % 2]).collect();
    let subjects: Vec<usize> = (0..400).map(|i| i / 2 % 4).collect();
    let frame = DataFrame::new_infer_height(vec![
        Embeddings::into_column(EMBEDDING, rows).unwrap(),
        Column::new("modality".into(), kinds),
    ])
    .unwrap();
    let agreement = |frame: &DataFrame| {
        let embeddings = frame.embeddings(EMBEDDING).unwrap();
        let model = VonMisesFisherMixture::params(4)
            .fit(&embeddings.dataset())
            .unwrap();
        let found = model.assign(embeddings.view()).unwrap().to_vec();
        normalized_mutual_information(&found, &subjects)
    };
    let centred = frame.center_by(EMBEDDING, "modality").unwrap();
    let (before, after) = (agreement(&frame), agreement(&centred));
    assert!(before < 0.6 && after > 0.95, "{before} {after}");
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

#[test]
fn an_array_column_in_one_piece_is_viewed_where_it_lies() {
    let rows = Array2::from_shape_fn((100, 8), |(i, j)| (i * 8 + j) as f32 + 1.0);
    let column = Embeddings::into_column(EMBEDDING, rows.clone()).unwrap();
    let frame = DataFrame::new_infer_height(vec![column]).unwrap();
    let values = frame
        .column(EMBEDDING)
        .unwrap()
        .array()
        .unwrap()
        .get_inner();
    let place = values.f32().unwrap().cont_slice().unwrap().as_ptr();

    let embeddings = frame.embeddings(EMBEDDING).unwrap();
    assert_eq!(embeddings.view(), rows);
    assert_eq!(embeddings.view().as_ptr(), place);
    let dataset = frame.to_dataset(EMBEDDING).unwrap();
    assert_eq!(dataset.records(), rows);
    assert_eq!(dataset.records().as_ptr(), place);

    // Rows of a slice lie further on in the same memory.
    let slice = frame.slice(30, 20);
    let dataset = slice.to_dataset(EMBEDDING).unwrap();
    assert_eq!(dataset.records(), rows.slice(ndarray::s![30..50, ..]));
    assert_eq!(dataset.records().as_ptr(), place.wrapping_add(30 * 8));
}

#[test]
fn columns_that_cannot_be_viewed_are_copied_and_nulls_are_refused_by_row() {
    let rows = [Some([1.0, 2.0, 3.0]), Some([4.0, 5.0, 6.0])];
    let (one, two) = (frame(&rows[..1]), frame(&rows[1..]));
    let chunked = one.vstack(&two).unwrap();
    assert_eq!(chunked.column(EMBEDDING).unwrap().n_chunks(), 2);
    let expected = ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    assert_eq!(chunked.to_dataset(EMBEDDING).unwrap().records(), expected);
    let lists = |dtype: DataType| {
        let column = chunked.column(EMBEDDING).unwrap();
        let column = column.cast(&DataType::List(Box::new(dtype))).unwrap();
        DataFrame::new_infer_height(vec![column]).unwrap()
    };
    for frame in [lists(DataType::Float32), lists(DataType::Float64)] {
        assert_eq!(frame.to_dataset(EMBEDDING).unwrap().records(), expected);
    }
    let with_null = frame(&[rows[0], None, rows[1]]);
    let error = with_null.to_dataset(EMBEDDING).unwrap_err().to_string();
    assert!(
        error.starts_with("column `embedding`, row 1: null"),
        "{error}"
    );
    let model = VonMisesFisherMixture::params(1).fit(&chunked.to_dataset(EMBEDDING).unwrap());
    assert_eq!(model.unwrap().n_components(), 1);
}

#[test]
fn a_lazy_frame_has_the_same_verbs() {
    let encoder = tiny_clip();
    let words = ["a red circle", "a blue star", "a red square", "a blue ring"];
    let texts = Column::new("text".into(), words);
    let kinds = Column::new("modality".into(), ["text", "image", "text", "image"]);
    let frame = DataFrame::new_infer_height(vec![texts, kinds]).unwrap();
    let lazy = frame
        .clone()
        .lazy()
        .filter(col("text").neq(lit("a blue ring")));
    let rows = frame.head(Some(3));

    let embedded = lazy.embed_text("text", &encoder).unwrap();
    assert!(embedded.equals_missing(&rows.embed_text("text", &encoder).unwrap()));
    let lazy = embedded.clone().lazy();
    let same = |found: DataFrame, expected: DataFrame| assert!(found.equals_missing(&expected));
    let dataset = lazy.to_dataset(EMBEDDING).unwrap();
    assert_eq!(
        dataset.records(),
        embedded.embeddings(EMBEDDING).unwrap().view()
    );
    assert_eq!(lazy.strings("text").unwrap(), words[..3]);
    let model = VonMisesFisherMixture::params(2).fit(&dataset).unwrap();
    let query = dataset.records().row(1);
    same(
        lazy.nearest(EMBEDDING, query, 2).unwrap(),
        embedded.nearest(EMBEDDING, query, 2).unwrap(),
    );
    same(
        lazy.near_duplicates(EMBEDDING, 0.5).unwrap(),
        embedded.near_duplicates(EMBEDDING, 0.5).unwrap(),
    );
    same(
        lazy.predict_with(EMBEDDING, &model).unwrap(),
        embedded.predict_with(EMBEDDING, &model).unwrap(),
    );
    same(
        lazy.exemplars(EMBEDDING, &model, 1).unwrap(),
        embedded.exemplars(EMBEDDING, &model, 1).unwrap(),
    );
    same(
        lazy.center_by(EMBEDDING, "modality").unwrap(),
        embedded.center_by(EMBEDDING, "modality").unwrap(),
    );
    let pictures = vec![picture("0000.png"), picture("0001.png")];
    let pictures = Column::new("image".into(), pictures);
    let images = DataFrame::new_infer_height(vec![pictures]).unwrap();
    same(
        images
            .clone()
            .lazy()
            .embed_images("image", &encoder)
            .unwrap(),
        images.embed_images("image", &encoder).unwrap(),
    );
    let missing = frame
        .lazy()
        .select([col("nothing")])
        .strings("nothing")
        .unwrap_err();
    assert!(missing.to_string().contains("nothing"), "{missing}");
}
