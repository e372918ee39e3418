//! What a PyTorch file is made of, looked at before a tensor is read.
//!
//! A pickle is a program that may call any function of Python. candle's reader runs nothing: it turns the program into
//! data, here searched for anything but the few functions that put tensors together. A file that calls another one is
//! refused, since whoever opens it with PyTorch would run it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use candle_core::pickle::{Object, Stack};
use zip::ZipArchive;

use super::EncoderError;
use super::errors::Cause;

/// What a checkpoint may name besides the storages of `torch`.
const HARMLESS: [(&str, &str); 6] = [
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.nn.parameter", "Parameter"),
];

/// Most bytes of a pickle that are read: the tensors themselves lie elsewhere.
const MAX_PROGRAM_BYTES: u64 = 64 << 20;

/// Where training programs keep the tensors among other things.
const STATE_DICT: &str = "state_dict";

/// Where the tensors are in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateDict {
    /// The file is a dictionary of tensors.
    Whole,
    /// The tensors are under the key `state_dict`.
    Inside,
}

impl StateDict {
    /// The key for candle's reader.
    pub(super) fn key(self) -> Option<&'static str> {
        match self {
            StateDict::Whole => None,
            StateDict::Inside => Some(STATE_DICT),
        }
    }
}

/// Finds the tensors of a file that `torch.save` wrote.
///
/// # Errors
/// [`EncoderError::Checkpoint`] if the file is no such file, [`EncoderError::PickledCode`] if it calls a function that
/// is not about tensors.
pub(super) fn state_dict(path: &Path) -> Result<StateDict, EncoderError> {
    let object = parse(path).map_err(|cause| EncoderError::Checkpoint {
        path: path.into(),
        name: None,
        cause,
    })?;
    if let Some((module, function)) = foreign(&object) {
        if module.starts_with("__torch__") {
            return Err(EncoderError::TorchScript { path: path.into() });
        }
        return Err(EncoderError::PickledCode {
            path: path.into(),
            function: format!("{module}.{function}"),
        });
    }
    match object {
        Object::Dict(entries) if entries.iter().any(|(key, _)| is_state_dict(key)) => {
            Ok(StateDict::Inside)
        }
        _ => Ok(StateDict::Whole),
    }
}

fn is_state_dict(key: &Object) -> bool {
    matches!(key, Object::Unicode(key) if key == STATE_DICT)
}

fn parse(path: &Path) -> Result<Object, Cause> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let program = (0..archive.len())
        .find(|&at| {
            let name = archive
                .by_index_raw(at)
                .map(|file| file.name().map(|name| name.into_owned()));
            matches!(name, Ok(Ok(name)) if name.ends_with("data.pkl"))
        })
        .ok_or("the archive holds no data.pkl")?;
    let mut stack = Stack::empty();
    let program = archive.by_index(program)?.take(MAX_PROGRAM_BYTES);
    stack.read_loop(&mut BufReader::new(program))?;
    Ok(stack.finalize()?)
}

/// The first class or function in an object that a checkpoint has no use for.
fn foreign(object: &Object) -> Option<(&str, &str)> {
    match object {
        Object::Class {
            module_name,
            class_name,
        } => {
            let name = (module_name.as_str(), class_name.as_str());
            let is_storage = name.0 == "torch" && name.1.ends_with("Storage");
            (!is_storage && !HARMLESS.contains(&name)).then_some(name)
        }
        Object::Tuple(items) | Object::List(items) => items.iter().find_map(foreign),
        Object::Dict(entries) => entries
            .iter()
            .find_map(|(key, value)| foreign(key).or_else(|| foreign(value))),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            foreign(callable).or_else(|| foreign(args))
        }
        Object::PersistentLoad(inner) => foreign(inner),
        Object::Int(_)
        | Object::Long(_)
        | Object::Float(_)
        | Object::Unicode(_)
        | Object::Bool(_)
        | Object::None
        | Object::Mark => None,
    }
}
