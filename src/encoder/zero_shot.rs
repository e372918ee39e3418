//! Labels in words, as directions: what an image, a text or a component is called.
//!
//! A label becomes one or several prompts ("a photo of a {}"), whose unit vectors are averaged and scaled to length one
//! (reference 1, section 3.1.4). The probability of a label is a softmax over the cosines, multiplied by the factor that
//! the model learnt for that.
//!
//! # References
//! 1. A. Radford et al., *Learning transferable visual models from natural language supervision*, ICML 2021.
//! 2. N. Reimers, I. Gurevych, *Sentence-BERT*, EMNLP 2019: its library multiplies cosines by 20 while training.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use ndarray::{Array2, ArrayView2, Axis};

use super::rows::to_unit_rows;
use super::{BatchOptions, Encoder, EncoderError, embed_texts};
use crate::progress::Silent;

/// Where a prompt has its label.
const PLACE: &str = "{}";

/// The factor for encoders that have learnt none (reference 2).
const USUAL_SCALE: f32 = 20.0;

/// A sentence with a place for a label.
///
/// # Example
/// ```
/// use vmfmix::encoder::PromptTemplate;
///
/// let template: PromptTemplate = "a drawing of a {}".parse()?;
/// assert_eq!(template.fill("cat"), "a drawing of a cat");
/// assert!("a drawing".parse::<PromptTemplate>().is_err());
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate(String);

impl PromptTemplate {
    /// "a photo of a {}".
    #[must_use]
    pub fn photo() -> Self {
        PromptTemplate("a photo of a {}".into())
    }

    /// The label alone.
    #[must_use]
    pub fn plain() -> Self {
        PromptTemplate(PLACE.into())
    }

    /// The seven prompts that together served OpenAI best on ImageNet.
    #[must_use]
    pub fn ensemble() -> Vec<Self> {
        [
            "itap of a {}.",
            "a bad photo of the {}.",
            "a origami {}.",
            "a photo of the large {}.",
            "a {} in a video game.",
            "art of the {}.",
            "a photo of the small {}.",
        ]
        .map(|template| PromptTemplate(template.into()))
        .into()
    }

    /// The prompt for a label.
    #[must_use]
    pub fn fill(&self, label: &str) -> String {
        self.0.replacen(PLACE, label, 1)
    }
}

impl FromStr for PromptTemplate {
    type Err = EncoderError;

    fn from_str(template: &str) -> Result<Self, EncoderError> {
        if template.matches(PLACE).count() == 1 {
            Ok(PromptTemplate(template.into()))
        } else {
            Err(EncoderError::Template {
                got: template.into(),
            })
        }
    }
}

impl fmt::Display for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels and their directions in the space of an encoder.
///
/// # Example
/// ```
/// use ndarray::Axis;
/// use vmfmix::encoder::{ClipEncoder, Device, Encoder, PromptTemplate, ZeroShotLabels};
///
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let labels = ["red circle", "blue star"];
/// let labels = ZeroShotLabels::new(&encoder, labels, &["a {}".parse()?])?;
/// let item = encoder.embed_texts(&["a large red circle"])?;
/// let probabilities = labels.probabilities(item.mapv(f64::from).view());
/// assert!(probabilities[[0, 0]] > 0.9);
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZeroShotLabels {
    labels: Vec<String>,
    directions: Array2<f32>,
    logit_scale: f32,
}

impl ZeroShotLabels {
    /// Embeds labels, each as the mean direction of its prompts; a label that comes again is left out.
    ///
    /// # Errors
    /// [`EncoderError::NoLabels`] if there is no label or no template; [`EncoderError::NoTower`] if the encoder embeds
    /// no texts, and what [`embed_texts`] says.
    pub fn new<S: Into<String>>(
        encoder: &dyn Encoder,
        labels: impl IntoIterator<Item = S>,
        templates: &[PromptTemplate],
    ) -> Result<Self, EncoderError> {
        let mut seen = HashSet::new();
        let labels: Vec<String> = labels
            .into_iter()
            .map(Into::into)
            .filter(|label| seen.insert(label.clone()))
            .collect();
        if labels.is_empty() || templates.is_empty() {
            return Err(EncoderError::NoLabels);
        }
        let prompts: Vec<String> = labels
            .iter()
            .flat_map(|label| templates.iter().map(|template| template.fill(label)))
            .collect();
        let prompts: Vec<Option<&str>> = prompts.iter().map(|prompt| Some(&prompt[..])).collect();
        let mut embedded = embed_texts(encoder, &prompts, &BatchOptions::default(), &Silent)?;
        if let Some(failure) = embedded.failures.pop() {
            return Err(failure.reason);
        }
        let mut directions = Array2::zeros((labels.len(), encoder.dimension()));
        let groups = embedded
            .embeddings
            .axis_chunks_iter(Axis(0), templates.len());
        for (mut direction, prompts) in directions.rows_mut().into_iter().zip(groups) {
            direction.assign(&prompts.sum_axis(Axis(0)));
        }
        to_unit_rows(&mut directions);
        Ok(ZeroShotLabels {
            labels,
            directions,
            logit_scale: encoder.logit_scale().unwrap_or(USUAL_SCALE),
        })
    }

    /// The labels, in the order in which they were given.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Their directions, `(n_labels, dimension)`, of length one.
    #[must_use]
    pub fn directions(&self) -> ArrayView2<'_, f32> {
        self.directions.view()
    }

    /// The factor of the cosines in [`probabilities`](Self::probabilities).
    #[must_use]
    pub fn logit_scale(&self) -> f32 {
        self.logit_scale
    }

    /// The probability of each label for each of the unit rows, `(n_rows, dimension)` to `(n_rows, n_labels)`.
    ///
    /// # Panics
    /// Panics if the rows have another dimension.
    #[must_use]
    pub fn probabilities(&self, rows: ArrayView2<'_, f64>) -> Array2<f64> {
        let directions = self.directions.mapv(f64::from);
        let mut logits = rows.dot(&directions.t()) * f64::from(self.logit_scale);
        for mut row in logits.rows_mut() {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.mapv_inplace(|logit| (logit - largest).exp());
            let total = row.sum();
            row /= total;
        }
        logits
    }
}
