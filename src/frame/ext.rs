//! The verbs that data frames get.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use linfa::DatasetBase;
use ndarray::{Array1, ArrayView1, CowArray, Ix2};
use polars::prelude::*;

use super::column::{Images, texts};
use super::embeddings::in_place;
use super::present::gathered;
use super::{EMBEDDING, Embeddings, FrameError, center, explore};
use crate::encoder::{self, BatchOptions, Embedded, EmbeddingCache, Encoder};
use crate::mixture::VonMisesFisherMixture;
use crate::progress::{Progress, Silent};

/// How a column is embedded.
#[derive(Clone)]
pub struct EmbedOptions {
    output: String,
    batches: BatchOptions,
    root: Option<PathBuf>,
    within: Option<PathBuf>,
    progress: Arc<dyn Progress>,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            output: EMBEDDING.to_owned(),
            batches: BatchOptions::default(),
            root: None,
            within: None,
            progress: Arc::new(Silent),
        }
    }
}

impl EmbedOptions {
    /// Name of the new column (`embedding`).
    pub fn output(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }

    /// Items that go through the encoder at once (32, or 256 on a GPU).
    pub fn batch_size(mut self, batch_size: NonZeroUsize) -> Self {
        self.batches.batch_size = Some(batch_size);
        self
    }

    /// Whether images are turned as their EXIF data say (no, as the models' authors did).
    pub fn apply_orientation(mut self, apply_orientation: bool) -> Self {
        self.batches.decoding.apply_orientation = apply_orientation;
        self
    }

    /// Where embeddings of earlier calls are found, and new ones remembered (nowhere).
    pub fn cache(mut self, cache: Arc<EmbeddingCache>) -> Self {
        self.batches.cache = Some(cache);
        self
    }

    /// The folder that relative image paths start from (the working directory).
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// The folder that images are read from: paths of a column that lead out of it are not followed (any).
    pub fn within(mut self, folder: impl Into<PathBuf>) -> Self {
        self.within = Some(folder.into());
        self
    }

    /// Who is told of every batch, and may end the work early (nobody).
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
}

/// What vmfmix adds to a [`DataFrame`] and to a [`LazyFrame`], whose query each verb runs. A verb that adds columns returns a new
/// frame with the same rows in the same order.
pub trait FrameExt {
    /// The rows, in memory.
    ///
    /// # Errors
    /// The query of a lazy frame fails.
    fn collected(&self) -> Result<Cow<'_, DataFrame>, FrameError>;

