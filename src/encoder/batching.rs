//! Long lists of texts or images through an encoder, in batches.
//!
//! Lists in, same length out, same order: an item that is null or cannot be read leaves a row of zeros and a reason.
//!
//! Images are read, decoded, scaled and cropped by the rayon pool, one batch ahead of the calling thread, which alone
//! talks to the encoder. The threads that decode are those that the encoder computes with, so there are never more of
//! them than processors; the queue between the two holds one batch, so memory does not grow with the list.
//!
//! Texts are tokenised first and sorted by length, so that a batch holds little padding.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::sync::mpsc::sync_channel;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{DecodeOptions, Encoder, EncoderError, ImageSource, Picture, Tower};
use crate::progress::Progress;

/// Texts or images that the encoder sees at once, unless the caller says otherwise.
pub const DEFAULT_BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(32).expect("32 is not zero");

/// How lists are cut into batches and images are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Texts or images that the encoder sees at once. Default: [`DEFAULT_BATCH_SIZE`].
    pub batch_size: NonZeroUsize,
    /// How images are decoded.
    pub decoding: DecodeOptions,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions {
            batch_size: DEFAULT_BATCH_SIZE,
            decoding: DecodeOptions::default(),
        }
    }
}

/// The embeddings of a list.
#[derive(Debug)]
pub struct Embedded {
    /// Unit rows, `(n_items, dimension)`, in the order of the list; zeros where there is a failure.
    pub embeddings: Array2<f32>,
    /// The items that have no embedding, by ascending row.
    pub failures: Vec<Failure>,
    /// Rows of the texts that were longer than the encoder's context and lost their tail, ascending.
    pub cut: Vec<usize>,
}

/// An item without an embedding.
#[derive(Debug)]
pub struct Failure {
    /// Its place in the list, from 0.
    pub row: usize,
    /// Why.
    pub reason: EncoderError,
}

/// Embeds a list of images. Items that fail are named in the result; the others are not affected.
///
/// Must not be called from a task of rayon's global pool, whose threads it waits for.
///
/// # Errors
/// [`EncoderError::Inference`] if the encoder itself fails, [`EncoderError::NoTower`] if it embeds other things.
pub fn embed_images(
    encoder: &dyn Encoder,
    sources: &[Option<ImageSource<'_>>],
    options: &BatchOptions,
    progress: &dyn Progress,
) -> Result<Embedded, EncoderError> {
    if !encoder.towers().contains(&Tower::Image) {
        return Err(encoder.no_tower(Tower::Image));
    }
    let mut result = Embedded::new(sources.len(), encoder.dimension());
    let batch_size = options.batch_size.get();
    let read = |source: &Option<ImageSource<'_>>| {
        let picture = source
            .ok_or(EncoderError::NullItem)?
            .read(&options.decoding)?;
        Ok(encoder.prepare(&picture))
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<Result<Picture, EncoderError>>>(1);
        scope.spawn(move || {
            for batch in sources.chunks(batch_size) {
                if sender.send(batch.par_iter().map(read).collect()).is_err() {
                    break;
                }
            }
        });
        let mut row = 0;
        for batch in receiver {
            let mut rows = Vec::with_capacity(batch.len());
            let mut pictures = Vec::with_capacity(batch.len());
            for picture in batch {
                match picture {
                    Ok(picture) => {
                        rows.push(row);
                        pictures.push(picture);
                    }
                    Err(reason) => result.failures.push(Failure { row, reason }),
                }
                row += 1;
            }
            result.put(&rows, encoder.embed_images(&pictures)?.view());
            progress.update("images", row, sources.len());
        }
        Ok(result)
    })
}

/// Embeds a list of texts. Items that fail are named in the result; the others are not affected.
///
/// # Errors
/// [`EncoderError::Inference`] if the encoder itself fails, [`EncoderError::NoTower`] if it embeds other things.
pub fn embed_texts(
    encoder: &dyn Encoder,
    texts: &[Option<&str>],
    options: &BatchOptions,
    progress: &dyn Progress,
) -> Result<Embedded, EncoderError> {
    if !encoder.towers().contains(&Tower::Text) {
        return Err(encoder.no_tower(Tower::Text));
    }
    let mut result = Embedded::new(texts.len(), encoder.dimension());
    let tokenised: Vec<_> = texts
        .par_iter()
        .map(|text| encoder.tokenize(text.ok_or(EncoderError::NullItem)?))
        .collect();
    let mut tokens = Vec::with_capacity(texts.len());
    for (row, outcome) in tokenised.into_iter().enumerate() {
        match outcome {
            Ok(text) => {
                if text.is_cut {
                    result.cut.push(row);
                }
                tokens.push((row, text));
            }
            Err(reason) => result.failures.push(Failure { row, reason }),
        }
    }
    tokens.sort_by_key(|(_, text)| Reverse(text.ids.len()));
    let mut done = result.failures.len();
    for batch in tokens.chunks(options.batch_size.get()) {
        let rows: Vec<usize> = batch.iter().map(|(row, _)| *row).collect();
        let batch: Vec<_> = batch.iter().map(|(_, text)| text).collect();
        result.put(&rows, encoder.embed_tokens(&batch)?.view());
        done += rows.len();
        progress.update("texts", done, texts.len());
    }
    Ok(result)
}

