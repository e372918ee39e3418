//! What `torch.save` writes: a zip archive of a program and of the numbers of the tensors that it puts together.
//!
//! A pickle is a program that may call any function of Python. Nothing is called here: [`program`] turns it into data, and
//! refuses one that so much as names anything but the few functions that put tensors together, since whoever opens the
//! file with PyTorch would run it.

mod program;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use super::EncoderError;
use super::errors::Cause;
use program::{Flaw, Id, Program, Value};

/// How the name of the program in the archive ends.
const PROGRAM: &str = "data.pkl";

/// Most bytes of a program that are read: the tensors themselves lie elsewhere.
const MAX_PROGRAM_BYTES: u64 = 16 << 20;

/// Where training programs keep the tensors among other things.
const STATE_DICT: &str = "state_dict";

/// Most axes of a tensor, and the longest name of a storage: a program may refer to one over and over.
const MAX_AXES: usize = 8;
const MAX_KEY: usize = 256;

/// Most functions around the one that makes a tensor.
const MAX_WRAPPERS: usize = 8;

type Archive = ZipArchive<BufReader<File>>;

/// An open file that `torch.save` wrote.
pub(super) struct Pickle {
    archive: Mutex<Archive>,
    tensors: BTreeMap<String, Place>,
}

/// Where the numbers of a tensor are.
struct Place {
    /// The storage's file in the archive.
    entry: String,
    dtype: DType,
    shape: Vec<usize>,
    /// How far neighbours of each axis are apart, in numbers.
    strides: Vec<usize>,
    /// Numbers before the first.
    offset: usize,
}

impl Pickle {
    /// Reads the program, which tells what tensors there are.
    ///
    /// # Errors
    /// [`EncoderError::Checkpoint`] if the file is no such file, [`EncoderError::PickledCode`] if it names a function that
    /// is not about tensors, [`EncoderError::TorchScript`].
    pub(super) fn open(path: &Path) -> Result<Self, EncoderError> {
        let damaged = |cause| EncoderError::Checkpoint {
            path: path.into(),
            name: None,
            cause,
        };
        let mut archive = open_archive(path).map_err(damaged)?;
        let (folder, bytes) = read_program(&mut archive).map_err(damaged)?;
        let program = Program::read(&bytes).map_err(|flaw| match flaw {
            Flaw::Foreign { module, .. } if module.starts_with("__torch__") => {
                EncoderError::TorchScript { path: path.into() }
            }
            Flaw::Foreign { module, name } => EncoderError::PickledCode {
                path: path.into(),
                function: format!("{module}.{name}"),
            },
            Flaw::Damaged(cause) => damaged(cause.into()),
        })?;
        let tensors = tensors(&program, &folder).map_err(|cause| damaged(cause.into()))?;
        Ok(Pickle {
            archive: Mutex::new(archive),
            tensors,
        })
    }

    /// The names of the tensors.
    pub(super) fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// The tensor `name`, in the precision of the file.
    ///
    /// # Errors
    /// There is no such tensor, or the archive does not hold all its numbers.
    pub(super) fn read(&self, name: &str) -> Result<Tensor, Cause> {
        let place = self.tensors.get(name).ok_or("it is not in the file")?;
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let mut storage = archive.by_name(&place.entry)?;
        let size = place.dtype.size_in_bytes();
        let stored = usize::try_from(storage.size())? / size;
        let Some((count, span)) = place.extent().filter(|(_, span)| {
            place
                .offset
                .checked_add(*span)
                .is_some_and(|end| end <= stored)
        }) else {
            return Err(format!("its shape {:?} is beyond its storage", place.shape).into());
        };
        let skipped = (place.offset * size) as u64;
        io::copy(&mut storage.by_ref().take(skipped), &mut io::sink())?;
        let mut bytes = Vec::new();
        // One byte more than is needed, so that the checksum of a storage that is used up is compared.
        storage
            .take((span * size) as u64 + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() < span * size {
            return Err("its storage has come to an end".into());
        }
        bytes.truncate(span * size);
        let bytes = match place.is_row_major() {
            true => bytes,
            false => place.in_row_major_order(&bytes, count, size),
        };
        let tensor = Tensor::from_raw_buffer(&bytes, place.dtype, &place.shape, &Device::Cpu)?;
        Ok(tensor)
    }
}

impl Place {
    /// How many numbers there are, and from the first to one past the last; none if the tensor is larger than its storage
    /// can be, or repeats numbers of it.
    fn extent(&self) -> Option<(usize, usize)> {
        let count = self
            .shape
            .iter()
            .try_fold(1, |n: usize, &m| n.checked_mul(m))?;
        if count == 0 {
            return Some((0, 0));
        }
        let axes = self.shape.iter().zip(&self.strides);
        let last = axes.into_iter().try_fold(0, |last: usize, (&n, stride)| {
            last.checked_add((n - 1).checked_mul(*stride)?)
        })?;
        let span = last.checked_add(1)?;
        (count <= span).then_some((count, span))
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.shape
            .iter()
            .zip(&self.strides)
            .rev()
            .all(|(&n, &stride)| {
                let is_so = n == 1 || stride == expected;
                // May overflow where another axis is empty.
                expected = expected.wrapping_mul(n);
                is_so
            })
    }

