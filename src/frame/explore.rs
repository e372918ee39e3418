//! Questions to a column of embeddings: what is near what, and what a component holds.
//!
//! Rows without an embedding are in no answer.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use polars::prelude::*;
use rayon::prelude::*;

use super::FrameError;
use super::present::Present;
use crate::encoder::{ZeroShotLabels, to_unit_rows};
use crate::mixture::{Memberships, VonMisesFisherMixture};
use crate::product::product;

/// Rows that a task compares with so many others at once.
const BLOCK: usize = 512;

/// Columns that the answers add.
const COSINE: &str = "cosine";
const COMPONENT: &str = "component";

/// Unit vectors, shape `(n, dimension)`.
fn units(present: &Present) -> Array2<f32> {
    let mut units = present.embeddings.view().to_owned();
    to_unit_rows(&mut units);
    units
}

/// See [`FrameExt::predict_with`](super::FrameExt::predict_with).
pub(super) fn memberships(
    frame: &DataFrame,
    column: &str,
    model: &VonMisesFisherMixture,
) -> Result<DataFrame, FrameError> {
    let present = Present::of(frame, column)?;
    present.check(column, model.dimension())?;
    let found = match present.rows.is_empty() {
        true => Memberships::default(),
        false => model
            .memberships(present.embeddings.view())
            .map_err(|cause| present.error(column, cause))?,
    };
    let components = found.components.iter().map(|&component| component as u32);
    let mut frame = frame.clone();
    frame.with_column(Column::new(COMPONENT.into(), present.spread(components)))?;
    for (name, values) in [
        ("probability", found.probabilities),
        ("log_likelihood", found.log_likelihoods),
        ("entropy", found.entropies),
        ("outlier_score", found.outlier_scores),
    ] {
        frame.with_column(Column::new(name.into(), present.spread(values)))?;
    }
    Ok(frame)
}

/// See [`FrameExt::nearest`](super::FrameExt::nearest).
pub(super) fn nearest(
    frame: &DataFrame,
    column: &str,
    query: ArrayView1<'_, f32>,
    n: usize,
) -> Result<DataFrame, FrameError> {
    let present = Present::of(frame, column)?;
    present.check(column, query.len())?;
    let length = query.dot(&query).sqrt();
    let cosines = match present.rows.is_empty() {
        true => Array1::zeros(0),
        false => units(&present).dot(&query) / length.max(f32::MIN_POSITIVE),
    };
    let mut order: Vec<usize> = (0..cosines.len()).collect();
    order.sort_by(|&a, &b| cosines[b].total_cmp(&cosines[a]));
    order.truncate(n);
    let rows: IdxCa = order
        .iter()
        .map(|&at| Some(present.rows[at] as IdxSize))
        .collect();
    let cosines: Vec<f32> = order.iter().map(|&at| cosines[at]).collect();
    let mut found = frame.take(&rows)?;
    found.with_column(Column::new(COSINE.into(), cosines))?;
    Ok(found)
}

/// For each unit vector the place and the cosine of the nearest one before it; minus infinity for the first.
pub(crate) fn nearest_earlier(units: ArrayView2<'_, f32>) -> Vec<(usize, f32)> {
    let n = units.nrows();
    let mut nearest = vec![(0, f32::NEG_INFINITY); n];
    nearest
        .par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, nearest)| {
            let first = block * BLOCK;
            let these = units.slice(s![first..first + nearest.len(), ..]);
            let mut cosines = Array2::zeros((nearest.len(), BLOCK));
            for start in (0..=first).step_by(BLOCK) {
                let end = n.min(start + BLOCK);
                let mut cosines = cosines.slice_mut(s![.., ..end - start]);
                product(
                    these,
                    units.slice(s![start..end, ..]).t(),
                    cosines.view_mut(),
                );
                for (i, (best, cosines)) in nearest.iter_mut().zip(cosines.rows()).enumerate() {
                    let earlier = (first + i).saturating_sub(start);
                    for (at, &cosine) in (start..).zip(cosines).take(earlier) {
                        if cosine > best.1 {
                            *best = (at, cosine);
                        }
                    }
                }
            }
        });
    nearest
}

/// See [`FrameExt::near_duplicates`](super::FrameExt::near_duplicates).
pub(super) fn near_duplicates(
    frame: &DataFrame,
    column: &str,
    threshold: f32,
) -> Result<DataFrame, FrameError> {
    let present = Present::of(frame, column)?;
    let nearest = nearest_earlier(units(&present).view());
    let near = |(at, cosine): (usize, f32)| {
        (cosine >= threshold).then(|| (present.rows[at] as IdxSize, cosine.min(1.0)))
    };
    let found = present.spread(nearest.into_iter().map(near));
    let (duplicates, cosines): (Vec<Option<IdxSize>>, Vec<Option<f32>>) = found
        .into_iter()
        .map(|found| found.flatten().unzip())
        .unzip();
    let mut frame = frame.clone();
    frame.with_column(Column::new("duplicate_of".into(), duplicates))?;
    frame.with_column(Column::new("duplicate_cosine".into(), cosines))?;
    Ok(frame)
}

