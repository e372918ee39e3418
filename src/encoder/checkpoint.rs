//! Weights on disk to tensors.
//!
//! A checkpoint is one file or several shards, in safetensors or in PyTorch's own format, named by Hugging Face or by
//! open_clip ([`Naming`]). Whatever the precision on disk, tensors come out in f32 on the device.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Tensor};

use super::EncoderError;
use super::errors::Cause;
use super::kernels::floats;
use super::naming::{Naming, Place};
use super::pickle::Pickle;
use super::placement::Opened;
use super::safetensors::Safetensors;

/// What training in parallel puts before every name.
const PARALLEL_PREFIX: &str = "module.";

/// How the names of a tower's tensors begin.
const TOWERS: [&str; 6] = [
    "vision_model.",
    "text_model.",
    "visual.",
    "transformer.",
    "text.",
    "ln_final.",
];

/// How the names of tensors end that are no weights.
const WITHOUT_EFFECT: [&str; 3] = ["position_ids", "num_batches_tracked", "attn_mask"];

/// Weight files, opened.
pub(super) struct Checkpoint {
    shards: Vec<Shard>,
    /// For each tensor its shard and its name there.
    index: HashMap<String, (usize, String)>,
    naming: Naming,
    opened: Opened,
    /// Names of the tensors that have been read.
    read: Mutex<HashSet<String>>,
}

struct Shard {
    path: PathBuf,
    reader: Reader,
}

enum Reader {
    Safetensors(Safetensors),
    Pickle(Pickle),
}

/// A part of a checkpoint: all names below one prefix.
#[derive(Clone)]
pub(super) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
}

impl Checkpoint {
    /// Opens files that together hold the tensors of a model: `.safetensors` or, by any other name, what PyTorch's `save`
    /// writes.
    ///
    /// # Errors
    /// [`EncoderError::Unreadable`], [`EncoderError::Checkpoint`], [`EncoderError::PickledCode`],
    /// [`EncoderError::TorchScript`].
    pub(super) fn open(paths: &[PathBuf], opened: &Opened) -> Result<Self, EncoderError> {
        let shards = paths
            .iter()
            .map(|path| Shard::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        let mut index = HashMap::new();
        for (at, shard) in shards.iter().enumerate() {
            for name in shard.names() {
                let known_by = name.strip_prefix(PARALLEL_PREFIX).unwrap_or(&name);
                index.insert(known_by.to_owned(), (at, name));
            }
        }
        Ok(Checkpoint {
            naming: Naming::of(|name| index.contains_key(name)),
            shards,
            index,
            opened: opened.clone(),
            read: Mutex::default(),
        })
    }

    /// Refuses a file with parts of a tower that were not read: it is another tower's.
    ///
    /// # Errors
    /// [`EncoderError::UnknownTensor`].
    pub(super) fn check_all_read(&self) -> Result<(), EncoderError> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.index.iter().filter(|(name, _)| {
            let is_of_tower = TOWERS.iter().any(|tower| name.starts_with(tower));
            let is_weight = !WITHOUT_EFFECT.iter().any(|ending| name.ends_with(ending));
            is_of_tower && is_weight && !read.contains(*name)
        });
        match left.next() {
            None => Ok(()),
            Some((name, (shard, _))) => Err(EncoderError::UnknownTensor {
                name: name.clone(),
                path: self.shards[*shard].path.clone(),
            }),
        }
    }

