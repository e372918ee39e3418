//! Weights for the models of candle-transformers, which load from a `VarBuilder`.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use super::EncoderError;
use super::checkpoint::Weights;
use super::placement::Opened;

/// Hands `weights` to code that loads from a `VarBuilder`, and gives back the typed error of a tensor that failed.
pub(super) fn with_var_builder<T>(
    weights: Weights<'_>,
    load: impl FnOnce(VarBuilder<'_>) -> Result<T>,
) -> std::result::Result<T, EncoderError> {
    let failure = Arc::new(Mutex::new(None));
    let Opened { device, dtype } = weights.opened().clone();
    let tensors = Tensors {
        weights,
        failure: failure.clone(),
    };
    load(VarBuilder::from_backend(Box::new(tensors), dtype, device)).map_err(|error| {
        let failure = failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failure.unwrap_or_else(|| error.into())
    })
}

/// [`Weights`] behind the interface of a `VarBuilder`.
struct Tensors<'a> {
    weights: Weights<'a>,
    /// The first error, which candle's own error type cannot carry.
    failure: Arc<Mutex<Option<EncoderError>>>,
}

impl SimpleBackend for Tensors<'_> {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, _: &Device) -> Result<Tensor> {
        let tensor = self.weights.tensor(name, shape.dims()).map_err(|error| {
            let message = candle_core::Error::msg(&error);
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
            message
        })?;
        tensor.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the shape of {name} is not known")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.has(name)
    }
}
