//! A model's name to an encoder of the right kind.

use std::path::Path;

use super::clip::is_hub_id;
use super::config::{CLIP, model_type};
use super::files::{CONFIG, Folder, Source};
use super::hub::HubRepository;
use super::sentence::{MODULES, SentenceEncoder, is_family};
use super::siglip::{SIGLIP, SiglipEncoder};
use super::{ClipEncoder, Device, Encoder, EncoderError, models};

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
pub fn load(model: &str, device: Device) -> Result<Box<dyn Encoder>, EncoderError> {
    let folder = Path::new(model);
    let encoder = if folder.is_dir() {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        from_source(&Folder(folder), &name.to_string_lossy(), device)?
    } else if is_hub_id(model) && !is_registered(model) {
        from_source(&HubRepository::from_env(model, None)?, model, device)?
    } else {
        None
    };
    match encoder {
        Some(encoder) => Ok(encoder),
        None => Ok(Box::new(ClipEncoder::load(model, device)?)),
    }
}

fn is_registered(model: &str) -> bool {
    models::MODELS
        .iter()
        .any(|known| known.name == model || known.repository == model)
}

/// An encoder of any kind but CLIP, if `files` are those of one.
///
/// The configuration is looked at first, so that a CLIP model that is in the cache is never asked about on the network.
fn from_source(
    files: &dyn Source,
    name: &str,
    device: Device,
) -> Result<Option<Box<dyn Encoder>>, EncoderError> {
    let kind = match files.find(CONFIG)? {
        Some(path) => model_type(&path)?,
        None => None,
    };
    let is_sentence_model = match kind.as_deref() {
        Some(CLIP) => false,
        Some(SIGLIP) => {
            let encoder = SiglipEncoder::from_source(files, name, device)?;
            return Ok(Some(Box::new(encoder)));
        }
        Some(kind) if is_family(kind) => true,
        _ => files.find(MODULES)?.is_some(),
    };
    if !is_sentence_model {
        return Ok(None);
    }
    let encoder = SentenceEncoder::from_source(files, name, device)?;
    Ok(Some(Box::new(encoder)))
}
