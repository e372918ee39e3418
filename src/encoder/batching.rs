//! Long lists of texts or images through an encoder, in batches.
//!
//! Lists in, same length out, same order: an item that is null or cannot be read leaves a row of zeros and a reason.
//!
//! Images are read, decoded, scaled and cropped by the rayon pool, one batch ahead of the calling thread, which alone
//! talks to the encoder. The threads that decode are those that the encoder computes with, so there are never more of
//! them than processors; the queue between the two holds one batch, so memory does not grow with the list.
//!
//! Texts are tokenised a window of batches at a time, and sorted by length within it, so that a batch holds little padding
//! and the tokens of a long list never exist together.
//!
//! A batch that the device has no memory for is halved until it fits.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::sync::mpsc::sync_channel;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{DecodeOptions, Encoder, EncoderError, ImageSource, Picture, Tokens, Tower};
use crate::progress::Progress;

/// Texts or images that the encoder sees at once, unless the caller says otherwise.
pub const DEFAULT_BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(32).expect("32 is not zero");

/// Batches whose texts are tokenised and sorted together.
const WINDOW_BATCHES: usize = 64;

/// How lists are cut into batches and images are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Texts or images that the encoder sees at once; fewer once the device has run out of memory. Default:
    /// [`DEFAULT_BATCH_SIZE`].
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
/// [`EncoderError::Inference`] if the encoder itself fails, [`EncoderError::OutOfMemory`] if the device has no memory even
/// for one image, [`EncoderError::NoTower`] if the encoder embeds other things, [`EncoderError::Cancelled`].
pub fn embed_images(
    encoder: &dyn Encoder,
    sources: &[Option<ImageSource<'_>>],
    options: &BatchOptions,
    progress: &dyn Progress,
) -> Result<Embedded, EncoderError> {
    let read = |source: &Option<ImageSource<'_>>| {
        let picture = source
            .ok_or(EncoderError::NullItem)?
            .read(&options.decoding)?;
        Ok(Prepared {
            size: 1,
            is_cut: false,
            item: encoder.prepare(&picture),
        })
    };
    let call = Call::new(encoder, Tower::Image, sources.len(), options, progress)?;
    let group = call.batch_size;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            for batch in sources.chunks(group) {
                if sender.send(batch.par_iter().map(read).collect()).is_err() {
                    break;
                }
            }
        });
        call.run(receiver.into_iter(), |pictures: &[Picture]| {
            encoder.embed_images(pictures)
        })
    })
}

/// Embeds a list of texts. Items that fail are named in the result; the others are not affected.
///
/// # Errors
/// [`EncoderError::Inference`] if the encoder itself fails, [`EncoderError::OutOfMemory`] if the device has no memory even
/// for one text, [`EncoderError::NoTower`] if the encoder embeds other things, [`EncoderError::Cancelled`].
pub fn embed_texts(
    encoder: &dyn Encoder,
    texts: &[Option<&str>],
    options: &BatchOptions,
    progress: &dyn Progress,
) -> Result<Embedded, EncoderError> {
    let read = |text: &Option<&str>| {
        let tokens = encoder.tokenize(text.ok_or(EncoderError::NullItem)?)?;
        Ok(Prepared {
            size: tokens.ids.len(),
            is_cut: tokens.is_cut,
            item: tokens,
        })
    };
    let call = Call::new(encoder, Tower::Text, texts.len(), options, progress)?;
    let windows = texts.chunks(call.batch_size.saturating_mul(WINDOW_BATCHES));
    call.run(
        windows.map(|window| window.par_iter().map(read).collect()),
        |tokens: &[Tokens]| encoder.embed_tokens(&tokens.iter().collect::<Vec<_>>()),
    )
}

/// An item that the encoder can take.
struct Prepared<P> {
    item: P,
    /// Items of one size fill a batch without padding.
    size: usize,
    is_cut: bool,
}

/// One list on its way through an encoder.
struct Call<'a> {
    result: Embedded,
    /// Halved when the device runs out of memory.
    batch_size: usize,
    /// Rows that are embedded or have a reason why not.
    done: usize,
    /// Those that the listener knows of.
    told: usize,
    stage: &'static str,
    progress: &'a dyn Progress,
}

