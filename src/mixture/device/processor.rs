//! The sharing out by the processor, from and to tensors that lie in its memory.

use candle_core::{DType, Result, Tensor};
use ndarray::{Array1, Array2};

use super::super::Statistics;
use super::super::kernel::Block;
use super::{Model, Shared, Tile};

/// Shares the rows of a tile out among the components.
pub(super) fn share_out(model: &Model, tile: &Tile, cosines: &Tensor) -> Result<Shared> {
    let (n, k) = cosines.dims2()?;
    let mut shares = matrix(cosines)?;
    let rows = matrix(&tile.rows)?;
    let (scales, weights) = (vector(&tile.scales)?, vector(&tile.weights)?);
    let block = Block {
        rows: rows.view(),
        inverse_lengths: scales.view(),
        sample_weights: Some(weights.view()),
        first: tile.first,
    };
    // Their resultants are taken on the device.
    let mut sums = Statistics::zeros(k, 0);
    model.kernel.share_out(&block, &mut shares, None, &mut sums);
    let masses = sums.masses.into_iter().chain(sums.squares);
    let tensor = |values: Vec<f64>| Tensor::new(values, cosines.device());
    Ok(Shared {
        shares: tensor(shares.into_raw_vec_and_offset().0)?.reshape((n, k))?,
        masses: tensor(masses.collect())?.unsqueeze(0)?,
        log_likelihood: tensor(vec![sums.log_likelihood])?.unsqueeze(0)?,
    })
}

fn matrix(x: &Tensor) -> Result<Array2<f64>> {
    let shape = x.dims2()?;
    let values = vector(&x.flatten_all()?)?.to_vec();
    Ok(Array2::from_shape_vec(shape, values).expect("as many values as the shape"))
}

fn vector(x: &Tensor) -> Result<Array1<f64>> {
    Ok(x.to_dtype(DType::F64)?.to_vec1::<f64>()?.into())
}
