//! The rows of a column that have a vector.

use ndarray::Array2;
use polars::prelude::*;

use super::{Embeddings, FrameError};
use crate::mixture::MixtureError;

/// The vectors of a column that is null in some rows.
pub(super) struct Present {
    pub embeddings: Embeddings,
    /// Their places in the frame, ascending.
    pub rows: Vec<usize>,
    /// Rows of the frame.
    height: usize,
}

impl Present {
    /// The vectors of a column of lists or arrays of floats, without nulls and empty lists; errors name rows of the frame.
    pub(super) fn of(frame: &DataFrame, column: &str) -> Result<Self, FrameError> {
        let present = has_vector(frame.column(column)?)?;
        let rows = true_rows(&present);
        let height = frame.height();
        let embeddings = if rows.len() == height {
            Embeddings::of(frame, column)?
        } else if frame.column(column)?.dtype().is_null() {
            Embeddings::none()
        } else {
            Embeddings::of(&frame.select([column])?.filter(&present)?, column)
                .map_err(|error| error.map_row(|row| rows[row]))?
        };
        Ok(Self {
            embeddings,
            rows,
            height,
        })
    }

    /// Refuses vectors of another dimension, if there are any.
    pub(super) fn check(&self, column: &str, dimension: usize) -> Result<(), FrameError> {
        match self.embeddings.dimension() {
            got if got == dimension || self.rows.is_empty() => Ok(()),
            got => Err(FrameError::Dimension {
                column: column.to_owned(),
                got,
                expected: dimension,
            }),
        }
    }

    /// The rows without a vector, ascending.
    pub(super) fn absent(&self) -> impl Iterator<Item = usize> {
        let mut present = self.rows.iter().peekable();
        (0..self.height).filter(move |row| present.next_if_eq(&row).is_none())
    }

    /// One value for each row of the frame, from one for each vector.
    pub(super) fn spread<T>(&self, values: impl IntoIterator<Item = T>) -> Vec<Option<T>> {
        let mut all: Vec<Option<T>> = (0..self.height).map(|_| None).collect();
        for (&row, value) in self.rows.iter().zip(values) {
            all[row] = Some(value);
        }
        all
    }

    /// The column as one of type `Array(Float32, dimension)`.
    pub(super) fn column(&self, name: &str, dimension: usize) -> Result<Column, FrameError> {
        self.check(name, dimension)?;
        if self.rows.is_empty() {
            let dtype = DataType::Array(Box::new(DataType::Float32), dimension);
            return Ok(Column::full_null(name.into(), self.height, &dtype));
        }
        gathered(self.embeddings.to_column(name)?, &self.spread(0..))
    }

    /// The vectors with rows of NaN between them, shape `(frame.height(), dimension)`.
    pub(super) fn or_nan(&self, column: &str, dimension: usize) -> Result<Array2<f32>, FrameError> {
        self.check(column, dimension)?;
        if self.rows.len() == self.height {
            return Ok(self.embeddings.view().to_owned());
        }
        let mut all = Array2::from_elem((self.height, dimension), f32::NAN);
        for (&row, vector) in self.rows.iter().zip(self.embeddings.view().rows()) {
            all.row_mut(row).assign(&vector);
        }
        Ok(all)
    }

    /// What a mixture says of the vectors, as an error of the column that names the row of the frame.
    pub(super) fn error(&self, column: &str, cause: MixtureError) -> FrameError {
        let column = column.to_owned();
        FrameError::Mixture { column, cause }.map_row(|row| self.rows[row])
    }
}

/// The rows of a column in another order; `None` is null.
pub(super) fn gathered(column: Column, rows: &[Option<usize>]) -> Result<Column, FrameError> {
    let mut in_order = (0..).zip(rows);
    if rows.len() == column.len() && in_order.all(|(at, row)| *row == Some(at)) {
        return Ok(column);
    }
    let rows = rows.iter().map(|row| row.map(|row| row as IdxSize));
    Ok(column.take(&rows.collect::<IdxCa>())?)
}

/// Which rows have a vector: some write an empty list for none.
fn has_vector(column: &Column) -> PolarsResult<BooleanChunked> {
    let present = column.is_not_null();
    let Ok(lists) = column.as_materialized_series().list() else {
        return Ok(present);
    };
    let chunks = lists.downcast_iter();
    let lengths = chunks.flat_map(|chunk| chunk.offsets().lengths());
    Ok(present
        .iter()
        .zip(lengths)
        .map(|(present, length)| Some(present == Some(true) && length > 0))
        .collect())
}

/// The rows that are true.
pub(super) fn true_rows(rows: &BooleanChunked) -> Vec<usize> {
    let rows = rows.iter().enumerate();
    rows.filter_map(|(row, is)| (is == Some(true)).then_some(row))
        .collect()
}