impl<'a> Call<'a> {
    fn new(
        encoder: &dyn Encoder,
        tower: Tower,
        rows: usize,
        options: &BatchOptions,
        progress: &'a dyn Progress,
    ) -> Result<Self, EncoderError> {
        if !encoder.towers().contains(&tower) {
            return Err(encoder.no_tower(tower));
        }
        Ok(Call {
            result: Embedded {
                embeddings: Array2::zeros((rows, encoder.dimension())),
                failures: Vec::new(),
                cut: Vec::new(),
            },
            batch_size: options.batch_size.get(),
            done: 0,
            told: 0,
            stage: match tower {
                Tower::Text => "texts",
                Tower::Image => "images",
            },
            progress,
        })
    }

    /// Embeds all items, which come in groups, in full batches of items of about one size.
    fn run<P>(
        mut self,
        groups: impl Iterator<Item = Vec<Result<Prepared<P>, EncoderError>>>,
        embed: impl Fn(&[P]) -> Result<Array2<f32>, EncoderError>,
    ) -> Result<Embedded, EncoderError> {
        let mut row = 0;
        let mut waiting = Vec::new();
        for group in groups {
            for outcome in group {
                match outcome {
                    Ok(prepared) => {
                        if prepared.is_cut {
                            self.result.cut.push(row);
                        }
                        waiting.push((row, prepared));
                    }
                    Err(reason) => {
                        self.result.failures.push(Failure { row, reason });
                        self.done += 1;
                    }
                }
                row += 1;
            }
            waiting.sort_by_key(|(_, prepared)| Reverse(prepared.size));
            let full = waiting.len() - waiting.len() % self.batch_size;
            self.embed(waiting.drain(..full), &embed)?;
            self.tell();
        }
        self.embed(waiting.into_iter(), &embed)?;
        Ok(self.result)
    }

