//! The JSON files: names as in scikit-learn and linfa, numbers as in the summary.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

use super::comparison::{Agreement, Comparison};
use super::{
    COMPARISON_FILE, CONVERGENCE_FILE, ConvergenceInfo, Evaluation, METRICS_FILE, PARAMETERS_FILE,
    Report, ReportError, SELECTION_FILE, SUMMARY_FILE, Summary,
};
use crate::frame::ModalityGap;
use crate::mixture::{Candidate, VonMisesFisherMixture};

impl Report {
    /// All that the page shows: the [`Summary`].
    ///
    /// # Errors
    /// The data cannot be turned into JSON.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string(self.summary())?)
    }

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

    /// How good the model is: `train_log_likelihood, test_log_likelihood` and those of one distribution and of none (nats per
    /// item, surface measure), `n_parameters, bic, aic, silhouette, n_train, n_test`, `n_sampled` where the rest is of a sample, `nmi, ari`
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

/// The names of the JSON files that have a schema.
pub fn schemas() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().map(|(name, _)| *name)
}

/// The JSON Schema (2020-12) of a file that a report or a fit writes, by the name of the file.
///
/// ```
/// let schema = vmfmix::report::schema("evaluation_metrics.json").unwrap();
/// assert!(schema.get("properties").is_some());
/// ```
pub fn schema(file: &str) -> Option<Schema> {
    let (_, schema) = SCHEMAS.iter().find(|(name, _)| *name == file)?;
    Some(schema())
}

type SchemaOf = fn() -> Schema;

const SCHEMAS: [(&str, SchemaOf); 6] = [
    (SUMMARY_FILE, schema_of::<Summary>),
    (PARAMETERS_FILE, schema_of::<VonMisesFisherMixture>),
    (CONVERGENCE_FILE, schema_of::<ConvergenceInfo>),
    (METRICS_FILE, schema_of::<Metrics<'static>>),
    (SELECTION_FILE, schema_of::<Vec<Candidate>>),
    (COMPARISON_FILE, schema_of::<Measures<'static>>),
];

/// Of what is written, not of what can be read.
fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>()
}

impl Comparison {
    /// The measures of the mixtures and how far they agree.
    ///
    /// # Errors
    /// The data cannot be turned into JSON.
    pub fn to_json(&self) -> Result<String, ReportError> {
        let models = self.models.iter();
        let model = |model: &'_ super::Compared| MeasuresOfModel {
            name: model.name.clone(),
            n_components: model.summary.n_components(),
            dimension: model.summary.dimension,
            evaluation: model.summary.evaluation.clone(),
        };
        pretty(&Measures {
            title: &self.title,
            models: models.map(model).collect(),
            agreements: &self.agreements,
        })
    }
}

#[derive(Serialize, JsonSchema)]
struct Measures<'a> {
    title: &'a str,
    models: Vec<MeasuresOfModel>,
    agreements: &'a [Agreement],
}

#[derive(Serialize, JsonSchema)]
struct MeasuresOfModel {
    name: String,
    n_components: usize,
    dimension: usize,
    evaluation: Evaluation,
}

#[derive(Serialize, JsonSchema)]
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
