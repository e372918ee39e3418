//! Weights on disk to tensors, under one naming.
//!
//! The names used inside this crate are those of Hugging Face's CLIP (`vision_model.encoder.layers.0.layer_norm1.weight`).
//! Files of another layout are translated here, name by name, and nowhere else. Whatever the precision on disk, tensors
//! come out in f32 on the device.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::safetensors::{Load, MmapedSafetensors};
use candle_core::{DType, Device, Tensor};

use super::EncoderError;
use super::config::read_json;

/// How the name of a file ends that says in which shard each tensor is.
const INDEX_ENDING: &str = ".safetensors.index.json";

/// A weight file, opened.
pub(super) struct Checkpoint {
    path: PathBuf,
    device: Device,
    reader: Reader,
}

enum Reader {
    Safetensors(MmapedSafetensors),
    Pickle(PthTensors),
}

/// A part of a checkpoint: all names below one prefix.
#[derive(Clone)]
pub(super) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
}

impl Checkpoint {
    /// Opens `path`, a `.safetensors` file (mapped into memory), the index of several, or a `.bin` file that PyTorch wrote.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Json`], [`EncoderError::Checkpoint`].
    pub(super) fn open(path: &Path, device: &Device) -> Result<Self, EncoderError> {
        std::fs::File::open(path).map_err(|cause| EncoderError::Unreadable {
            path: path.into(),
            cause,
        })?;
        let reader = if path.extension().is_some_and(|extension| extension == "bin") {
            PthTensors::new(path, None).map(Reader::Pickle)
        } else {
            map_safetensors(&shards(path)?).map(Reader::Safetensors)
        };
        Ok(Checkpoint {
            path: path.into(),
            device: device.clone(),
            reader: reader.map_err(|cause| damaged(path, cause))?,
        })
    }

    /// All weights, without a prefix.
    pub(super) fn weights(&self) -> Weights<'_> {
        Weights {
            checkpoint: self,
            prefix: String::new(),
        }
    }

    fn find(&self, name: &str) -> Result<Option<Tensor>, EncoderError> {
        let found = match &self.reader {
            Reader::Pickle(file) => file.get(name),
            Reader::Safetensors(file) => match file.get(name) {
                Ok(view) => view.load(&Device::Cpu).map(Some),
                Err(_) => Ok(None),
            },
        };
        found.map_err(|cause| damaged(&self.path, cause))
    }
}

impl<'a> Weights<'a> {
    /// The weights whose names go on with `name`.
    pub(super) fn at(&self, name: &str) -> Weights<'a> {
        Weights {
            checkpoint: self.checkpoint,
            prefix: self.name(name),
        }
    }

    /// The tensor `name`, of this shape, in f32 on the device.
    ///
    /// # Errors
    /// [`EncoderError::MissingTensor`], [`EncoderError::TensorShape`], [`EncoderError::Checkpoint`].
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, EncoderError> {
        let Checkpoint { path, device, .. } = self.checkpoint;
        let name = self.name(name);
        let Some(tensor) = self.checkpoint.find(&name)? else {
            return Err(EncoderError::MissingTensor {
                name,
                path: path.clone(),
            });
        };
        if tensor.dims() != shape {
            return Err(EncoderError::TensorShape {
                name,
                path: path.clone(),
                got: tensor.dims().into(),
                expected: shape.into(),
            });
        }
        Ok(tensor
            .to_dtype(DType::F32)?
            .contiguous()?
            .to_device(device)?)
    }

    /// Whether the file has the tensor `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        matches!(self.checkpoint.find(&self.name(name)), Ok(Some(_)))
    }

    /// Where new tensors belong.
    pub(super) fn device(&self) -> &Device {
        &self.checkpoint.device
    }

    fn name(&self, name: &str) -> String {
        match (self.prefix.as_str(), name) {
            ("", name) => name.into(),
            (prefix, "") => prefix.into(),
            (prefix, name) => format!("{prefix}.{name}"),
        }
    }
}

/// The files that `path` stands for: itself, or the shards that it is the index of.
///
/// # Errors
/// [`EncoderError::Unreadable`], [`EncoderError::Json`].
pub(super) fn shards(path: &Path) -> Result<Vec<PathBuf>, EncoderError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    if !path.to_string_lossy().ends_with(INDEX_ENDING) {
        return Ok(vec![path.into()]);
    }
    let index: Index = read_json(path)?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    Ok(files
        .into_iter()
        .map(|file| path.with_file_name(file))
        .collect())
}

#[allow(unsafe_code)]
fn map_safetensors(paths: &[PathBuf]) -> candle_core::Result<MmapedSafetensors> {
    // SAFETY: each mapping is read-only, and every tensor is copied out of it while the model loads; the mapping ends
    // with the `Checkpoint`, when loading ends. A file that another process shortens in between can end this process
    // with SIGBUS, and one that it rewrites can give wrong weights, as for every program that maps its weights; the
    // cache never changes a file in place.
    unsafe { MmapedSafetensors::multi(paths) }
}

fn damaged(path: &Path, cause: candle_core::Error) -> EncoderError {
    EncoderError::Checkpoint {
        path: path.into(),
        cause: Box::new(cause),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn saved(folder: &Path) -> PathBuf {
        let path = folder.join("model.safetensors");
        let half = Tensor::new(&[[1.5_f32, -2.0]], &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F16))
            .unwrap();
        let tensors = HashMap::from([("tower.weight".to_owned(), half)]);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        path
    }

    #[test]
    fn half_precision_becomes_single() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(&saved(folder.path()), &Device::Cpu).unwrap();
        let tensor = checkpoint
            .weights()
            .at("tower")
            .tensor("weight", &[1, 2])
            .unwrap();
        assert_eq!(tensor.to_vec2::<f32>().unwrap(), [[1.5, -2.0]]);
    }

    #[test]
    fn names_the_tensor_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path());
        let checkpoint = Checkpoint::open(&path, &Device::Cpu).unwrap();
        let tower = checkpoint.weights().at("tower");
        let missing = tower.tensor("bias", &[2]).unwrap_err().to_string();
        assert!(
            missing.starts_with(&format!("{} has no tensor tower.bias;", path.display())),
            "{missing}"
        );
        let shape = tower.tensor("weight", &[2, 1]).unwrap_err().to_string();
        assert!(
            shape.contains(
                "tensor tower.weight has the shape [1, 2], but config.json asks for [2, 1]"
            ),
            "{shape}"
        );
    }

    #[test]
    fn rejects_damaged_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model.safetensors", "pytorch_model.bin"] {
            let path = folder.path().join(name);
            let missing = Checkpoint::open(&path, &Device::Cpu)
                .err()
                .unwrap()
                .to_string();
            assert!(missing.contains("could not be read"), "{missing}");
            std::fs::write(&path, b"not weights").unwrap();
            let damaged = Checkpoint::open(&path, &Device::Cpu)
                .err()
                .unwrap()
                .to_string();
            assert!(
                damaged.contains("is not a readable weight file"),
                "{damaged}"
            );
        }
    }
}
