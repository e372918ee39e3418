//! Embeddings without the mean of their group.

use std::collections::HashMap;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use polars::prelude::*;

use super::column::texts;
use super::present::{Present, gathered};
use super::{Embeddings, FrameError};

/// What is left of a unit vector less its mean below this length is the rounding of `f32`, not a direction.
const ROUNDING: f64 = f32::EPSILON as f64;

/// Why a row has no embedding after centring.
const IS_THE_MEAN: &str = "equals the mean of its group: centring leaves it no direction";
const NO_DIRECTION: &str = "its embedding has no direction: a length of zero, or not a number";

/// The rows of a frame that have an embedding, with the group of each.
pub(super) struct Grouped<'a> {
    pub present: Present,
    /// The group of each, an index into `names`.
    pub groups: Vec<usize>,
    /// The groups in the order of their first rows.
    pub names: Vec<Option<&'a str>>,
}

impl<'a> Grouped<'a> {
    pub(super) fn of(frame: &'a DataFrame, column: &str, by: &str) -> Result<Self, FrameError> {
        let present = Present::of(frame, column)?;
        let all = texts(frame, by)?;
        let (mut names, mut numbers) = (Vec::new(), HashMap::new());
        let group = |&row: &usize| {
            *numbers.entry(all[row]).or_insert_with(|| {
                names.push(all[row]);
                names.len() - 1
            })
        };
        let groups = present.rows.iter().map(group).collect();
        Ok(Self {
            present,
            groups,
            names,
        })
    }
}

/// A row at unit length, `None` where it has no direction.
pub(super) fn unit(row: ArrayView1<'_, f32>) -> Option<Array1<f64>> {
    let row = row.mapv(f64::from);
    let length = row.dot(&row).sqrt();
    (length > 0.0 && length.is_finite()).then(|| row / length)
}

/// See [`FrameExt::center_by`](super::FrameExt::center_by).
pub(super) fn center_by(
    frame: &DataFrame,
    column: &str,
    by: &str,
) -> Result<DataFrame, FrameError> {
    let error_column = format!("{column}_error");
    let mut reasons: Vec<Option<&str>> = match frame.column(&error_column) {
        Ok(_) => texts(frame, &error_column)?,
        Err(_) => vec![None; frame.height()],
    };
    let grouped = Grouped::of(frame, column, by)?;
    let vectors = grouped.present.embeddings.view();
    let mut means = Array2::<f64>::zeros((grouped.names.len(), vectors.ncols()));
    let mut sizes = vec![0.0_f64; grouped.names.len()];
    for (row, &group) in vectors.rows().into_iter().zip(&grouped.groups) {
        if let Some(unit) = unit(row) {
            means.row_mut(group).scaled_add(1.0, &unit);
            sizes[group] += 1.0;
        }
    }
    for (mut mean, &size) in means.rows_mut().into_iter().zip(&sizes) {
        mean /= size.max(1.0);
    }
    let centred = |row: ArrayView1<'_, f32>, group: usize| {
        let left = unit(row).ok_or(NO_DIRECTION)? - means.row(group);
        let length = left.dot(&left).sqrt();
        match length > ROUNDING {
            true => Ok(left.mapv(|x| (x / length) as f32)),
            false => Err(IS_THE_MEAN),
        }
    };
    let mut out = Array2::<f32>::zeros(vectors.dim());
    let mut places = vec![None; frame.height()];
    for (at, &row) in grouped.present.rows.iter().enumerate() {
        match centred(vectors.row(at), grouped.groups[at]) {
            Ok(unit) => {
                out.index_axis_mut(Axis(0), at).assign(&unit);
                places[row] = Some(at);
            }
            Err(reason) => reasons[row] = Some(reason),
        }
    }
    let vectors = Embeddings::into_column(column, out)?;
    let reasons = Column::new(error_column.into(), reasons);
    let mut frame = frame.clone();
    frame.with_column(gathered(vectors, &places)?)?;
    frame.with_column(reasons)?;
    Ok(frame)
}
