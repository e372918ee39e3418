//! Every kind of CLIP against open_clip and transformers, on small checkpoints in the published layouts
//! (`tests/fixtures/make_clips.py`). Weights and pixels follow from the names of the tensors, as there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::Deserialize;
use serde_json::{Value, json};

use super::clip::VisionTower;
use super::files::ModelFiles;
use super::placement::Opened;
use super::rows::to_rows;
use super::tokenizer::TokenBatch;
use super::{ClipEncoder, Encoder, Picture, Tokens};

#[derive(Deserialize)]
struct Fixture {
    formula: Vec<Sample>,
    ids: Vec<Vec<u32>>,
    tokens: Vec<Text>,
    models: Vec<Model>,
}

/// Name, shape, type, offset and scale.
type Formula = (String, Vec<usize>, String, f64, f64);

#[derive(Deserialize)]
struct Sample {
    tensor: Formula,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    size: usize,
    #[serde(default)]
    sharded: bool,
    files: HashMap<String, Value>,
    tensors: Vec<Formula>,
    images: Vec<Vec<f64>>,
    texts: Vec<Vec<f64>>,
}

/// Largest distance between features and the reference, for features of length one.
const TOLERANCE: f64 = 5e-5;

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../tests/fixtures/clips.json")).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A tensor whose values are a hash of its name and their places, between `offset - scale` and `offset + scale`.
fn tensor((name, shape, dtype, offset, scale): &Formula) -> Tensor {
    let mut crc = flate2::Crc::new();
    crc.update(name.as_bytes());
    let count: usize = shape.iter().product();
    let numbers = (0..count as u32).map(|i| {
        let mut h = i.wrapping_mul(2_654_435_769).wrapping_add(crc.sum());
        h ^= h >> 16;
        h = h.wrapping_mul(0x7feb_352d);
        h ^= h >> 15;
        h = h.wrapping_mul(0x846c_a68b);
        h ^= h >> 16;
        let unit = (h >> 8) as f32 / (1 << 23) as f32 - 1.0;
        *offset as f32 + *scale as f32 * unit
    });
    let device = &Device::Cpu;
    let tensor = match dtype.as_str() {
        "I64" => Tensor::from_iter(
            (0..count as i64).map(|i| *offset as i64 + *scale as i64 * i),
            device,
        ),
        "F16" => Tensor::from_iter(numbers, device).and_then(|t| t.to_dtype(DType::F16)),
        "BF16" => Tensor::from_iter(numbers, device).and_then(|t| t.to_dtype(DType::BF16)),
        _ => Tensor::from_iter(numbers, device),
    };
    tensor.unwrap().reshape(shape.as_slice()).unwrap()
}

/// Writes the model as it would be published.
fn publish(model: &Model, folder: &Path) {
    for (name, content) in &model.files {
        std::fs::write(folder.join(name), content.to_string()).unwrap();
    }
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(fixtures().join("tokens").join(name), folder.join(name)).unwrap();
    }
    let tensors: Vec<(String, Tensor)> = model
        .tensors
        .iter()
        .map(|formula| (formula.0.clone(), tensor(formula)))
        .collect();
    let save = |tensors: &[(String, Tensor)], name: &str| {
        let tensors: HashMap<String, Tensor> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, folder.join(name)).unwrap();
    };
    if !model.sharded {
        let is_open_clip = model.files.contains_key("open_clip_config.json");
        let prefix = if is_open_clip { "open_clip_" } else { "" };
        return save(&tensors, &format!("{prefix}model.safetensors"));
    }
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let shards = [
        (first, "model-00001-of-00002.safetensors"),
        (second, "model-00002-of-00002.safetensors"),
    ];
    let mut map = HashMap::new();
    for (tensors, name) in shards {
        save(tensors, name);
        map.extend(tensors.iter().map(|(tensor, _)| (tensor.clone(), name)));
    }
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
}

fn load(model: &Model) -> ClipEncoder {
    load_for(model, DType::F32)
}

/// On the processor, for products in this type.
fn load_for(model: &Model, dtype: DType) -> ClipEncoder {
    let folder = tempfile::tempdir().unwrap();
    publish(model, folder.path());
    let files = ModelFiles::in_folder(folder.path()).unwrap();
    ClipEncoder::from_opened(&files, &model.name, Opened::processor(dtype)).unwrap()
}

/// What towers compute by the operations of any device.
fn on_any_device(encoder: &ClipEncoder, pixels: &Tensor, batch: &TokenBatch) -> [Array2<f32>; 2] {
    let images = match &encoder.vision {
        VisionTower::Transformer(tower) => tower.forward(pixels),
        VisionTower::ResNet(tower) => tower.forward(pixels),
    };
    [images, encoder.text.forward(batch)].map(|features| to_rows(&features.unwrap()).unwrap())
}

fn pixels(model: &Model) -> Tensor {
    let shape = vec![3, model.size, model.size];
    let image = |j| tensor(&(format!("pixels/{j}"), shape.clone(), "F32".into(), 0.0, 1.5));
    Tensor::stack(&(0..model.images.len()).map(image).collect::<Vec<_>>(), 0).unwrap()
}