impl Embedded {
    fn new(rows: usize, dimension: usize) -> Self {
        Embedded {
            embeddings: Array2::zeros((rows, dimension)),
            failures: Vec::new(),
            cut: Vec::new(),
        }
    }

    fn put(&mut self, rows: &[usize], embeddings: ArrayView2<'_, f32>) {
        for (&row, embedding) in rows.iter().zip(embeddings.axis_iter(Axis(0))) {
            self.embeddings.row_mut(row).assign(&embedding);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::encoder::{Device, Tokens};
    use crate::progress::Silent;

    /// Embeds a text by its length and a picture by its first byte, and remembers the sizes of its batches.
    #[derive(Default)]
    struct Toy(Mutex<Vec<usize>>);

    impl Encoder for Toy {
        fn name(&self) -> &str {
            "toy"
        }
        fn dimension(&self) -> usize {
            2
        }
        fn towers(&self) -> &[Tower] {
            &[Tower::Text, Tower::Image]
        }
        fn device(&self) -> Device {
            Device::Cpu
        }
        fn tokenize(&self, text: &str) -> Result<Tokens, EncoderError> {
            Ok(Tokens {
                ids: vec![0; text.len().min(4)],
                end: 0,
                types: Vec::new(),
                is_cut: text.len() > 4,
            })
        }
        fn embed_tokens(&self, tokens: &[&Tokens]) -> Result<Array2<f32>, EncoderError> {
            self.0.lock().unwrap().push(tokens.len());
            Ok(Array2::from_shape_fn((tokens.len(), 2), |(i, _)| {
                tokens[i].ids.len() as f32
            }))
        }
        fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
            self.0.lock().unwrap().push(pictures.len());
            Ok(Array2::from_shape_fn((pictures.len(), 2), |(i, _)| {
                f32::from(pictures[i].rgb()[0])
            }))
        }
    }

    fn options(batch_size: usize) -> BatchOptions {
        BatchOptions {
            batch_size: NonZeroUsize::new(batch_size).unwrap(),
            ..BatchOptions::default()
        }
    }

    fn firsts(embedded: &Embedded) -> Vec<f32> {
        embedded.embeddings.column(0).to_vec()
    }

    #[test]
    fn texts_come_back_in_their_order() {
        let toy = Toy::default();
        let texts = [
            Some("a"),
            Some("bbb"),
            None,
            Some("cc"),
            Some("far too long"),
        ];
        let embedded = embed_texts(&toy, &texts, &options(3), &Silent).unwrap();
        assert_eq!(firsts(&embedded), [1.0, 3.0, 0.0, 2.0, 4.0]);
        assert_eq!(embedded.cut, [4]);
        assert_eq!(embedded.failures.len(), 1);
        assert_eq!(embedded.failures[0].row, 2);
        assert!(matches!(
            embedded.failures[0].reason,
            EncoderError::NullItem
        ));
        assert_eq!(*toy.0.lock().unwrap(), [3, 1]);
    }

    #[test]
    fn images_come_back_in_their_order_and_bad_ones_are_named() {
        let pictures: Vec<Vec<u8>> = (0..10_u8)
            .map(|i| {
                let mut bytes = std::io::Cursor::new(Vec::new());
                image::RgbImage::from_pixel(2, 2, image::Rgb([i; 3]))
                    .write_to(&mut bytes, image::ImageFormat::Png)
                    .unwrap();
                bytes.into_inner()
            })
            .collect();
        let mut sources: Vec<_> = pictures
            .iter()
            .map(|p| Some(ImageSource::Bytes(p)))
            .collect();
        sources[3] = None;
        sources[8] = Some(ImageSource::Bytes(b"no image"));
        let toy = Toy::default();
        let embedded = embed_images(&toy, &sources, &options(4), &Silent).unwrap();
        assert_eq!(
            firsts(&embedded),
            [0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 7.0, 0.0, 9.0]
        );
        let failed: Vec<usize> = embedded
            .failures
            .iter()
            .map(|failure| failure.row)
            .collect();
        assert_eq!(failed, [3, 8]);
        assert_eq!(*toy.0.lock().unwrap(), [3, 4, 1]);
    }

    #[test]
    fn empty_lists_give_empty_embeddings() {
        let toy = Toy::default();
        let texts = embed_texts(&toy, &[], &options(4), &Silent).unwrap();
        let images = embed_images(&toy, &[], &options(4), &Silent).unwrap();
        assert_eq!(texts.embeddings.dim(), (0, 2));
        assert_eq!(images.embeddings.dim(), (0, 2));
    }
}