    /// All weights, without a prefix.
    pub(super) fn weights(&self) -> Weights<'_> {
        Weights {
            checkpoint: self,
            prefix: String::new(),
        }
    }

    /// The tensor at a place, as it is in the file, and the file.
    fn read(&self, place: &Place) -> Result<(Tensor, &Path), EncoderError> {
        let Some((shard, name)) = self.index.get(&place.name) else {
            let first = self.shards.first().map(|shard| shard.path.clone());
            return Err(EncoderError::MissingTensor {
                name: place.name.clone(),
                path: first.unwrap_or_default(),
            });
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(place.name.clone());
        drop(read);
        let Shard { path, reader } = &self.shards[*shard];
        let tensor = match reader {
            Reader::Safetensors(file) => file.read(name),
            Reader::Pickle(file) => file.read(name),
        };
        tensor
            .map(|tensor| (tensor, path.as_path()))
            .map_err(|cause| damaged(path, Some(name), cause))
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self, EncoderError> {
        std::fs::File::open(path).map_err(|cause| EncoderError::Unreadable {
            path: path.into(),
            cause,
        })?;
        let reader = if path.extension().is_some_and(|e| e == "safetensors") {
            let file = Safetensors::open(path).map_err(|cause| damaged(path, None, cause))?;
            Reader::Safetensors(file)
        } else {
            Reader::Pickle(Pickle::open(path)?)
        };
        Ok(Shard {
            path: path.into(),
            reader,
        })
    }

    fn names(&self) -> Vec<String> {
        match &self.reader {
            Reader::Safetensors(file) => file.names(),
            Reader::Pickle(file) => file.names(),
        }
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
    /// [`EncoderError::MissingTensor`], [`EncoderError::TensorShape`], [`EncoderError::TensorType`],
    /// [`EncoderError::TensorValue`], [`EncoderError::Checkpoint`].
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, EncoderError> {
        let (tensor, place, path) = self.read(name)?;
        if tensor.dims() != shape {
            return Err(EncoderError::TensorShape {
                name: place.name,
                path: path.into(),
                got: tensor.dims().into(),
                expected: shape.into(),
            });
        }
        let is_float = matches!(
            tensor.dtype(),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64
        );
        if !is_float {
            return Err(EncoderError::TensorType {
                name: place.name,
                path: path.into(),
                got: tensor.dtype().as_str(),
            });
        }
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        let values = floats(&tensor)?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(EncoderError::TensorValue {
                name: place.name,
                path: path.into(),
                at,
                got: values[at],
            });
        }
        drop(values);
        Ok(tensor.to_device(&self.checkpoint.opened.device)?)
    }

    /// A matrix that is to stand in products, in the precision of these.
    ///
    /// # Errors
    /// [`EncoderError::Inference`].
    pub(super) fn for_products(&self, matrix: Tensor) -> Result<Tensor, EncoderError> {
        let dtype = self.checkpoint.opened.dtype;
        Ok(matrix.to_dtype(dtype)?.contiguous()?)
    }

    /// The transpose, `(inputs, outputs)`, of the tensor `name` of shape `(outputs, inputs)`, for products.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub(super) fn transposed(
        &self,
        name: &str,
        shape: &[usize; 2],
    ) -> Result<Tensor, EncoderError> {
        self.for_products(self.tensor(name, shape)?.t()?)
    }

    /// The shape of the tensor `name`.
    ///
    /// # Errors
    /// [`EncoderError::MissingTensor`], [`EncoderError::Checkpoint`].
    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, EncoderError> {
        Ok(self.read(name)?.0.dims().into())
    }

    /// Whether there is a tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        let place = self.checkpoint.naming.place(&self.name(name));
        self.checkpoint.index.contains_key(&place.name)
    }

    /// How many numbered parts there are below `name`: one more than the largest number.
    pub(super) fn count(&self, name: &str) -> usize {
        let place = self
            .checkpoint
            .naming
            .place(&format!("{}.", self.name(name)));
        let numbers = self.checkpoint.index.keys().filter_map(|key| {
            let rest = key.strip_prefix(&place.name)?;
            rest.split('.').next()?.parse::<usize>().ok()
        });
        numbers.max().map_or(0, |largest| largest + 1)
    }

    /// Whose names the tensors have.
    pub(super) fn naming(&self) -> Naming {
        self.checkpoint.naming
    }

    /// Where new tensors belong.
    pub(super) fn opened(&self) -> &Opened {
        &self.checkpoint.opened
    }

    /// The tensor in the shape that Hugging Face gives it.
    fn read(&self, name: &str) -> Result<(Tensor, Place, &'a Path), EncoderError> {
        let place = self.checkpoint.naming.place(&self.name(name));
        let (mut tensor, path) = self.checkpoint.read(&place)?;
        if let Some(third) = place.third {
            let rows = tensor.dims().first().copied().unwrap_or(0);
            if rows == 0 || rows % 3 != 0 {
                return Err(EncoderError::TensorShape {
                    name: place.name,
                    path: path.into(),
                    got: tensor.dims().into(),
                    expected: vec![rows.next_multiple_of(3).max(3)],
                });
            }
            tensor = tensor.narrow(0, third * rows / 3, rows / 3)?;
        }
        if place.is_transposed && tensor.rank() == 2 {
            tensor = tensor.t()?;
        }
        Ok((tensor, place, path))
    }

    fn name(&self, name: &str) -> String {
        match (self.prefix.as_str(), name) {
            ("", name) => name.into(),
            (prefix, "") => prefix.into(),
            (prefix, name) => format!("{prefix}.{name}"),
        }
    }
}