    fn embed<P>(
        &mut self,
        prepared: impl Iterator<Item = (usize, Prepared<P>)>,
        embed: impl Fn(&[P]) -> Result<Array2<f32>, EncoderError>,
    ) -> Result<(), EncoderError> {
        let (rows, items): (Vec<usize>, Vec<P>) =
            prepared.map(|(row, prepared)| (row, prepared.item)).unzip();
        let mut start = 0;
        while start < items.len() {
            if self.progress.is_cancelled() {
                return Err(EncoderError::Cancelled);
            }
            let end = items.len().min(start + self.batch_size);
            match embed(&items[start..end]) {
                Ok(embeddings) => {
                    self.put(&rows[start..end], embeddings.view());
                    start = end;
                }
                Err(error) if error.is_out_of_memory() => {
                    if end - start == 1 {
                        return Err(EncoderError::OutOfMemory {
                            cause: Box::new(error),
                        });
                    }
                    self.batch_size = (end - start) / 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn put(&mut self, rows: &[usize], embeddings: ArrayView2<'_, f32>) {
        for (&row, embedding) in rows.iter().zip(embeddings.axis_iter(Axis(0))) {
            self.result.embeddings.row_mut(row).assign(&embedding);
        }
        self.done += rows.len();
        self.tell();
    }

    fn tell(&mut self) {
        if self.told < self.done {
            self.told = self.done;
            let total = self.result.embeddings.nrows();
            self.progress.update(self.stage, self.done, total);
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
    struct Toy {
        batches: Mutex<Vec<usize>>,
        /// Items that fit into its memory, where that has an end.
        memory: Option<usize>,
    }

    impl Toy {
        fn batches(&self) -> Vec<usize> {
            self.batches.lock().unwrap().clone()
        }

        /// What candle says, word for word.
        fn compute(&self, items: usize) -> Result<(), EncoderError> {
            if self.memory.is_some_and(|memory| items > memory) {
                let driver = r#"DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")"#;
                return Err(candle_core::Error::Cuda(driver.into()).into());
            }
            self.batches.lock().unwrap().push(items);
            Ok(())
        }
    }

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
            self.compute(tokens.len())?;
            Ok(Array2::from_shape_fn((tokens.len(), 2), |(i, _)| {
                tokens[i].ids.len() as f32
            }))
        }
        fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
            self.compute(pictures.len())?;
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
        assert_eq!(toy.batches(), [3, 1]);
    }

    /// A picture of one grey.
    fn png(grey: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(2, 2, image::Rgb([grey; 3]))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn images_come_back_in_their_order_and_bad_ones_are_named() {
        let pictures: Vec<Vec<u8>> = (0..10).map(png).collect();
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
        assert_eq!(toy.batches(), [4, 4]);
    }

    #[test]
    fn empty_lists_give_empty_embeddings() {
        let toy = Toy::default();
        let texts = embed_texts(&toy, &[], &options(4), &Silent).unwrap();
        let images = embed_images(&toy, &[], &options(4), &Silent).unwrap();
        assert_eq!(texts.embeddings.dim(), (0, 2));
        assert_eq!(images.embeddings.dim(), (0, 2));
    }

    #[test]
    fn a_batch_that_does_not_fit_is_halved_and_nothing_is_lost() {
        let pictures: Vec<Vec<u8>> = (0..10).map(png).collect();
        let sources: Vec<_> = pictures
            .iter()
            .map(|p| Some(ImageSource::Bytes(p)))
            .collect();
        let small = || Toy {
            memory: Some(2),
            ..Toy::default()
        };
        let toy = small();
        let embedded = embed_images(&toy, &sources, &options(8), &Silent).unwrap();
        let greys: Vec<f32> = (0..10).map(|grey| grey as f32).collect();
        assert_eq!(firsts(&embedded), greys);
        assert_eq!(toy.batches(), [2; 5], "the smaller size is kept");

        let toy = small();
        let texts = ["a", "bb", "ccc", "dddd", "ee", "f", "ggg"].map(Some);
        let embedded = embed_texts(&toy, &texts, &options(7), &Silent).unwrap();
        assert_eq!(firsts(&embedded), [1.0, 2.0, 3.0, 4.0, 2.0, 1.0, 3.0]);
        assert_eq!(toy.batches(), [1; 7], "seven, three, one");
    }

    #[test]
    fn one_item_that_does_not_fit_is_an_error_with_a_remedy() {
        let toy = Toy {
            memory: Some(0),
            ..Toy::default()
        };
        let error = embed_texts(&toy, &[Some("a")], &options(4), &Silent).unwrap_err();
        assert!(matches!(error, EncoderError::OutOfMemory { .. }));
        assert!(
            error.to_string().contains("or use the device cpu"),
            "{error}"
        );
    }

    #[test]
    fn long_lists_of_texts_go_through_in_windows() {
        let toy = Toy::default();
        let texts: Vec<String> = (0..1000).map(|i| "x".repeat(1 + i % 4)).collect();
        let items: Vec<_> = texts.iter().map(|text| Some(text.as_str())).collect();
        let embedded = embed_texts(&toy, &items, &options(3), &Silent).unwrap();
        let lengths: Vec<f32> = texts.iter().map(|text| text.len() as f32).collect();
        assert_eq!(firsts(&embedded), lengths);
        assert!(toy.batches()[..333].iter().all(|&size| size == 3));
    }

    /// Cancels after so many batches.
    struct Impatient(Mutex<usize>);

    impl Progress for Impatient {
        fn update(&self, _stage: &str, _done: usize, _total: usize) {
            *self.0.lock().unwrap() -= 1;
        }
        fn is_cancelled(&self) -> bool {
            *self.0.lock().unwrap() == 0
        }
    }

    #[test]
    fn a_cancelled_call_stops_after_the_batch() {
        let picture = png(7);
        let sources = [Some(ImageSource::Bytes(&picture)); 40];
        let toy = Toy::default();
        let error = embed_images(&toy, &sources, &options(4), &Impatient(2.into())).unwrap_err();
        assert!(matches!(error, EncoderError::Cancelled));
        let error = embed_texts(&toy, &[Some("a"); 9], &options(4), &Impatient(1.into()));
        assert!(matches!(error.unwrap_err(), EncoderError::Cancelled));
        assert_eq!(toy.batches(), [4; 3]);
    }
}