    /// The numbers with the last axis fastest.
    fn in_row_major_order(&self, bytes: &[u8], count: usize, size: usize) -> Vec<u8> {
        let mut ordered = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let at: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            ordered.extend_from_slice(&bytes[at * size..][..size]);
            for (i, &n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < n {
                    break;
                }
                *i = 0;
            }
        }
        ordered
    }
}

fn open_archive(path: &Path) -> Result<Archive, Cause> {
    Ok(ZipArchive::new(BufReader::new(File::open(path)?))?)
}

/// The folder in the archive and the program in it.
fn read_program(archive: &mut Archive) -> Result<(String, Vec<u8>), Cause> {
    let names = archive.file_names().flatten();
    let name = names
        .map(|name| name.into_owned())
        .find(|name| name.ends_with(PROGRAM))
        .ok_or("the archive holds no data.pkl")?;
    let mut bytes = Vec::new();
    let entry = archive.by_name(&name)?;
    entry.take(MAX_PROGRAM_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PROGRAM_BYTES {
        return Err("its data.pkl is too long for one that is about tensors alone".into());
    }
    let folder = name.strip_suffix(".pkl").unwrap_or(&name);
    Ok((folder.into(), bytes))
}

/// The tensors in the dictionary that a program makes, or in its `state_dict`.
fn tensors(program: &Program, folder: &str) -> Result<BTreeMap<String, Place>, &'static str> {
    let entries = |id| match program.value(id) {
        Value::Dict(entries) => Some(entries.as_slice()),
        _ => None,
    };
    let mut found = entries(program.result()).ok_or("it holds no dictionary of tensors")?;
    let inner = found
        .iter()
        .find(|(key, _)| text(program, *key) == Some(STATE_DICT));
    if let Some(inner) = inner.and_then(|(_, value)| entries(*value)) {
        found = inner;
    }
    let mut tensors = BTreeMap::new();
    for &(key, value) in found {
        if let (Some(name), Some(place)) = (text(program, key), place(program, value, folder)) {
            tensors.insert(name.to_owned(), place);
        }
    }
    Ok(tensors)
}

/// Where the numbers of the tensor are that a value is, if it is one.
fn place(program: &Program, mut id: Id, folder: &str) -> Option<Place> {
    for _ in 0..MAX_WRAPPERS {
        let Value::Call {
            callable,
            arguments,
        } = program.value(id)
        else {
            return None;
        };
        let (mut callable, mut arguments) = (*callable, items(program, *arguments)?);
        if name(program, callable)? == "_rebuild_from_type_v2" {
            callable = *arguments.first()?;
            arguments = items(program, *arguments.get(2)?)?;
        }
        match (name(program, callable)?, arguments) {
            ("_rebuild_parameter", [data, ..]) => id = *data,
            ("_rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
                let (dtype, key) = stored(program, *storage)?;
                let (shape, strides) = (sizes(program, *shape)?, sizes(program, *strides)?);
                let is_whole = shape.len() == strides.len();
                return is_whole.then_some(Place {
                    entry: format!("{folder}/{key}"),
                    dtype,
                    shape,
                    strides,
                    offset: size(program, *offset)?,
                });
            }
            _ => return None,
        }
    }
    None
}

/// Of which type the numbers of a storage are, and its key: `('storage', torch.FloatStorage, key, device, length)`.
fn stored(program: &Program, id: Id) -> Option<(DType, &str)> {
    let Value::Persistent(storage) = program.value(id) else {
        return None;
    };
    let [_, kind, key, ..] = items(program, *storage)? else {
        return None;
    };
    let dtype = match name(program, *kind)? {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "ByteStorage" | "BoolStorage" => DType::U8,
        "ShortStorage" => DType::I16,
        "IntStorage" => DType::I32,
        "LongStorage" => DType::I64,
        _ => return None,
    };
    let key = text(program, *key).filter(|key| key.len() <= MAX_KEY)?;
    Some((dtype, key))
}

