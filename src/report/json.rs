//! The JSON files: names as in scikit-learn and linfa, numbers as in the summary.

use serde::Serialize;

use super::{Evaluation, Report, ReportError};
use crate::frame::ModalityGap;

impl Report {
    /// The saved model: `n_components, dimension, weights, mean_directions, concentrations`.
    ///
    /// # Errors
    /// The model cannot be turned into JSON.
    pub fn model_parameters_json(&self) -> Result<String, ReportError> {
        pretty(self.model())
    }

    /// How the fit went: `converged, n_iterations, log_likelihoods, warnings`.
    ///
    /// # Errors
    /// The data cannot be turned into JSON.
    pub fn convergence_info_json(&self) -> Result<String, ReportError> {
        pretty(&self.summary().convergence)
    }

    /// How good the model is: `train_log_likelihood, test_log_likelihood` (nats per item, surface
    /// measure), `n_parameters, bic, aic, silhouette, n_train, n_test`, `n_sampled` where the rest is of a sample, `nmi, ari`
    /// with labels, and `modality_gap` with texts and images. What needs fitted items is null where all are held out.
    ///
    /// # Errors
    /// The data cannot be turned into JSON.
    pub fn evaluation_metrics_json(&self) -> Result<String, ReportError> {
        pretty(&Metrics {
            evaluation: &self.summary().evaluation,
            modality_gap: self.summary().modality_gap.as_ref(),
        })
    }
}

#[derive(Serialize)]
struct Metrics<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    modality_gap: Option<&'a ModalityGap>,
}

fn pretty(value: &impl Serialize) -> Result<String, ReportError> {
    let mut json = serde_json::to_string_pretty(value)?;
    json.push('\n');
    Ok(json)
}
