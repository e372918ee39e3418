//! A model's name to an encoder of the right kind.

use std::path::Path;

use super::config::{CLIP, model_type};
use super::files::{CONFIG, Folder, Source};
use super::hub::HubRepository;
use super::sentence::{MODULES, SentenceEncoder, is_family};
use super::{ClipEncoder, Device, Encoder, EncoderError};

/// Loads a model by its name in the registry (`ViT-B/32`), its Hugging Face id (`owner/name`) or its folder.
///
/// A model with a `modules.json`, or whose `config.json` is of the BERT family, becomes a [`SentenceEncoder`], which
/// embeds texts only; all others are CLIP's, as [`ClipEncoder::load`] finds them.
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
pub fn load(model: &str, device: Device) -> Result<Box<dyn Encoder>, EncoderError> {
    let folder = Path::new(model);
    if folder.is_dir() {
        return Ok(match is_sentence_model(&Folder(folder))? {
            true => Box::new(SentenceEncoder::from_folder(folder, device)?),
            false => Box::new(ClipEncoder::from_folder(folder, device)?),
        });
    }
    let (hub, name) = HubRepository::of_model(model)?;
    Ok(match is_sentence_model(&hub)? {
        true => Box::new(SentenceEncoder::from_source(&hub, name, device)?),
        false => Box::new(ClipEncoder::from_hub(&hub, name, device)?),
    })
}

/// The configuration is looked at first, so that a CLIP model that is in the cache is never asked about on the network.
fn is_sentence_model(files: &dyn Source) -> Result<bool, EncoderError> {
    let kind = match files.find(CONFIG)? {
        Some(path) => model_type(&path)?,
        None => None,
    };
    match kind.as_deref() {
        Some(CLIP) => Ok(false),
        Some(kind) if is_family(kind) => Ok(true),
        _ => Ok(files.find(MODULES)?.is_some()),
    }
}
