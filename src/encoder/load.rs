//! A model's name to an encoder of the right kind.

use std::path::Path;

use super::config::{CLIP, model_type};
use super::files::{CONFIG, Folder, Source};
use super::hub::HubRepository;
use super::sentence::{MODULES, SentenceEncoder, is_family};
use super::siglip::{SIGLIP, SiglipEncoder};
use super::{ClipEncoder, Encoder, EncoderError, Placement};

/// Loads a model by its name in the registry (`ViT-B/32`), its Hugging Face id (`owner/name`) or its folder.
///
/// A model whose `config.json` is SigLIP's becomes a [`SiglipEncoder`]; one with a `modules.json`, or whose `config.json`
/// is of the BERT family, a [`SentenceEncoder`], which embeds texts only; all others are CLIP's, as
/// [`ClipEncoder::load`] finds them.
///
/// # Errors
/// Any [`EncoderError`] about names, files, the network or the device.
///
/// # Example
/// ```no_run
/// use vmfmix::encoder::{self, Device};
///
/// let encoder = encoder::load("sentence-transformers/all-MiniLM-L6-v2", Device::Auto)?;
/// assert_eq!(encoder.embed_texts(&["a red circle"])?.dim(), (1, 384));
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
pub fn load(
    model: &str,
    placement: impl Into<Placement>,
) -> Result<Box<dyn Encoder>, EncoderError> {
    let placement = placement.into();
    let folder = Path::new(model);
    if folder.is_dir() {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let name = name.to_string_lossy();
        return match of_another_kind(&Folder(folder), &name, placement)? {
            Some(encoder) => Ok(encoder),
            None => Ok(Box::new(ClipEncoder::from_folder(folder, placement)?)),
        };
    }
    let (hub, name) = HubRepository::of_model(model)?;
    match of_another_kind(&hub, name, placement)? {
        Some(encoder) => Ok(encoder),
        None => Ok(Box::new(ClipEncoder::from_hub(&hub, name, placement)?)),
    }
}

/// The encoder, if it is of any kind but CLIP's.
///
/// The configuration is looked at first, so that a CLIP model that is in the cache is never asked about on the network.
fn of_another_kind(
    files: &dyn Source,
    name: &str,
    placement: Placement,
) -> Result<Option<Box<dyn Encoder>>, EncoderError> {
    let kind = match files.find(CONFIG)? {
        Some(path) => model_type(&path)?,
        None => None,
    };
    let is_sentence_model = match kind.as_deref() {
        Some(CLIP) => false,
        Some(SIGLIP) => {
            let encoder = SiglipEncoder::from_source(files, name, placement)?;
            return Ok(Some(Box::new(encoder)));
        }
        Some(kind) if is_family(kind) => true,
        _ => files.find(MODULES)?.is_some(),
    };
    if !is_sentence_model {
        return Ok(None);
    }
    let encoder = SentenceEncoder::from_source(files, name, placement)?;
    Ok(Some(Box::new(encoder)))
}