fn damaged(path: &Path, name: Option<&str>, cause: Cause) -> EncoderError {
    EncoderError::Checkpoint {
        path: path.into(),
        name: name.map(Into::into),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn open(path: &Path) -> Result<Checkpoint, String> {
        Checkpoint::open(&[path.into()], &Opened::processor(DType::F32))
            .map_err(|error| error.to_string())
    }

    fn saved(folder: &Path, tensors: &[(&str, Tensor)]) -> PathBuf {
        let path = folder.join("model.safetensors");
        let tensors: HashMap<_, _> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, &path).unwrap();
        path
    }

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn half_precision_becomes_single() {
        let folder = tempfile::tempdir().unwrap();
        for dtype in [DType::F16, DType::BF16, DType::F64] {
            let half = tensor(&[1.5, -2.0]).to_dtype(dtype).unwrap();
            let checkpoint = open(&saved(folder.path(), &[("tower.weight", half)])).unwrap();
            let tower = checkpoint.weights().at("tower");
            let weight = tower.tensor("weight", &[2]).unwrap();
            assert_eq!(weight.to_vec1::<f32>().unwrap(), [1.5, -2.0]);
        }
    }

    #[test]
    fn names_the_tensor_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(
            folder.path(),
            &[
                ("tower.weight", tensor(&[1.0, 2.0])),
                ("tower.nan", tensor(&[1.0, f32::NAN])),
                ("tower.int", Tensor::new(&[1_i64, 2], &Device::Cpu).unwrap()),
            ],
        );
        let checkpoint = open(&path).unwrap();
        let tower = checkpoint.weights().at("tower");
        for (name, shape, expected) in [
            ("bias", 2, "has no tensor tower.bias;"),
            (
                "weight",
                3,
                "tensor tower.weight has the shape [2], but [3] is needed",
            ),
            ("nan", 2, "tensor tower.nan holds NaN at 1"),
            (
                "int",
                2,
                "tensor tower.int holds i64, not floating-point numbers",
            ),
        ] {
            let message = tower.tensor(name, &[shape]).unwrap_err().to_string();
            assert!(
                message.starts_with(&path.display().to_string()),
                "{message}"
            );
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn the_prefix_of_parallel_training_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path(), &[("module.logit_scale", tensor(&[1.0]))]);
        assert!(open(&path).unwrap().weights().has("logit_scale"));
    }

    fn pickled(name: &str) -> PathBuf {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        fixtures.join("pickles").join(name)
    }

    #[test]
    fn reads_what_pytorch_writes() {
        for name in ["whole.bin", "inside.pt"] {
            let checkpoint = open(&pickled(name)).unwrap();
            let weights = checkpoint.weights();
            let matrix = weights.tensor("matrix", &[2, 3]).unwrap();
            assert_eq!(
                matrix.to_vec2::<f32>().unwrap(),
                [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
            );
            let half = weights.tensor("half", &[3]).unwrap();
            assert_eq!(half.to_vec1::<f32>().unwrap(), [3.0, 4.0, 5.0]);
            let turned = weights.tensor("turned", &[3, 2]).unwrap();
            assert_eq!(
                turned.to_vec2::<f32>().unwrap(),
                [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
            );
        }
    }

    #[test]
    fn refuses_code_without_running_it() {
        for name in ["code.bin", "code_beside.pt"] {
            let message = open(&pickled(name)).err().unwrap();
            let expected = "is refused, and nothing in it was run: it calls posix.system";
            assert!(message.contains(expected), "{message}");
        }
        assert!(!Path::new("pickle-was-run").exists());
    }

    #[test]
    fn the_format_before_zip_archives_is_named_as_unreadable() {
        let message = open(&pickled("old.bin")).err().unwrap();
        assert!(
            message.contains("old.bin is not a readable weight file"),
            "{message}"
        );
        assert!(message.contains("save it anew as safetensors"), "{message}");
    }

    #[test]
    fn rejects_damaged_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model.safetensors", "pytorch_model.bin", "model.pt"] {
            let path = folder.path().join(name);
            let missing = open(&path).err().unwrap();
            assert!(missing.contains("could not be read"), "{missing}");
            std::fs::write(&path, b"not weights").unwrap();
            let damaged = open(&path).err().unwrap();
            assert!(
                damaged.contains("is not a readable weight file"),
                "{damaged}"
            );
        }
        let path = saved(folder.path(), &[("weight", tensor(&[1.0; 64]))]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let truncated = open(&path).err().unwrap();
        assert!(
            truncated.contains("is not a readable weight file"),
            "{truncated}"
        );
    }
}
