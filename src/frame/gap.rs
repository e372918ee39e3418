//! How far apart two kinds of embeddings lie: the modality gap.
//!
//! # References
//! 1. V. W. Liang, Y. Zhang, Y. Kwon, S. Yeung, J. Zou, *Mind the gap: understanding the modality gap in multi-modal
//!    contrastive representation learning*, NeurIPS 2022: texts and images lie in two narrow cones; the gap is the
//!    difference between their means.

use ndarray::{Array1, ArrayView2};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FrameError;
use super::center::{Grouped, unit};

/// The gap between two kinds of unit vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModalityGap {
    /// Euclidean distance between the two means, from 0 (no gap) to 2.
    pub distance: f64,
    /// Cosine between the two means; `None` where one of them is zero.
    pub cosine_of_means: Option<f64>,
    /// Mean cosine of a vector of the one kind and a vector of the other.
    pub cosine_between: f64,
    /// The two kinds.
    pub sides: [GapSide; 2],
}

/// One of the two kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GapSide {
    /// Its name.
    pub name: String,
    /// Its vectors.
    pub size: usize,
    /// Mean cosine of two different vectors of it; `None` where there is but one.
    pub cosine_within: Option<f64>,
}

/// The gap between the two groups of embeddings that the strings in column `by` make, such as texts and images by
/// `modality`; `None` where they make one group, or more than two. Rows without an embedding, a direction or a group
/// do not count.
///
/// # Errors
/// Column `column` holds no vectors, or column `by` no strings.
///
/// # Example
/// ```
/// use vmfmix::frame::modality_gap;
/// use vmfmix::polars::prelude::Column;
/// use vmfmix::prelude::*;
///
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let texts = io::text_file("datasets/shapes/captions.txt")?.head(Some(40)).embed_text("text", &encoder)?;
/// let images = io::image_folder("datasets/shapes/images")?.head(Some(40)).embed_images("path", &encoder)?;
/// let mut both = texts.select(["embedding"])?.vstack(&images.select(["embedding"])?)?;
/// both.with_column(Column::new("modality".into(), [["text"; 40], ["image"; 40]].concat()))?;
///
/// let before = modality_gap(&both, "embedding", "modality")?.unwrap();
/// let centred = both.center_by("embedding", "modality")?;
/// let after = modality_gap(&centred, "embedding", "modality")?.unwrap();
/// assert!(after.distance < before.distance);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Liang et al. (2022), *Mind the gap*, NeurIPS: the length of the difference between the two means.
pub fn modality_gap(
    frame: &DataFrame,
    column: &str,
    by: &str,
) -> Result<Option<ModalityGap>, FrameError> {
    let grouped = Grouped::of(frame, column, by)?;
    let named: Vec<(usize, &str)> = grouped
        .names
        .iter()
        .enumerate()
        .filter_map(|(group, name)| Some((group, (*name)?)))
        .collect();
    let &[(a, first), (b, second)] = &named[..] else {
        return Ok(None);
    };
    let rows = |wanted: usize| {
        let groups = grouped.groups.iter().enumerate();
        let rows = groups.filter(|(_, group)| **group == wanted);
        rows.map(|(row, _)| row).collect::<Vec<_>>()
    };
    let sides = [(first, &rows(a)[..]), (second, &rows(b)[..])];
    Ok(ModalityGap::new(grouped.present.embeddings.view(), sides))
}

impl ModalityGap {
    /// The gap between two sets of rows of a matrix, shape `(n_samples, dimension)`; `None` where none of a set has a
    /// direction.
    pub(crate) fn new(vectors: ArrayView2<'_, f32>, sides: [(&str, &[usize]); 2]) -> Option<Self> {
        let [a, b] = sides.map(|(name, rows)| Side::new(vectors, name, rows));
        if a.size == 0 || b.size == 0 {
            return None;
        }
        let lengths = a.mean.dot(&a.mean).sqrt() * b.mean.dot(&b.mean).sqrt();
        let apart = &a.mean - &b.mean;
        let cosine_between = a.mean.dot(&b.mean);
        Some(Self {
            distance: apart.dot(&apart).sqrt(),
            cosine_of_means: (lengths > 0.0).then(|| (cosine_between / lengths).clamp(-1.0, 1.0)),
            cosine_between,
            sides: [a.told(), b.told()],
        })
    }
}

/// The mean of one kind.
struct Side<'a> {
    name: &'a str,
    size: usize,
    mean: Array1<f64>,
}

impl<'a> Side<'a> {
    fn new(vectors: ArrayView2<'_, f32>, name: &'a str, rows: &[usize]) -> Self {
        let mut mean = Array1::zeros(vectors.ncols());
        let mut size = 0_usize;
        for unit in rows.iter().filter_map(|&row| unit(vectors.row(row))) {
            mean += &unit;
            size += 1;
        }
        mean /= size.max(1) as f64;
        Side { name, size, mean }
    }

    /// The cosines of all pairs, of which `n` are those of a vector with itself, sum to the squared length of the sum.
    fn told(&self) -> GapSide {
        let n = self.size as f64;
        let all_pairs = n * self.mean.dot(&self.mean);
        GapSide {
            name: self.name.to_owned(),
            size: self.size,
            cosine_within: (self.size > 1).then(|| (all_pairs - 1.0) / (n - 1.0)),
        }
    }
}