fn matrix(features: &Tensor) -> Array2<f32> {
    let shape = features.dims2().unwrap();
    let values = features.flatten_all().unwrap().to_vec1().unwrap();
    Array2::from_shape_vec(shape, values).unwrap()
}

/// Largest distance of a row from the reference, in units of the reference's length.
fn error(features: ArrayView2<'_, f32>, reference: &[Vec<f64>]) -> f64 {
    assert_eq!(features.nrows(), reference.len());
    let rows = features.rows().into_iter().zip(reference);
    let errors = rows.map(|(row, reference)| {
        assert_eq!(row.len(), reference.len());
        let squares = row
            .iter()
            .zip(reference)
            .map(|(&a, b)| (f64::from(a) - b).powi(2));
        let length: f64 = reference.iter().map(|x| x * x).sum();
        (squares.sum::<f64>() / length).sqrt()
    });
    errors.fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
}

fn tokens(ids: &[Vec<u32>]) -> Vec<Tokens> {
    let row = |ids: &Vec<u32>| Tokens {
        ids: ids.clone(),
        end: ids.iter().position(|&id| id == 49_407).unwrap(),
        types: Vec::new(),
        is_cut: false,
    };
    ids.iter().map(row).collect()
}

#[test]
fn weights_follow_from_names_as_in_python() {
    for Sample {
        tensor: formula,
        values,
    } in fixture().formula
    {
        let got = tensor(&formula)
            .to_dtype(DType::F64)
            .unwrap()
            .flatten_all()
            .unwrap();
        assert_eq!(got.to_vec1::<f64>().unwrap(), values, "{}", formula.0);
    }
}

#[test]
fn features_of_every_kind_of_clip_are_those_of_python() {
    let Fixture { ids, models, .. } = fixture();
    assert_eq!(models.len(), 12);
    let rows = tokens(&ids);
    let batch = TokenBatch::pad(&rows.iter().collect::<Vec<_>>());
    for model in &models {
        let encoder = load(model);
        let pixels = pixels(model);
        let images = matrix(&encoder.vision.features(&pixels, encoder.dimension).unwrap());
        let texts = matrix(&encoder.text.features(&batch).unwrap());
        let errors = (
            error(images.view(), &model.images),
            error(texts.view(), &model.texts),
        );
        assert!(
            errors.0 < TOLERANCE && errors.1 < TOLERANCE,
            "{}: {errors:?}",
            model.name
        );

        let [plain_images, plain_texts] = on_any_device(&encoder, &pixels, &batch);
        let plain = (
            error(plain_images.view(), &model.images),
            error(plain_texts.view(), &model.texts),
        );
        assert!(
            plain.0 < TOLERANCE && plain.1 < TOLERANCE,
            "{} on any device: {plain:?}",
            model.name
        );
    }
}

#[test]
fn half_precision_keeps_directions() {
    let Fixture { ids, models, .. } = fixture();
    let rows = tokens(&ids);
    let batch = TokenBatch::pad(&rows.iter().collect::<Vec<_>>());
    for model in &models {
        let pixels = pixels(model);
        let exact = on_any_device(&load(model), &pixels, &batch);
        let half = on_any_device(&load_for(model, DType::F16), &pixels, &batch);
        for (exact, half) in exact.iter().zip(&half) {
            for (exact, half) in exact.rows().into_iter().zip(half.rows()) {
                let lengths = (exact.dot(&exact) * half.dot(&half)).sqrt();
                let distance = 1.0 - exact.dot(&half) / lengths;
                assert!(distance < 1e-4, "{}: {distance:e}", model.name);
            }
        }
    }
}

#[cfg(feature = "cuda")]
#[test]
#[expect(clippy::print_stderr, reason = "says that it is left out")]
fn a_gpu_computes_the_features_of_python() {
    let device = match super::Device::Cuda(0).open() {
        Ok(device) => device,
        Err(error) => return eprintln!("LEFT OUT: {error}"),
    };
    let Fixture { ids, models, .. } = fixture();
    let rows = tokens(&ids);
    let batch = TokenBatch::pad(&rows.iter().collect::<Vec<_>>());
    for model in &models {
        let folder = tempfile::tempdir().unwrap();
        publish(model, folder.path());
        let files = ModelFiles::in_folder(folder.path()).unwrap();
        for (dtype, limit) in [(DType::F32, 1e-7), (DType::F16, 1e-4), (DType::BF16, 1e-3)] {
            let device = device.clone();
            let opened = Opened { device, dtype };
            let encoder = ClipEncoder::from_opened(&files, &model.name, opened).unwrap();
            let pixels = pixels(model).to_device(&encoder.device).unwrap();
            let got = on_any_device(&encoder, &pixels, &batch);
            for (got, expected) in got.iter().zip([&model.images, &model.texts]) {
                for (got, expected) in got.rows().into_iter().zip(expected) {
                    let got = got.mapv(f64::from);
                    let expected = ArrayView1::from(expected);
                    let lengths = (got.dot(&got) * expected.dot(&expected)).sqrt();
                    let distance = 1.0 - got.dot(&expected) / lengths;
                    assert!(distance < limit, "{}, {dtype:?}: {distance:e}", model.name);
                }
            }
        }
    }
}