    /// Adds the unit vectors of a column of texts as column `embedding`, of type `Array(Float32, D)`. A null text
    /// has a null embedding, and its reason in column `embedding_error`. Column `embedding_truncated` says which texts
    /// were longer than the encoder's context and lost their tail.
    ///
    /// # Errors
    /// There is no such column of strings, or the encoder fails.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.head(Some(5));
    /// let embedded = frame.embed_text("text", &encoder)?;
    /// assert_eq!(embedded.embeddings("embedding")?.view().dim(), (5, 64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn embed_text(&self, column: &str, encoder: &dyn Encoder) -> Result<DataFrame, FrameError> {
        self.embed_text_with(column, encoder, &EmbedOptions::default())
    }

    /// [`embed_text`](Self::embed_text) with options.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Example
    /// ```
    /// use vmfmix::frame::EmbedOptions;
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.head(Some(5));
    /// let options = EmbedOptions::default().output("caption");
    /// let embedded = frame.embed_text_with("text", &encoder, &options)?;
    /// assert_eq!(embedded.embeddings("caption")?.view().dim(), (5, 64));
    /// assert_eq!(embedded.column("caption_truncated")?.bool()?.sum(), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn embed_text_with(
        &self,
        column: &str,
        encoder: &dyn Encoder,
        options: &EmbedOptions,
    ) -> Result<DataFrame, FrameError> {
        let frame = self.collected()?;
        let texts = texts(&frame, column)?;
        let embedded = encoder::embed_texts(encoder, &texts, &options.batches, &*options.progress)?;
        let mut truncated = vec![false; texts.len()];
        for &row in &embedded.cut {
            truncated[row] = true;
        }
        let name = format!("{}_truncated", options.output);
        let mut frame = with_embeddings(&frame, embedded, options)?;
        frame.with_column(Column::new(name.into(), truncated))?;
        Ok(frame)
    }

    /// Adds the unit vectors of a column of images as column `embedding`, of type `Array(Float32, D)`, and column
    /// `embedding_error` with the reason where an image cannot be read and its embedding is null. Images are paths
    /// (strings), encoded images (binary), or, as Hugging Face writes them, structs of `bytes` and `path`, where the
    /// bytes are taken if there are any.
    ///
    /// # Errors
    /// There is no such column, or the encoder fails. An unreadable image is not an error.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::image_folder("datasets/shapes/images")?.head(Some(5));
    /// let embedded = frame.embed_images("path", &encoder)?;
    /// assert_eq!(embedded.embeddings("embedding")?.view().dim(), (5, 64));
    /// assert_eq!(embedded.column("embedding_error")?.null_count(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn embed_images(&self, column: &str, encoder: &dyn Encoder) -> Result<DataFrame, FrameError> {
        self.embed_images_with(column, encoder, &EmbedOptions::default())
    }

    /// [`embed_images`](Self::embed_images) with options.
    ///
    /// # Errors
    /// As there.
    fn embed_images_with(
        &self,
        column: &str,
        encoder: &dyn Encoder,
        options: &EmbedOptions,
    ) -> Result<DataFrame, FrameError> {
        let frame = self.collected()?;
        let images = Images::of(
            &frame,
            column,
            options.root.as_deref(),
            options.within.as_deref(),
        )?;
        let embedded = encoder::embed_images(
            encoder,
            &images.sources(),
            &options.batches,
            &*options.progress,
        )?;
        with_embeddings(&frame, embedded, options)
    }

    /// The vectors of a column of lists or arrays of floats; see [`Embeddings::of`].
    ///
    /// # Errors
    /// There is no such column, it holds no vectors, vectors of several lengths, or a null.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
    /// let embeddings = frame.embeddings("embedding")?;
    /// assert_eq!(embeddings.view().dim(), (frame.height(), encoder.dimension()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn embeddings(&self, column: &str) -> Result<Embeddings, FrameError> {
        Embeddings::of(&*self.collected()?, column)
    }

    /// The vectors of a column as a linfa dataset without targets, for `fit`. No copy is made of an `Array(Float32, D)` column of
    /// a [`DataFrame`] that lies in one piece.
    ///
    /// # Errors
    /// As [`embeddings`](Self::embeddings).
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
    /// let model = VonMisesFisherMixture::params(24).n_runs(1).fit(&frame.to_dataset("embedding")?)?;
    /// assert_eq!(model.n_components(), 24);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn to_dataset(
        &self,
        column: &str,
    ) -> Result<DatasetBase<CowArray<'_, f32, Ix2>, Array1<()>>, FrameError> {
        let frame = self.collected()?;
        let in_place = match &frame {
            Cow::Borrowed(frame) => in_place(frame, column)?.map(CowArray::from),
            Cow::Owned(_) => None,
        };
        let rows = match in_place {
            Some(rows) => rows,
            None => Embeddings::of(&frame, column)?.view().to_owned().into(),
        };
        Ok(DatasetBase::from(rows))
    }

    /// The strings of a column, an empty one for null.
    ///
    /// # Errors
    /// There is no such column of strings.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let captions = io::text_file("datasets/shapes/captions.txt")?.strings("text")?;
    /// assert_eq!(captions.len(), 480);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn strings(&self, column: &str) -> Result<Vec<String>, FrameError> {
        Ok(texts(&*self.collected()?, column)?
            .into_iter()
            .map(|text| text.unwrap_or_default().to_owned())
            .collect())
    }

    /// Adds what a mixture says of a column of embeddings: `component`, its `probability`, the `log_likelihood` of the
    /// row under the mixture, in nats against the surface measure, the `entropy` of its membership in nats, and its
    /// `outlier_score` from 0 to 1. Null where the embedding is null.
    ///
    /// # Errors
    /// The column holds no vectors, or they do not fit the model.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
    /// let model = VonMisesFisherMixture::params(24).n_runs(1).fit(&frame.embeddings("embedding")?.dataset())?;
    /// let assigned = frame.predict_with("embedding", &model)?;
    /// assert_eq!(assigned.column("component")?.null_count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn predict_with(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
    ) -> Result<DataFrame, FrameError> {
        explore::memberships(&*self.collected()?, column, model)
    }

    /// The `n` rows nearest to a vector of any length, nearest first, with their `cosine`.
    ///
    /// # Errors
    /// The column holds no vectors, or vectors of another dimension than the query's.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
    /// let query = encoder.embed_texts(&["a red circle"])?;
    /// let nearest = frame.nearest("embedding", query.row(0), 3)?;
    /// assert_eq!(nearest.height(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn nearest(
        &self,
        column: &str,
        query: ArrayView1<'_, f32>,
        n: usize,
    ) -> Result<DataFrame, FrameError> {
        explore::nearest(&*self.collected()?, column, query, n)
    }

    /// Adds to each row which earlier row is nearest to it, if the cosine of the two is at least `threshold`:
    /// `duplicate_of`, a row number, and `duplicate_cosine`, both null where there is none. Takes time that grows with
    /// the square of the number of rows.
    ///
    /// # Errors
    /// The column holds no vectors.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
    /// let marked = frame.near_duplicates("embedding", 0.999)?;
    /// let kept = marked.filter(&marked.column("duplicate_of")?.is_null())?;
    /// assert!(kept.height() < frame.height());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn near_duplicates(&self, column: &str, threshold: f32) -> Result<DataFrame, FrameError> {
        explore::near_duplicates(&*self.collected()?, column, threshold)
    }

    /// The `n` rows of each component that lie nearest to its mean direction, nearest first, component by component:
    /// with their `component` and their `cosine` to its mean direction.
    ///
    /// # Errors
    /// The column holds no vectors, or they do not fit the model.
    ///
    /// # Example
    /// ```
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
    /// let model = VonMisesFisherMixture::params(24).n_runs(1).fit(&frame.embeddings("embedding")?.dataset())?;
    /// let typical = frame.exemplars("embedding", &model, 3)?;
    /// assert!(typical.height() <= 3 * model.n_components());
    /// println!("{}", typical.select(["component", "text", "cosine"])?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn exemplars(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
        n: usize,
    ) -> Result<DataFrame, FrameError> {
        explore::exemplars(&*self.collected()?, column, model, n)
    }

    /// Subtracts from each embedding the mean of its group, and scales it back to unit length: the groups are the
    /// strings in column `by`, such as `modality`, and null is a group of its own. Column `column` is replaced and has
    /// type `Array(Float32, D)`. A row that equals the mean of its group, as the only one of a group does, has no
    /// direction left: it becomes null, with the reason in column `<column>_error`, as does a row that had no direction
    /// before. A null stays null.
    ///
    /// CLIP places texts and images in two narrow cones apart from each other, so that a mixture over both tells them
    /// apart before it finds anything else; without the means of the two kinds it is meaning that is left. A mixture that
    /// was fitted to centred embeddings assigns centred embeddings only. [`modality_gap`](super::modality_gap) measures
    /// how far apart two kinds are.
    ///
    /// # Errors
    /// Column `column` holds no vectors, or column `by` no strings.
    ///
    /// # Example
    /// ```
    /// use vmfmix::polars::prelude::Column;
    /// use vmfmix::prelude::*;
    ///
    /// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
    /// let texts = io::text_file("datasets/shapes/captions.txt")?.head(Some(40)).embed_text("text", &encoder)?;
    /// let images = io::image_folder("datasets/shapes/images")?.head(Some(40)).embed_images("path", &encoder)?;
    /// let mut both = texts.select(["embedding"])?.vstack(&images.select(["embedding"])?)?;
    /// both.with_column(Column::new("modality".into(), [["text"; 40], ["image"; 40]].concat()))?;
    /// let centred = both.center_by("embedding", "modality")?;
    /// assert_eq!(centred.column("embedding_error")?.null_count(), 80);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Liang, Zhang, Kwon, Yeung & Zou (2022), *Mind the gap: understanding the modality gap in multi-modal contrastive
    /// representation learning*, NeurIPS.
    fn center_by(&self, column: &str, by: &str) -> Result<DataFrame, FrameError> {
        center::center_by(&*self.collected()?, column, by)
    }
}

impl FrameExt for DataFrame {
    fn collected(&self) -> Result<Cow<'_, DataFrame>, FrameError> {
        Ok(Cow::Borrowed(self))
    }
}

impl FrameExt for LazyFrame {
    fn collected(&self) -> Result<Cow<'_, DataFrame>, FrameError> {
        Ok(Cow::Owned(self.clone().collect()?))
    }
}

/// The frame with a column of embeddings and a column of reasons where there is none.
fn with_embeddings(
    frame: &DataFrame,
    embedded: Embedded,
    options: &EmbedOptions,
) -> Result<DataFrame, FrameError> {
    let mut reasons: Vec<Option<String>> = vec![None; frame.height()];
    for failure in embedded.failures {
        reasons[failure.row] = Some(failure.reason.to_string());
    }
    let vectors = Embeddings::into_column(&options.output, embedded.embeddings)?;
    let rows: Vec<Option<usize>> = (0..)
        .zip(&reasons)
        .map(|(row, reason)| reason.is_none().then_some(row))
        .collect();
    let mut frame = frame.clone();
    frame.with_column(gathered(vectors, &rows)?)?;
    frame.with_column(Column::new(
        format!("{}_error", options.output).into(),
        reasons,
    ))?;
    Ok(frame)
}
