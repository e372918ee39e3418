//! Embeddings between Polars (`Array(Float32, D)`) and ndarray, without a copy where the layout allows.

use linfa::DatasetBase;
use ndarray::{Array1, Array2, ArrayView2};
use polars::prelude::*;

use super::FrameError;
use super::column::wrong_type;

/// The usual name of a column of embeddings.
pub const EMBEDDING: &str = "embedding";

/// The column beside it that says why there is none.
pub const EMBEDDING_ERROR: &str = "embedding_error";

/// Column that says whether a text was longer than the encoder's context and lost its tail.
pub const EMBEDDING_TRUNCATED: &str = "embedding_truncated";

/// The vectors of a column, shape `(n_samples, dimension)`; shares the column's memory.
#[derive(Clone, Debug)]
pub struct Embeddings {
    values: Float32Chunked,
    dimension: usize,
}

impl Embeddings {
    /// The vectors of a column of lists or arrays of floats.
    ///
    /// No copy is made of an `Array(Float32, D)` column in one chunk.
    ///
    /// # Errors
    /// There is no such column, it holds no vectors, vectors of several lengths, or a null.
    pub fn of(frame: &DataFrame, column: &str) -> Result<Self, FrameError> {
        let series = frame.column(column)?.as_materialized_series();
        if let Some(row) = series.is_null().iter().position(|null| null == Some(true)) {
            return Err(FrameError::NullEmbedding {
                column: column.to_owned(),
                row,
            });
        }
        let dimension = match series.dtype() {
            DataType::Array(inner, width) if inner.is_float() => *width,
            DataType::List(inner) if inner.is_float() => uniform_length(column, series.list()?)?,
            other => {
                return Err(wrong_type(
                    column,
                    other,
                    "a column of lists or arrays of floats",
                ));
            }
        };
        let series = series
            .cast(&DataType::Array(Box::new(DataType::Float32), dimension))?
            .rechunk();
        let values = series.array()?.get_inner().f32()?.rechunk().into_owned();
        if let Some(at) = values.is_null().iter().position(|null| null == Some(true)) {
            return Err(FrameError::NullNumber {
                column: column.to_owned(),
                row: at / dimension.max(1),
            });
        }
        Ok(Self { values, dimension })
    }

    /// No vectors.
    pub(super) fn none() -> Self {
        Self {
            values: Float32Chunked::full_null(PlSmallStr::EMPTY, 0),
            dimension: 0,
        }
    }

    /// Rows are vectors, shape `(n_samples, dimension)`.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        let values = self
            .values
            .cont_slice()
            .expect("one chunk without nulls, by construction");
        let rows = values.len().checked_div(self.dimension).unwrap_or(0);
        ArrayView2::from_shape((rows, self.dimension), values).expect("whole rows, by construction")
    }

    /// Length of the vectors.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vectors as a linfa dataset without targets, for `fit`; no copy.
    pub fn dataset(&self) -> DatasetBase<ArrayView2<'_, f32>, Array1<()>> {
        DatasetBase::from(self.view())
    }

    /// The vectors as a column of type `Array(Float32, dimension)`; no copy.
    pub(super) fn to_column(&self, name: &str) -> Result<Column, FrameError> {
        let shape = [self.view().nrows(), self.dimension];
        let values = self.values.clone().with_name(name.into()).into_series();
        let shape = shape.map(|n| ReshapeDimension::new(n as i64));
        Ok(values.reshape_array(&shape)?.into())
    }

    /// Makes a column of type `Array(Float32, dimension)` from vectors, shape `(n_samples, dimension)`.
    ///
    /// # Errors
    /// Polars refuses the shape.
    pub fn into_column(name: &str, vectors: Array2<f32>) -> Result<Column, FrameError> {
        let shape = [vectors.nrows(), vectors.ncols()].map(|n| ReshapeDimension::new(n as i64));
        let values: Vec<f32> = vectors.into_iter().collect();
        Ok(Series::from_vec(name.into(), values)
            .reshape_array(&shape)?
            .into())
    }
}

/// The vectors of a column where they lie, shape `(n_samples, dimension)`; `None` unless it is an `Array(Float32, D)` of one
/// chunk and without nulls.
pub(super) fn in_place<'a>(
    frame: &'a DataFrame,
    column: &str,
) -> Result<Option<ArrayView2<'a, f32>>, FrameError> {
    let series = frame.column(column)?.as_materialized_series();
    let (Ok(array), DataType::Array(_, dimension)) = (series.array(), series.dtype()) else {
        return Ok(None);
    };
    let mut chunks = array.downcast_iter();
    let (Some(chunk), None) = (chunks.next(), chunks.next()) else {
        return Ok(None);
    };
    let values = chunk.values();
    if series.null_count() + values.null_count() > 0 {
        return Ok(None);
    }
    let values = values
        .as_any()
        .downcast_ref::<<Float32Type as PolarsDataType>::Array>();
    Ok(values.and_then(|values| {
        ArrayView2::from_shape((series.len(), *dimension), values.values()).ok()
    }))
}

fn uniform_length(column: &str, lists: &ListChunked) -> Result<usize, FrameError> {
    let mut lengths = lists
        .downcast_iter()
        .flat_map(|chunk| chunk.offsets().lengths());
    let Some(expected) = lengths.next() else {
        return Ok(0);
    };
    match lengths.enumerate().find(|(_, got)| *got != expected) {
        None => Ok(expected),
        Some((row, got)) => Err(FrameError::Ragged {
            column: column.to_owned(),
            row: row + 1,
            got,
            expected,
        }),
    }
}
