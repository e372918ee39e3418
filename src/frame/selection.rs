//! Candidates of a selection as a table.

use polars::prelude::*;

use super::FrameError;
use crate::mixture::{Candidate, Selection};

impl TryFrom<&Selection> for DataFrame {
    type Error = FrameError;

    /// A row for each number of components: `n_components, log_likelihood, held_out_log_likelihood, n_parameters, bic,
    /// aic, icl, silhouette, converged, n_iterations, seconds`.
    fn try_from(selection: &Selection) -> Result<Self, FrameError> {
        let rows = &selection.candidates;
        let counts = |name: &str, value: fn(&Candidate) -> usize| {
            let values: Vec<u64> = rows.iter().map(|row| value(row) as u64).collect();
            Column::new(name.into(), values)
        };
        let numbers = |name: &str, value: fn(&Candidate) -> Option<f64>| {
            let values: Vec<Option<f64>> = rows.iter().map(value).collect();
            Column::new(name.into(), values)
        };
        let converged: Vec<bool> = rows.iter().map(|row| row.converged).collect();
        let columns = vec![
            counts("n_components", |row| row.n_components),
            numbers("log_likelihood", |row| Some(row.log_likelihood)),
            numbers("held_out_log_likelihood", |row| row.held_out_log_likelihood),
            counts("n_parameters", |row| row.n_parameters),
            numbers("bic", |row| Some(row.bic)),
            numbers("aic", |row| Some(row.aic)),
            numbers("icl", |row| Some(row.icl)),
            numbers("silhouette", |row| row.silhouette),
            Column::new("converged".into(), converged),
            counts("n_iterations", |row| row.n_iterations),
            numbers("seconds", |row| Some(row.seconds)),
        ];
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
