//! Which encoders and which items are the same: by what they do and what they hold, not by their names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::cache::{Lookup, Remembered};
use super::{BatchOptions, Encoder, EncoderError, Picture, Tower};

/// SHA-256 of all that an embedding depends on.
pub(super) type Key = [u8; 32];

/// Width and height of the picture that tells encoders apart: its margins are odd wherever it is cropped.
const PROBE_SIZE: (usize, usize) = (37, 50);

/// The text that tells encoders apart.
const PROBE_TEXT: &str = "One text that every model can read: naïve, 42 %";

/// SHA-256 of a tower's embedding of one fixed item. Every layer takes part in it, so it tells apart models of one name
/// whose weights differ, and so it does devices that round differently.
///
/// # Errors
/// [`EncoderError::NoTower`], [`EncoderError::Inference`], [`EncoderError::Tokenize`].
///
/// # Example
/// ```
/// use vmfmix::encoder::{ClipEncoder, Device, Tower, fingerprint};
///
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let again = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// assert_eq!(fingerprint(&encoder, Tower::Text)?, fingerprint(&again, Tower::Text)?);
/// assert_ne!(fingerprint(&encoder, Tower::Text)?, fingerprint(&encoder, Tower::Image)?);
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
pub fn fingerprint(encoder: &dyn Encoder, tower: Tower) -> Result<[u8; 32], EncoderError> {
    let probe = match tower {
        Tower::Text => encoder.embed_texts(&[PROBE_TEXT])?,
        Tower::Image => {
            let (width, height) = PROBE_SIZE;
            let rgb = (0..3 * width * height).map(|i| (i * 7 % 256) as u8);
            encoder.embed_images(&[Picture::from_rgb(width, height, rgb.collect())?])?
        }
    };
    let mut hash = Sha256::new();
    probe.iter().for_each(|x| hash.update(x.to_le_bytes()));
    Ok(hash.finalize().into())
}

/// What becomes of an item.
pub(super) enum Fate<P> {
    /// It is embedded.
    New(Key, Prepared<P>),
    /// It was embedded by an earlier call.
    Remembered(Remembered),
    /// It gets the vector of an earlier row of this call, which is new.
    SameAs(usize),
    /// It has no embedding.
    Failed(EncoderError),
}

/// An item that the encoder can take.
pub(super) struct Prepared<P> {
    pub item: P,
    /// Items of one size fill a batch without padding.
    pub size: usize,
    pub is_cut: bool,
}

/// The items that a call has come across.
pub(super) struct Seen<'a> {
    /// Hash of all that an embedding depends on besides the item.
    prefix: Sha256,
    /// The row of the new item of each key.
    rows: HashMap<Key, usize>,
    lookup: Option<Lookup<'a>>,
    next_row: usize,
}

impl<'a> Seen<'a> {
    pub(super) fn new(
        encoder: &dyn Encoder,
        tower: Tower,
        options: &'a BatchOptions,
    ) -> Result<Self, EncoderError> {
        let mut prefix = Sha256::new();
        let lookup = match &options.cache {
            None => None,
            Some(cache) => {
                // Another version may tokenise, decode or scale differently.
                prefix.update(Sha256::digest(env!("CARGO_PKG_VERSION")));
                prefix.update(fingerprint(encoder, tower)?);
                prefix.update(tower.to_string());
                if tower == Tower::Image {
                    prefix.update(options.decoding.max_pixels.to_le_bytes());
                    prefix.update([u8::from(options.decoding.apply_orientation)]);
                }
                Some(cache.lookup(encoder.dimension())?)
            }
        };
        Ok(Seen {
            prefix,
            rows: HashMap::new(),
            lookup,
            next_row: 0,
        })
    }

    /// Decides on the next items, in order. Of equal items only one is ever new.
    pub(super) fn sort_out<'t, T: Copy + Sync, P: Send>(
        &mut self,
        items: &[Option<T>],
        content: impl Fn(T) -> Result<Cow<'t, [u8]>, EncoderError> + Sync,
        prepare: impl Fn(T, &[u8]) -> Result<Prepared<P>, EncoderError> + Sync,
    ) -> Result<Vec<Fate<P>>, EncoderError> {
        let look_at = |item: T| -> Result<Fate<P>, EncoderError> {
            let content = match content(item) {
                Ok(content) => content,
                Err(reason) => return Ok(Fate::Failed(reason)),
            };
            let key: Key = self.prefix.clone().chain_update(&content).finalize().into();
            if let Some(&row) = self.rows.get(&key) {
                return Ok(Fate::SameAs(row));
            }
            if let Some(lookup) = &self.lookup
                && let Some(remembered) = lookup.get(&key)?
            {
                return Ok(Fate::Remembered(remembered));
            }
            Ok(match prepare(item, &content) {
                Ok(prepared) => Fate::New(key, prepared),
                Err(reason) => Fate::Failed(reason),
            })
        };
        let fates = items.par_iter().map(|item| match item {
            Some(item) => look_at(*item),
            None => Ok(Fate::Failed(EncoderError::NullItem)),
        });
        let mut fates = fates.collect::<Result<Vec<_>, _>>()?;
        for fate in &mut fates {
            if let Fate::New(key, _) = fate {
                match self.rows.entry(*key) {
                    Entry::Occupied(first) => *fate = Fate::SameAs(*first.get()),
                    Entry::Vacant(first) => drop(first.insert(self.next_row)),
                }
            }
            self.next_row += 1;
        }
        Ok(fates)
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