fn items(program: &Program, id: Id) -> Option<&[Id]> {
    match program.value(id) {
        Value::Sequence(items) => Some(items),
        _ => None,
    }
}

fn sizes(program: &Program, id: Id) -> Option<Vec<usize>> {
    let sizes = items(program, id).filter(|sizes| sizes.len() <= MAX_AXES)?;
    sizes.iter().map(|&id| size(program, id)).collect()
}

fn size(program: &Program, id: Id) -> Option<usize> {
    match program.value(id) {
        Value::Integer(integer) => usize::try_from(*integer).ok(),
        _ => None,
    }
}

fn text(program: &Program, id: Id) -> Option<&str> {
    match program.value(id) {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The name of a function or class.
fn name(program: &Program, id: Id) -> Option<&str> {
    match program.value(id) {
        Value::Global(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    /// Opens an archive of this program and of a storage of 24 bytes.
    fn open(program: &[u8]) -> Result<Pickle, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt");
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let numbers: Vec<u8> = (0..6).flat_map(|x| (x as f32).to_le_bytes()).collect();
        for (name, bytes) in [("run/data.pkl", program), ("run/data/7", &numbers)] {
            archive.start_file(name, stored).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
        Pickle::open(&path).map_err(|error| error.to_string())
    }

    /// A dictionary with one tensor `x` of these numbers of bytes each: offset, shape, strides.
    fn tensor(offset: u8, shape: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
        let mut program = b"\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
        program.extend(
            b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x007X\x03\0\0\0cpuK\x06tQ",
        );
        program.extend([b'K', offset]);
        for [first, second] in [shape, strides] {
            program.extend([b'K', first, b'K', second, 0x86]);
        }
        program.extend(b"\x89NtRs.");
        program
    }

    #[test]
    fn numbers_are_read_by_their_strides() {
        for (offset, shape, strides, expected) in [
            (0, [2, 3], [3, 1], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            (0, [3, 2], [1, 3], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
            (1, [2, 2], [3, 1], vec![1.0, 2.0, 4.0, 5.0]),
            (4, [1, 2], [9, 1], vec![4.0, 5.0]),
            (6, [0, 2], [2, 1], vec![]),
        ] {
            let pickle = open(&tensor(offset, shape, strides)).unwrap();
            assert_eq!(pickle.names(), ["x"]);
            let read = pickle.read("x").unwrap().flatten_all().unwrap();
            assert_eq!(read.to_vec1::<f32>().unwrap(), expected);
        }
    }

    #[test]
    fn a_tensor_beyond_its_storage_is_refused() {
        for (offset, shape, strides) in [
            (1, [2, 3], [3, 1]),
            (0, [2, 4], [4, 1]),
            (7, [1, 1], [1, 1]),
            // The same numbers over and over: a small file of a large tensor.
            (0, [200, 200], [0, 0]),
            (0, [255, 255], [255, 255]),
        ] {
            let pickle = open(&tensor(offset, shape, strides)).unwrap();
            let error = pickle.read("x").unwrap_err().to_string();
            assert!(error.contains("beyond its storage"), "{error}");
        }
    }

    /// Copied at each level, it would have 2^1000 items.
    #[test]
    fn what_a_program_repeats_takes_no_room() {
        let mut program = b"]q\0".to_vec();
        for _ in 0..1000 {
            program.extend(b"h\0h\0\x86q\0");
        }
        program.push(b'.');
        let error = open(&program).err().unwrap();
        assert!(
            error.contains("it holds no dictionary of tensors"),
            "{error}"
        );
    }

    /// Freed by recursion, it would exhaust the stack.
    #[test]
    fn what_nests_deeply_is_freed() {
        let mut program = vec![b')'];
        program.extend(std::iter::repeat_n(0x85, 1_000_000));
        program.push(b'.');
        open(&program).err().unwrap();
    }

    #[test]
    fn later_protocols_name_code_in_another_way() {
        let program = b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04echo\x85R.";
        let error = open(program).err().unwrap();
        assert!(error.contains("it calls posix.system"), "{error}");
    }

    #[test]
    fn programs_that_end_too_early_or_take_what_is_not_there_are_damaged() {
        let whole = tensor(0, [2, 3], [3, 1]);
        for length in 0..whole.len() {
            assert!(open(&whole[..length]).is_err());
        }
        for program in [
            &b"R."[..],
            b"t.",
            b"u.",
            b"h\x05.",
            b"\x85.",
            b"}K\x01s.",
            b"\xff.",
        ] {
            let error = open(program).err().unwrap();
            assert!(error.contains("is not a readable weight file"), "{error}");
        }
    }
}