/// See [`FrameExt::exemplars`](super::FrameExt::exemplars).
pub(super) fn exemplars(
    frame: &DataFrame,
    column: &str,
    model: &VonMisesFisherMixture,
    n: usize,
) -> Result<DataFrame, FrameError> {
    let present = Present::of(frame, column)?;
    present.check(column, model.dimension())?;
    let units = units(&present);
    let components = match present.rows.is_empty() {
        true => Array1::zeros(0),
        false => model
            .assign(units.view())
            .map_err(|cause| present.error(column, cause))?,
    };
    let means = model.mean_directions();
    let mut members = vec![Vec::new(); model.n_components()];
    for (at, &component) in components.iter().enumerate() {
        let unit = units.row(at).mapv(f64::from);
        members[component].push((at, unit.dot(&means.row(component))));
    }
    let (mut rows, mut of, mut cosines) = (Vec::new(), Vec::new(), Vec::new());
    for (component, members) in members.iter_mut().enumerate() {
        members.sort_by(|a, b| b.1.total_cmp(&a.1));
        for &(at, cosine) in members.iter().take(n) {
            rows.push(Some(present.rows[at] as IdxSize));
            of.push(component as u32);
            cosines.push(cosine);
        }
    }
    let mut found = frame.take(&IdxCa::from_iter(rows))?;
    found.with_column(Column::new(COMPONENT.into(), of))?;
    found.with_column(Column::new(COSINE.into(), cosines))?;
    Ok(found)
}

/// One row for each component of a mixture: `component`, `weight`, `concentration`, its
/// `bias_corrected_concentration` and `concentration_standard_error`, `mean_resultant_length`, and the angles in radians
/// around the mean within which 50 and 90 % of its points lie, `angle_50` and `angle_90`.
///
/// # Errors
/// Polars refuses the columns.
///
/// # Example
/// ```
/// use vmfmix::frame::describe_components;
/// use vmfmix::prelude::*;
///
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
/// let embeddings = frame.embeddings("embedding")?;
/// let model = VonMisesFisherMixture::params(24).n_runs(1).fit(&embeddings.dataset())?;
/// assert_eq!(describe_components(&model)?.height(), 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn describe_components(model: &VonMisesFisherMixture) -> Result<DataFrame, FrameError> {
    let k = model.n_components();
    let of_each = |value: &dyn Fn(usize) -> f64| (0..k).map(value).collect::<Vec<f64>>();
    let radial = |component: usize| model.component(component).radial();
    let numbers = |name: &str, values: Vec<f64>| Column::new(name.into(), values);
    Ok(DataFrame::new_infer_height(vec![
        Column::new(COMPONENT.into(), (0..k as u32).collect::<Vec<_>>()),
        numbers("weight", model.weights().to_vec()),
        numbers("concentration", model.concentrations().to_vec()),
        numbers(
            "bias_corrected_concentration",
            model.bias_corrected_concentrations().to_vec(),
        ),
        numbers(
            "concentration_standard_error",
            model.concentration_standard_errors().to_vec(),
        ),
        numbers(
            "mean_resultant_length",
            of_each(&|k| model.component(k).mean_resultant_length()),
        ),
        numbers("angle_50", of_each(&|k| radial(k).angle(0.5))),
        numbers("angle_90", of_each(&|k| radial(k).angle(0.9))),
    ])?)
}

/// One row for each component of a mixture: `component`, the `label` that is likeliest for its mean direction, the
/// label's `probability` among all of them, and its `cosine` to the mean direction.
///
/// # Errors
/// [`FrameError::Dimension`] if the labels come from an encoder of another dimension.
///
/// # Example
/// ```
/// use vmfmix::frame::label_components;
/// use vmfmix::prelude::*;
///
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
/// let embeddings = frame.embeddings("embedding")?;
/// let model = VonMisesFisherMixture::params(24).n_runs(1).fit(&embeddings.dataset())?;
/// let labels = ["red circle", "blue star", "green square"];
/// let labels = ZeroShotLabels::new(&encoder, labels, &["a {}".parse()?])?;
/// let named = label_components(&model, &labels)?;
/// assert_eq!(named.shape(), (24, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn label_components(
    model: &VonMisesFisherMixture,
    labels: &ZeroShotLabels,
) -> Result<DataFrame, FrameError> {
    let (expected, got) = (model.dimension(), labels.directions().ncols());
    if got != expected {
        return Err(FrameError::Dimension {
            column: "label".to_owned(),
            got,
            expected,
        });
    }
    let means = model.mean_directions();
    let probabilities = labels.probabilities(means.view());
    let best = |row: ArrayView1<'_, f64>| {
        let likelier = |best: (usize, f64), (at, &p): (usize, &f64)| {
            if p > best.1 { (at, p) } else { best }
        };
        row.iter()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), likelier)
    };
    let best: Vec<(usize, f64)> = probabilities.axis_iter(Axis(0)).map(best).collect();
    let names: Vec<&str> = best
        .iter()
        .map(|&(at, _)| &labels.labels()[at][..])
        .collect();
    let cosines = best
        .iter()
        .zip(means.rows())
        .map(|(&(at, _), mean)| labels.directions().row(at).mapv(f64::from).dot(&mean));
    Ok(DataFrame::new_infer_height(vec![
        Column::new(COMPONENT.into(), (0..best.len() as u32).collect::<Vec<_>>()),
        Column::new("label".into(), names),
        Column::new(
            "probability".into(),
            best.iter().map(|x| x.1).collect::<Vec<_>>(),
        ),
        Column::new(COSINE.into(), cosines.collect::<Vec<f64>>()),
    ])?)
}
