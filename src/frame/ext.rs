//! The verbs that data frames get.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::ArrayView1;
use polars::prelude::*;

use super::column::{Images, texts};
use super::{EMBEDDING, Embeddings, FrameError, explore};
use crate::encoder::{self, BatchOptions, Embedded, EmbeddingCache, Encoder};
use crate::mixture::VonMisesFisherMixture;
use crate::progress::{Progress, Silent};

/// How a column is embedded.
#[derive(Clone)]
pub struct EmbedOptions {
    output: String,
    batches: BatchOptions,
    root: Option<PathBuf>,
    progress: Arc<dyn Progress>,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            output: EMBEDDING.to_owned(),
            batches: BatchOptions::default(),
            root: None,
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

    /// Items that go through the encoder at once (32).
    pub fn batch_size(mut self, batch_size: NonZeroUsize) -> Self {
        self.batches.batch_size = batch_size;
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

    /// Who is told of every batch, and may end the work early (nobody).
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
}

/// What vmfmix adds to a [`DataFrame`]. Every verb returns a new frame with the same rows in the same order.
pub trait FrameExt {
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
    ) -> Result<DataFrame, FrameError>;

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
    ) -> Result<DataFrame, FrameError>;

    /// The vectors of a column of lists or arrays of floats; see [`Embeddings::of`].
    ///
    /// # Errors
    /// There is no such column, it holds no vectors, vectors of several lengths, or a null.
    fn embeddings(&self, column: &str) -> Result<Embeddings, FrameError>;

    /// The strings of a column, an empty one for null.
    ///
    /// # Errors
    /// There is no such column of strings.
    fn strings(&self, column: &str) -> Result<Vec<String>, FrameError>;

    /// Adds what a mixture says of a column of embeddings: `component`, its `probability`, the `log_likelihood` of the
    /// row under the mixture, in nats against the surface measure, the `entropy` of its membership in nats, and its
    /// `outlier_score` from 0 to 1. Null where the embedding is null.
    ///
    /// # Errors
    /// The column holds no vectors, or they do not fit the model.
    fn predict_with(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
    ) -> Result<DataFrame, FrameError>;

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
    ) -> Result<DataFrame, FrameError>;

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
    fn near_duplicates(&self, column: &str, threshold: f32) -> Result<DataFrame, FrameError>;

    /// The `n` rows of each component that lie nearest to its mean direction, nearest first, component by component:
    /// with their `component` and their `cosine` to its mean direction.
    ///
    /// # Errors
    /// The column holds no vectors, or they do not fit the model.
    fn exemplars(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
        n: usize,
    ) -> Result<DataFrame, FrameError>;
}

impl FrameExt for DataFrame {
    fn embed_text_with(
        &self,
        column: &str,
        encoder: &dyn Encoder,
        options: &EmbedOptions,
    ) -> Result<DataFrame, FrameError> {
        let texts = texts(self, column)?;
        let embedded = encoder::embed_texts(encoder, &texts, &options.batches, &*options.progress)?;
        let mut truncated = vec![false; texts.len()];
        for &row in &embedded.cut {
            truncated[row] = true;
        }
        let name = format!("{}_truncated", options.output);
        let mut frame = with_embeddings(self, embedded, options)?;
        frame.with_column(Column::new(name.into(), truncated))?;
        Ok(frame)
    }

    fn embed_images_with(
        &self,
        column: &str,
        encoder: &dyn Encoder,
        options: &EmbedOptions,
    ) -> Result<DataFrame, FrameError> {
        let images = Images::of(self, column, options.root.as_deref())?;
        let embedded = encoder::embed_images(
            encoder,
            &images.sources(),
            &options.batches,
            &*options.progress,
        )?;
        with_embeddings(self, embedded, options)
    }

    fn embeddings(&self, column: &str) -> Result<Embeddings, FrameError> {
        Embeddings::of(self, column)
    }

    fn strings(&self, column: &str) -> Result<Vec<String>, FrameError> {
        Ok(texts(self, column)?
            .into_iter()
            .map(|text| text.unwrap_or_default().to_owned())
            .collect())
    }

    fn predict_with(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
    ) -> Result<DataFrame, FrameError> {
        let present = self.column(column)?.is_not_null();
        let embeddings = self.filter(&present)?.embeddings(column)?;
        let in_column = |cause| FrameError::Mixture {
            column: column.to_owned(),
            cause,
        };
        let probabilities = model.predict_proba(embeddings.view()).map_err(in_column)?;
        let log_likelihoods = model.score_samples(embeddings.view()).map_err(in_column)?;
        // One entry a row of the frame: the next prediction where there is an embedding, else null.
        let mut next = 0..;
        let rows: Vec<Option<usize>> = present
            .iter()
            .map(|present| present.unwrap_or(false).then(|| next.next()).flatten())
            .collect();
        let best: Vec<(u32, f64)> = probabilities
            .rows()
            .into_iter()
            .map(|row| likeliest(row.iter()))
            .collect();
        let mut frame = self.clone();
        let components: UInt32Chunked = rows.iter().map(|row| row.map(|row| best[row].0)).collect();
        let certainties: Float64Chunked =
            rows.iter().map(|row| row.map(|row| best[row].1)).collect();
        let densities: Float64Chunked = rows
            .iter()
            .map(|row| row.map(|row| log_likelihoods[row]))
            .collect();
        frame.with_column(components.with_name("component".into()).into_column())?;
        frame.with_column(certainties.with_name("probability".into()).into_column())?;
        frame.with_column(densities.with_name("log_likelihood".into()).into_column())?;
        let entropies = model.entropies(embeddings.view()).map_err(in_column)?;
        let outlier_scores = model.outlier_scores(embeddings.view()).map_err(in_column)?;
        for (name, values) in [("entropy", entropies), ("outlier_score", outlier_scores)] {
            let values: Float64Chunked =
                rows.iter().map(|row| row.map(|row| values[row])).collect();
            frame.with_column(values.with_name(name.into()).into_column())?;
        }
        Ok(frame)
    }

    fn nearest(
        &self,
        column: &str,
        query: ArrayView1<'_, f32>,
        n: usize,
    ) -> Result<DataFrame, FrameError> {
        explore::nearest(self, column, query, n)
    }

    fn near_duplicates(&self, column: &str, threshold: f32) -> Result<DataFrame, FrameError> {
        explore::near_duplicates(self, column, threshold)
    }

    fn exemplars(
        &self,
        column: &str,
        model: &VonMisesFisherMixture,
        n: usize,
    ) -> Result<DataFrame, FrameError> {
        explore::exemplars(self, column, model, n)
    }
}

fn likeliest<'a>(probabilities: impl Iterator<Item = &'a f64>) -> (u32, f64) {
    probabilities.zip(0..).fold(
        (0, 0.0),
        |best, (&p, component)| if p > best.1 { (component, p) } else { best },
    )
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
    // Gathering by a null index makes a null row.
    let rows: IdxCa = reasons
        .iter()
        .zip(0..)
        .map(|(reason, row)| reason.is_none().then_some(row))
        .collect();
    let mut frame = frame.clone();
    frame.with_column(vectors.take(&rows)?)?;
    frame.with_column(Column::new(
        format!("{}_error", options.output).into(),
        reasons,
    ))?;
    Ok(frame)
}
