//! Embeddings as rows: off the device, and to unit length.

use candle_core::{DType, Result, Tensor};
use ndarray::Array2;

/// A matrix on any device, as an array.
pub(super) fn to_rows(x: &Tensor) -> Result<Array2<f32>> {
    let shape = x.dims2()?;
    let values = x.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    Ok(Array2::from_shape_vec(shape, values).expect("as many values as the shape"))
}

/// Scales each row to unit length; a row of zeros stays.
pub(crate) fn to_unit_rows(x: &mut Array2<f32>) {
    for mut row in x.rows_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
}

/// Features `(b, dimension)` on any device to rows of unit length.
pub(super) fn unit_rows(features: &Tensor) -> Result<Array2<f32>> {
    let mut rows = to_rows(features)?;
    to_unit_rows(&mut rows);
    Ok(rows)
}
