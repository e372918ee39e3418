//! Columns of embeddings as matrices, viewed where they lie.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use ndarray::{Array2, ArrayView2, CowArray, Ix2};

/// The rows of a column.
pub(super) enum Rows<'a> {
    F32(CowArray<'a, f32, Ix2>),
    F64(CowArray<'a, f64, Ix2>),
}

/// Why a column is no matrix.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowsError {
    #[error("the column of embeddings holds {0}, not lists of f16, f32 or f64")]
    Type(DataType),
    #[error("the column of embeddings has rows without one; leave them out of the files")]
    Null,
    #[error("the column of embeddings has some of {0} and some of {1} numbers")]
    Ragged(usize, usize),
}

/// The column as a matrix, without a copy unless its numbers are f16.
pub(super) fn rows(column: &ArrayRef) -> Result<Rows<'_>, RowsError> {
    if column.null_count() > 0 {
        return Err(RowsError::Null);
    }
    let (values, from, width) = match column.data_type() {
        DataType::FixedSizeList(_, width) => {
            let list = column.as_fixed_size_list();
            (
                list.values(),
                list.value_offset(0) as usize,
                *width as usize,
            )
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let (from, width) = place(list.offsets())?;
            (list.values(), from, width)
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            let (from, width) = place(list.offsets())?;
            (list.values(), from, width)
        }
        other => return Err(RowsError::Type(other.clone())),
    };
    let shape = (column.len(), width);
    let place = from..from + column.len() * width;
    if values.slice(from, place.len()).null_count() > 0 {
        return Err(RowsError::Null);
    }
    Ok(match values.data_type() {
        DataType::Float32 => Rows::F32(view(
            &values.as_primitive::<Float32Type>().values()[place],
            shape,
        )),
        DataType::Float64 => Rows::F64(view(
            &values.as_primitive::<Float64Type>().values()[place],
            shape,
        )),
        DataType::Float16 => {
            let values = &values.as_primitive::<Float16Type>().values()[place];
            let values = values.iter().map(|x| x.to_f32()).collect();
            let rows = Array2::from_shape_vec(shape, values);
            Rows::F32(rows.expect("as many values as the shape").into())
        }
        _ => return Err(RowsError::Type(column.data_type().clone())),
    })
}

fn view<F>(values: &[F], shape: (usize, usize)) -> CowArray<'_, F, Ix2> {
    let view = ArrayView2::from_shape(shape, values);
    view.expect("as many values as the shape").into()
}

/// Where the first list begins, and how long all of them are.
fn place<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Result<(usize, usize), RowsError> {
    let mut lengths = offsets.lengths();
    let first = lengths.next().unwrap_or(0);
    match lengths.find(|length| *length != first) {
        Some(other) => Err(RowsError::Ragged(first, other)),
        None => Ok((offsets[0].as_usize(), first)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{FixedSizeListArray, ListArray};
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn floats(rows: &[Option<Vec<Option<f32>>>]) -> ArrayRef {
        let rows = rows.iter().cloned();
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    }

    #[test]
    fn lists_of_one_length_are_viewed_in_place() {
        let row = |x: f32| Some(vec![Some(x), Some(x + 1.0)]);
        let column = floats(&[row(0.0), row(2.0), row(4.0)]).slice(1, 2);
        let Ok(Rows::F32(matrix)) = rows(&column) else {
            panic!("lists of f32");
        };
        assert_eq!(matrix, ndarray::array![[2.0, 3.0], [4.0, 5.0]]);
        let values = column.as_list::<i32>().values();
        let first = &values.as_primitive::<Float32Type>().values()[2];
        assert!(std::ptr::eq(first, &matrix[[0, 0]]));
    }

    #[test]
    fn arrays_of_half_and_double_precision_are_read() {
        let values = (0..6).map(|i| half::f16::from_f32(i as f32));
        let values =
            datafusion::arrow::array::PrimitiveArray::<Float16Type>::from_iter_values(values);
        let field = datafusion::arrow::datatypes::Field::new("item", DataType::Float16, true);
        let column = FixedSizeListArray::new(Arc::new(field), 3, Arc::new(values), None);
        let column: ArrayRef = Arc::new(column);
        assert!(matches!(rows(&column), Ok(Rows::F32(matrix)) if matrix[[1, 2]] == 5.0));
        let doubles = [Some(vec![Some(1.0), Some(2.0)])];
        let doubles = ListArray::from_iter_primitive::<Float64Type, _, _>(doubles);
        let doubles: ArrayRef = Arc::new(doubles);
        assert!(matches!(rows(&doubles), Ok(Rows::F64(matrix)) if matrix.dim() == (1, 2)));
    }

    #[test]
    fn what_is_no_matrix_is_an_error_that_says_why() {
        let whole = Some(vec![Some(1.0), Some(2.0)]);
        let message = |column: ArrayRef| rows(&column).err().unwrap().to_string();
        assert!(message(floats(&[whole.clone(), None])).contains("without one"));
        let gap = Some(vec![Some(1.0), None]);
        assert!(message(floats(&[whole.clone(), gap])).contains("without one"));
        let short = Some(vec![Some(1.0)]);
        assert!(message(floats(&[whole, short])).contains("some of 2 and some of 1"));
        let numbers = [Some(vec![Some(1)])];
        let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>(numbers);
        assert!(message(Arc::new(numbers)).contains("not lists of f16, f32 or f64"));
    }
}
