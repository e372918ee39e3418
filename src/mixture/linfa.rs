//! The traits of linfa; nothing else lives here.

use linfa::Float;
use linfa::dataset::{AsTargets, DatasetBase};
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, ArrayBase, ArrayView1, Data, Ix2};
use rand::Rng;

use super::{InMemory, MixtureError, VonMisesFisherMixture, VonMisesFisherMixtureValidParams};

impl<F: Float, D: Data<Elem = F>, T: AsTargets, R: Rng + Clone>
    Fit<ArrayBase<D, Ix2>, T, MixtureError> for VonMisesFisherMixtureValidParams<R>
{
    type Object = VonMisesFisherMixture;

    fn fit(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<Self::Object, MixtureError> {
        let weights = dataset.weights().map(ArrayView1::from);
        self.fit_observations(&InMemory::new(dataset.records.view(), weights)?)
    }
}

/// The likeliest component of every row.
///
/// # Panics
/// A row has no direction, or the dimension is not the model's; [`VonMisesFisherMixture::predict_proba`] returns
/// these as errors.
impl<F: Float, D: Data<Elem = F>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>>
    for VonMisesFisherMixture
{
    fn predict_inplace(&self, records: &ArrayBase<D, Ix2>, targets: &mut Array1<usize>) {
        let labels = self
            .assign(records.view())
            .unwrap_or_else(|error| panic!("cannot predict: {error}"));
        targets.assign(&labels);
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(records.nrows())
    }
}