#[test]
fn one_at_a_time_is_as_in_a_batch() {
    let largest = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| {
        (&a - &b).iter().fold(0.0_f32, |most, x| most.max(x.abs()))
    };
    let Fixture { ids, models, .. } = fixture();
    let rows = tokens(&ids);
    for model in &models {
        let encoder = load(model);
        let noise =
            |j: usize| (0..3 * model.size * model.size).map(move |i| (i * (31 + j) % 251) as u8);
        let pictures: Vec<Picture> = (0..5)
            .map(|j| Picture::from_rgb(model.size, model.size, noise(j).collect()).unwrap())
            .collect();
        let images = encoder.embed_images(&pictures).unwrap();
        for (picture, image) in pictures.iter().zip(images.rows()) {
            let alone = encoder.embed_images(std::slice::from_ref(picture)).unwrap();
            let difference = largest(alone.row(0), image);
            assert!(difference < 1e-5, "{}: {difference:e}", model.name);
        }
        let texts = encoder
            .embed_tokens(&rows.iter().collect::<Vec<_>>())
            .unwrap();
        for (row, text) in rows.iter().zip(texts.rows()) {
            let difference = largest(encoder.embed_tokens(&[row]).unwrap().row(0), text);
            assert!(difference < 1e-5, "{}: {difference:e}", model.name);
        }
    }
}

#[test]
fn sizes_follow_from_the_weights_where_no_file_has_them() {
    for model in &fixture().models {
        let openai = model.name.starts_with("RN") || model.name == "ViT-B-32";
        if !openai {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        publish(model, folder.path());
        std::fs::remove_file(folder.path().join("open_clip_config.json")).unwrap();
        let encoder = ClipEncoder::from_folder(folder.path(), super::Device::Cpu).unwrap();
        let images = encoder
            .vision
            .features(&pixels(model), encoder.dimension)
            .unwrap();
        assert!(
            error(matrix(&images).view(), &model.images) < TOLERANCE,
            "{}",
            model.name
        );
    }
}

#[test]
fn a_missing_tensor_is_named_with_and_without_a_configuration() {
    let Fixture { mut models, .. } = fixture();
    for (model, gone) in [
        ("ViT-B-32", "visual.transformer.resblocks.1.mlp.c_fc.weight"),
        ("RN50", "visual.layer3.2.conv1.weight"),
        ("RN50", "visual.attnpool.c_proj.bias"),
    ] {
        let model = models.iter_mut().find(|entry| entry.name == model).unwrap();
        let tensors = model.tensors.clone();
        model.tensors.retain(|tensor| tensor.0 != gone);
        let folder = tempfile::tempdir().unwrap();
        publish(model, folder.path());
        model.tensors = tensors;
        for _ in 0..2 {
            let error = ClipEncoder::from_folder(folder.path(), super::Device::Cpu).unwrap_err();
            let expected = format!("open_clip_model.safetensors has no tensor {gone};");
            assert!(error.to_string().contains(&expected), "{error}");
            let _ = std::fs::remove_file(folder.path().join("open_clip_config.json"));
        }
    }
}

#[test]
fn a_tower_that_the_configuration_does_not_describe_is_refused() {
    let mut models = fixture().models;
    let model = &mut models[0];
    let vision =
        &mut model.files.get_mut("open_clip_config.json").unwrap()["model_cfg"]["vision_cfg"];
    vision["layers"] = json!(2);
    let folder = tempfile::tempdir().unwrap();
    publish(model, folder.path());
    let error = ClipEncoder::from_folder(folder.path(), super::Device::Cpu).unwrap_err();
    let expected = "tensor visual.transformer.resblocks.2.";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn tokens_of_another_encoder_are_refused() {
    let encoder = load(&fixture().models[0]);
    for (ids, end) in [(vec![], 0), (vec![1, 2], 2), (vec![1; 78], 5)] {
        let tokens = Tokens {
            ids,
            end,
            types: Vec::new(),
            is_cut: false,
        };
        let error = encoder.embed_tokens(&[&tokens]).unwrap_err().to_string();
        assert!(error.starts_with("row 0 has"), "{error}");
    }
}

#[test]
fn a_model_of_transformers_without_its_configuration_is_refused() {
    let models = fixture().models;
    let model = models
        .iter()
        .find(|model| model.name == "transformers-gelu");
    let folder = tempfile::tempdir().unwrap();
    publish(model.unwrap(), folder.path());
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let error = ClipEncoder::from_folder(folder.path(), super::Device::Cpu).unwrap_err();
    assert!(
        error.to_string().contains("holds no config.json"),
        "{error}"
    );
}

#[test]
fn token_ids_are_those_of_transformers() {
    let Fixture { tokens, models, .. } = fixture();
    assert!(tokens.len() >= 60);
    let encoder = load(&models[0]);
    for text in &tokens {
        assert_eq!(
            encoder.tokenize(&text.text).unwrap().ids,
            text.ids,
            "{:?}",
            text.text
        );
    }
}
