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
//! Equal items are embedded once, and share one vector. A batch that the device has no memory for is halved until it fits.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use ndarray::{Array2, ArrayView1};

use super::identity::{Fate, Key, Prepared, Seen};
use super::{
    DecodeOptions, Device, EmbeddingCache, Encoder, EncoderError, ImageSource, Picture, Tokens,
    Tower,
};
use crate::progress::Progress;

/// Texts or images that an encoder sees at once, unless the caller says otherwise: 32 on the processor, 256 on a GPU.
#[must_use]
pub fn default_batch_size(device: Device) -> NonZeroUsize {
    const SMALL: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");
    const LARGE: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
    match device {
        Device::Cuda(_) => LARGE,
        Device::Auto | Device::Cpu => SMALL,
    }
}

/// Batches whose texts are tokenised and sorted together.
const WINDOW_BATCHES: usize = 64;

/// How lists are cut into batches and images are read.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    /// Texts or images that the encoder sees at once; fewer once the device has run out of memory. Default:
    /// `None`, which is [`default_batch_size`] for the encoder's device.
    pub batch_size: Option<NonZeroUsize>,
    /// How images are decoded.
    pub decoding: DecodeOptions,
    /// Where embeddings of earlier calls are found, and those of this call remembered. Default: nowhere.
    pub cache: Option<Arc<EmbeddingCache>>,
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
/// for one image, [`EncoderError::NoTower`] if the encoder embeds other things, [`EncoderError::Cancelled`],
/// [`EncoderError::Cache`].
pub fn embed_images(
    encoder: &dyn Encoder,
    sources: &[Option<ImageSource<'_>>],
    options: &BatchOptions,
    progress: &dyn Progress,
) -> Result<Embedded, EncoderError> {
    let prepare = |source: ImageSource<'_>, bytes: &[u8]| {
        let picture = source.decode(bytes, &options.decoding)?;
        Ok(Prepared {
            size: 1,
            is_cut: false,
            item: encoder.prepare(&picture),
        })
    };
    let call = Call::new(encoder, Tower::Image, sources.len(), options, progress)?;
    let mut seen = Seen::new(encoder, Tower::Image, options)?;
    let group = call.batch_size;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            for batch in sources.chunks(group) {
                let fates = seen.sort_out(batch, |source| source.bytes(), prepare);
                if sender.send(fates).is_err() {
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
/// for one text, [`EncoderError::NoTower`] if the encoder embeds other things, [`EncoderError::Cancelled`],
/// [`EncoderError::Cache`].
pub fn embed_texts(
    encoder: &dyn Encoder,
    texts: &[Option<&str>],
    options: &BatchOptions,
    progress: &dyn Progress,
) -> Result<Embedded, EncoderError> {
    let prepare = |text: &str, _: &[u8]| {
        let tokens = encoder.tokenize(text)?;
        Ok(Prepared {
            size: tokens.ids.len(),
            is_cut: tokens.is_cut,
            item: tokens,
        })
    };
    let call = Call::new(encoder, Tower::Text, texts.len(), options, progress)?;
    let mut seen = Seen::new(encoder, Tower::Text, options)?;
    let windows = texts.chunks(call.batch_size.saturating_mul(WINDOW_BATCHES));
    call.run(
        windows.map(|window| {
            seen.sort_out(window, |text| Ok(Cow::Borrowed(text.as_bytes())), prepare)
        }),
        |tokens: &[Tokens]| encoder.embed_tokens(&tokens.iter().collect::<Vec<_>>()),
    )
}

/// One list on its way through an encoder.
struct Call<'a> {
    embeddings: Array2<f32>,
    failures: Vec<Failure>,
    is_cut: Vec<bool>,
    /// What is embedded here, by its row.
    new: Vec<(Key, usize)>,
    /// Rows and the new rows whose vectors they get.
    same: Vec<(usize, usize)>,
    cache: Option<&'a EmbeddingCache>,
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
        options: &'a BatchOptions,
        progress: &'a dyn Progress,
    ) -> Result<Self, EncoderError> {
        if !encoder.towers().contains(&tower) {
            return Err(encoder.no_tower(tower));
        }
        let usual = || default_batch_size(encoder.device());
        let batch_size = options.batch_size.unwrap_or_else(usual);
        Ok(Call {
            embeddings: Array2::zeros((rows, encoder.dimension())),
            failures: Vec::new(),
            is_cut: vec![false; rows],
            new: Vec::new(),
            same: Vec::new(),
            cache: options.cache.as_deref(),
            batch_size: batch_size.get(),
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
        groups: impl Iterator<Item = Result<Vec<Fate<P>>, EncoderError>>,
        embed: impl Fn(&[P]) -> Result<Array2<f32>, EncoderError>,
    ) -> Result<Embedded, EncoderError> {
        let mut row = 0;
        let mut waiting = Vec::new();
        for group in groups {
            self.check()?;
            for fate in group? {
                match fate {
                    Fate::New(key, prepared) => {
                        self.is_cut[row] = prepared.is_cut;
                        self.new.push((key, row));
                        waiting.push((row, prepared));
                    }
                    Fate::Remembered(remembered) => {
                        self.is_cut[row] = remembered.is_cut;
                        self.put(row, ArrayView1::from(&remembered.vector));
                    }
                    Fate::SameAs(first) => self.same.push((row, first)),
                    Fate::Failed(reason) => {
                        self.failures.push(Failure { row, reason });
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
        for (row, first) in std::mem::take(&mut self.same) {
            self.is_cut[row] = self.is_cut[first];
            let vector = self.embeddings.row(first).to_owned();
            self.put(row, vector.view());
        }
        self.tell();
        self.remember()?;
        let rows = self.is_cut.iter().enumerate();
        Ok(Embedded {
            cut: rows
                .filter_map(|(row, is_cut)| is_cut.then_some(row))
                .collect(),
            embeddings: self.embeddings,
            failures: self.failures,
        })
    }

    /// Puts what is new into the cache.
    ///
    /// All of it, at the end: a call that is killed before leaves the cache as it was, so its repetition makes the same
    /// batches and the same bits; one that is killed after, before its caller has written a thing, finds in the cache the
    /// very vectors that it would have returned, one for all equal items.
    fn remember(&self) -> Result<(), EncoderError> {
        match self.cache {
            Some(cache) if !self.new.is_empty() => cache.put(
                self.new
                    .iter()
                    .map(|&(key, row)| (key, self.embeddings.row(row), self.is_cut[row])),
            ),
            _ => Ok(()),
        }
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
            self.check()?;
            let end = items.len().min(start + self.batch_size);
            match embed(&items[start..end]) {
                Ok(embeddings) => {
                    for (&row, vector) in rows[start..end].iter().zip(embeddings.rows()) {
                        self.put(row, vector);
                    }
                    self.tell();
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

    /// Whether to go on.
    fn check(&self) -> Result<(), EncoderError> {
        match self.progress.is_cancelled() {
            true => Err(EncoderError::Cancelled),
            false => Ok(()),
        }
    }

    fn put(&mut self, row: usize, vector: ArrayView1<'_, f32>) {
        self.embeddings.row_mut(row).assign(&vector);
        self.done += 1;
    }

    fn tell(&mut self) {
        if self.told < self.done {
            self.told = self.done;
            let total = self.embeddings.nrows();
            self.progress.update(self.stage, self.done, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::encoder::Tokens;
    use crate::progress::Silent;

    /// Embeds a text by its length and a picture by its first byte, and remembers the sizes of its batches.
    struct Toy {
        batches: Mutex<Vec<usize>>,
        /// Items that fit into its memory, where that has an end.
        memory: Option<usize>,
        /// Its weights.
        scale: f32,
    }

    impl Default for Toy {
        fn default() -> Self {
            Toy {
                batches: Mutex::default(),
                memory: None,
                scale: 1.0,
            }
        }
    }

    impl Toy {
        fn batches(&self) -> Vec<usize> {
            self.batches.lock().unwrap().clone()
        }

        /// A number and the weights, for each item.
        fn vectors(&self, items: impl Iterator<Item = f32>) -> Array2<f32> {
            let rows: Vec<_> = items.map(|x| [self.scale * x, self.scale]).collect();
            rows.into()
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
            Ok(self.vectors(tokens.iter().map(|tokens| tokens.ids.len() as f32)))
        }
        fn embed_images(&self, pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
            self.compute(pictures.len())?;
            Ok(self.vectors(pictures.iter().map(|picture| picture.rgb()[0].into())))
        }
    }

    fn options(batch_size: usize) -> BatchOptions {
        BatchOptions {
            batch_size: NonZeroUsize::new(batch_size),
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
        let texts: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
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
        let pictures: Vec<Vec<u8>> = (0..40).map(png).collect();
        let sources: Vec<_> = pictures
            .iter()
            .map(|p| Some(ImageSource::Bytes(p)))
            .collect();
        let toy = Toy::default();
        let error = embed_images(&toy, &sources, &options(4), &Impatient(2.into())).unwrap_err();
        assert!(matches!(error, EncoderError::Cancelled));
        let texts = ["a", "b", "c", "d", "e", "f"].map(Some);
        let error = embed_texts(&toy, &texts, &options(4), &Impatient(1.into()));
        assert!(matches!(error.unwrap_err(), EncoderError::Cancelled));
        assert_eq!(toy.batches(), [4; 3]);
    }

    /// A folder and options with a cache in it.
    fn cached() -> (tempfile::TempDir, BatchOptions) {
        let folder = tempfile::tempdir().unwrap();
        let cache = EmbeddingCache::open(folder.path().join("cache")).unwrap();
        let cache = Some(Arc::new(cache));
        let options = BatchOptions {
            cache,
            ..options(4)
        };
        (folder, options)
    }

    #[test]
    fn what_was_embedded_before_comes_from_the_cache() {
        let (_folder, options) = cached();
        let pictures: Vec<Vec<u8>> = (0..6).map(png).collect();
        let mut sources: Vec<_> = pictures
            .iter()
            .map(|p| Some(ImageSource::Bytes(p)))
            .collect();
        sources[1] = Some(ImageSource::Bytes(b"no image"));
        let texts = [Some("a"), Some("far too long"), None, Some("ccc")];
        let mut runs = Vec::new();
        for hits in [0, 8] {
            let toy = Toy::default();
            let texts = embed_texts(&toy, &texts, &options, &Silent).unwrap();
            let images = embed_images(&toy, &sources, &options, &Silent).unwrap();
            assert_eq!(options.cache.as_ref().unwrap().hits(), hits);
            assert_eq!((texts.failures.len(), images.failures.len()), (1, 1));
            assert_eq!(texts.cut, [1]);
            runs.push((texts.embeddings, images.embeddings, toy.batches()));
        }
        assert_eq!(runs[0].2, [1, 3, 1, 4, 1], "each call begins with a probe");
        assert_eq!(runs[1].2, [1, 1]);
        assert_eq!((&runs[0].0, &runs[0].1), (&runs[1].0, &runs[1].1));
    }

    #[test]
    fn a_changed_file_is_embedded_anew_and_a_renamed_one_is_not() {
        let (folder, options) = cached();
        let [first, second] = ["first.png", "second.png"].map(|name| folder.path().join(name));
        let embed = |path| {
            let sources = [Some(ImageSource::Path(path))];
            firsts(&embed_images(&Toy::default(), &sources, &options, &Silent).unwrap())
        };
        let hits = || options.cache.as_ref().unwrap().hits();
        std::fs::write(&first, png(3)).unwrap();
        assert_eq!(embed(&first), [3.0]);
        std::fs::rename(&first, &second).unwrap();
        assert_eq!((embed(&second), hits()), (vec![3.0], 1));
        std::fs::write(&second, png(4)).unwrap();
        assert_eq!((embed(&second), hits()), (vec![4.0], 1));
    }

    #[test]
    fn another_model_or_another_decoding_misses() {
        let (_folder, options) = cached();
        let picture = png(3);
        let sources = [Some(ImageSource::Bytes(&picture))];
        let embed = |scale, options: &BatchOptions| {
            let toy = Toy {
                scale,
                ..Toy::default()
            };
            firsts(&embed_images(&toy, &sources, options, &Silent).unwrap())
        };
        let hits = || options.cache.as_ref().unwrap().hits();
        assert_eq!(embed(1.0, &options), [3.0]);
        assert_eq!((embed(2.0, &options), hits()), (vec![6.0], 0));
        let mut upright = options.clone();
        upright.decoding.apply_orientation = true;
        assert_eq!((embed(1.0, &upright), hits()), (vec![3.0], 0));
        assert_eq!((embed(1.0, &options), hits()), (vec![3.0], 1));
    }

    #[test]
    fn equal_items_are_embedded_once() {
        let toy = Toy::default();
        let texts: Vec<_> = (0..900)
            .map(|i| Some(["a", "bb", "far too long"][i % 3]))
            .collect();
        let embedded = embed_texts(&toy, &texts, &options(1), &Silent).unwrap();
        assert_eq!(firsts(&embedded)[..3], [1.0, 2.0, 4.0]);
        assert_eq!(firsts(&embedded)[..3], firsts(&embedded)[897..]);
        assert_eq!(embedded.cut, (2..900).step_by(3).collect::<Vec<_>>());
        assert_eq!(toy.batches(), [1; 3]);

        let toy = Toy::default();
        let (one, two) = (png(1), png(2));
        let sources = [&one[..], b"no image", &two, &one, b"no image", &two, &one];
        let sources = sources.map(|bytes| Some(ImageSource::Bytes(bytes)));
        let embedded = embed_images(&toy, &sources, &options(2), &Silent).unwrap();
        assert_eq!(firsts(&embedded), [1.0, 0.0, 2.0, 1.0, 0.0, 2.0, 1.0]);
        assert_eq!(embedded.failures.len(), 2);
        assert_eq!(toy.batches(), [2]);
    }

    #[test]
    fn a_call_that_fails_or_is_cancelled_leaves_the_cache_as_it_was() {
        let (_folder, options) = cached();
        let texts = ["a", "bb", "ccc", "dddd", "e", "ff"].map(Some);
        let toy = Toy::default();
        embed_texts(&toy, &texts, &options, &Impatient(1.into())).unwrap_err();
        embed_texts(&toy, &texts, &options, &Silent).unwrap();
        assert_eq!(options.cache.as_ref().unwrap().hits(), 0);
    }
}
