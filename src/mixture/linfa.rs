//! The traits of linfa, and `fit` without them.

use linfa::Float;
use linfa::ParamGuard;
use linfa::dataset::{AsTargets, DatasetBase};
use linfa::traits::{Fit, FitWith, PredictInplace, Transformer};
use ndarray::{Array1, Array2, ArrayBase, ArrayView1, Data, Ix2};
use rand::Rng;

use super::{
    InMemory, MixtureError, Observations, SphericalKMeans, SphericalKMeansValidParams,
    VonMisesFisherMixture, VonMisesFisherMixtureParams, VonMisesFisherMixtureValidParams,
};

/// The rows and the weights of a dataset.
fn observations<F: Float, D: Data<Elem = F>, T>(
    dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
) -> Result<InMemory<'_, F>, MixtureError> {
    let weights = dataset.weights().map(ArrayView1::from);
    InMemory::new(dataset.records.view(), weights)
}

impl<F: Float, D: Data<Elem = F>, T: AsTargets, R: Rng + Clone + Sync>
    Fit<ArrayBase<D, Ix2>, T, MixtureError> for VonMisesFisherMixtureValidParams<R>
{
    type Object = VonMisesFisherMixture;

    fn fit(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<Self::Object, MixtureError> {
        self.fit_observations(&*self.place(observations(dataset)?)?)
    }
}

impl<R: Rng + Clone + Sync> VonMisesFisherMixtureParams<R> {
    /// Checks the settings and fits a mixture: [`Fit::fit`] for those who have not imported it, and for tools that do not follow
    /// its types, as in a notebook.
    ///
    /// # Errors
    /// A setting is out of range, a row has no direction, or the fit fails.
    pub fn fit<F: Float, D: Data<Elem = F>, T: AsTargets>(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        self.check_ref()?.fit(dataset)
    }

    /// Checks the settings and fits a mixture to observations that are not a linfa dataset, as
    /// [`VonMisesFisherMixtureValidParams::fit_observations`] does.
    ///
    /// # Errors
    /// A setting is out of range, or the fit fails.
    pub fn fit_observations(
        &self,
        observations: &dyn Observations,
    ) -> Result<VonMisesFisherMixture, MixtureError> {
        self.check_ref()?.fit_observations(observations)
    }
}

/// Online EM: goes on from a model with a mini-batch; without a model the batch is fitted as by [`Fit`].
impl<'a, F: Float, D: Data<Elem = F>, T: AsTargets, R: Rng + Clone + Sync>
    FitWith<'a, ArrayBase<D, Ix2>, T, MixtureError> for VonMisesFisherMixtureValidParams<R>
{
    type ObjectIn = Option<VonMisesFisherMixture>;
    type ObjectOut = VonMisesFisherMixture;

    fn fit_with(
        &self,
        model: Self::ObjectIn,
        dataset: &'a DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<Self::ObjectOut, MixtureError> {
        self.step(model, &*self.place(observations(dataset)?)?)
    }
}

impl<F: Float, D: Data<Elem = F>, T: AsTargets, R: Rng + Clone>
    Fit<ArrayBase<D, Ix2>, T, MixtureError> for SphericalKMeansValidParams<R>
{
    type Object = SphericalKMeans;

    fn fit(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<Self::Object, MixtureError> {
        self.fit_observations(&*observations(dataset)?.on(self.device, false)?)
    }
}

/// Mini-batches: goes on from clusters; without any the batch is clustered as by [`Fit`].
impl<'a, F: Float, D: Data<Elem = F>, T: AsTargets, R: Rng + Clone>
    FitWith<'a, ArrayBase<D, Ix2>, T, MixtureError> for SphericalKMeansValidParams<R>
{
    type ObjectIn = Option<SphericalKMeans>;
    type ObjectOut = SphericalKMeans;

    fn fit_with(
        &self,
        clusters: Self::ObjectIn,
        dataset: &'a DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<Self::ObjectOut, MixtureError> {
        self.step(clusters, &*observations(dataset)?.on(self.device, false)?)
    }
}

/// The likeliest component of every row.
///
/// # Panics
/// A row has no direction, or the dimension is not the model's; [`VonMisesFisherMixture::assign`] returns these as
/// errors.
impl<F: Float, D: Data<Elem = F>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>>
    for VonMisesFisherMixture
{
    fn predict_inplace(&self, records: &ArrayBase<D, Ix2>, targets: &mut Array1<usize>) {
        targets.assign(&or_panic(self.assign(records.view())));
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(records.nrows())
    }
}

/// The nearest centre of every row.
///
/// # Panics
/// A row has no direction, or the dimension is not that of the centres; [`SphericalKMeans::assign`] returns these as
/// errors.
impl<F: Float, D: Data<Elem = F>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>>
    for SphericalKMeans
{
    fn predict_inplace(&self, records: &ArrayBase<D, Ix2>, targets: &mut Array1<usize>) {
        targets.assign(&or_panic(self.assign(records.view())));
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(records.nrows())
    }
}

/// Cosines to all centres, shape `(n_samples, n_clusters)`.
///
/// # Panics
/// As [`predict`](linfa::traits::Predict); [`SphericalKMeans::cosines`] returns errors.
impl<F: Float, D: Data<Elem = F>> Transformer<&ArrayBase<D, Ix2>, Array2<f64>> for SphericalKMeans {
    fn transform(&self, records: &ArrayBase<D, Ix2>) -> Array2<f64> {
        or_panic(self.cosines(records.view()))
    }
}

/// linfa's traits leave no room for an error.
fn or_panic<T>(result: Result<T, MixtureError>) -> T {
    result.unwrap_or_else(|error| panic!("cannot predict: {error}"))
}
