//! The function that executors run to assign rows: embeddings to what a mixture says of them.
//!
//! `vmf_assign(embedding, model)`, where the model is a literal: its JSON. Rows without an embedding get nulls.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, StructArray, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{filter, is_not_null, take};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::function::external;
use super::rows::{Rows, rows};
use crate::mixture::VonMisesFisherMixture;

/// The columns of an assignment, as [`FrameExt::predict_with`](crate::frame::FrameExt::predict_with) names them.
pub(super) const COLUMNS: [&str; 5] = [
    "component",
    "probability",
    "log_likelihood",
    "entropy",
    "outlier_score",
];

/// The function, by the name that all processes know it by.
pub(super) fn assign() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AssignFunction {
        signature: Signature::any(2, Volatility::Immutable),
    }))
}

/// The assignments of a column by a model.
pub(super) fn call(column: Expr, model: &VonMisesFisherMixture) -> Result<Expr> {
    let json = serde_json::to_vec(model).map_err(external)?;
    let model = lit(ScalarValue::Binary(Some(json)));
    Ok(assign().call(vec![column, model]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AssignFunction {
    signature: Signature,
}

impl ScalarUDFImpl for AssignFunction {
    fn name(&self) -> &str {
        "vmf_assign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [
            ColumnarValue::Array(column),
            ColumnarValue::Scalar(ScalarValue::Binary(Some(json))),
        ] = &arguments.args[..]
        else {
            return Err(exec_datafusion_err!(
                "vmf_assign takes a column and a model"
            ));
        };
        let model: VonMisesFisherMixture = serde_json::from_slice(json).map_err(external)?;
        Ok(ColumnarValue::Array(assignments(column, &model)?))
    }
}

fn fields() -> Fields {
    let types = [DataType::UInt32]
        .into_iter()
        .chain(std::iter::repeat(DataType::Float64));
    let columns = COLUMNS.iter().zip(types);
    columns
        .map(|(name, kind)| Field::new(*name, kind, true))
        .collect()
}

fn assignments(column: &ArrayRef, model: &VonMisesFisherMixture) -> Result<ArrayRef> {
    let is_present: BooleanArray = is_not_null(column)?;
    let present = filter(column, &is_present)?;
    if present.is_empty() {
        return Ok(new_null_array(&DataType::Struct(fields()), column.len()));
    }
    let found = match rows(&present).map_err(external)? {
        Rows::F32(rows) => model.memberships(rows.view()),
        Rows::F64(rows) => model.memberships(rows.view()),
    }
    .map_err(external)?;
    let components = found.components.iter().map(|&component| component as u32);
    let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from_iter_values(components))];
    for values in [
        found.probabilities,
        found.log_likelihoods,
        found.entropies,
        found.outlier_scores,
    ] {
        columns.push(Arc::new(Float64Array::from_iter_values(values)));
    }
    let assigned: ArrayRef = Arc::new(StructArray::new(fields(), columns, None));
    if present.len() == column.len() {
        return Ok(assigned);
    }
    let mut next = 0;
    let places: UInt32Array = is_present
        .values()
        .iter()
        .map(|is_present| {
            let place = is_present.then_some(next);
            next += u32::from(is_present);
            place
        })
        .collect();
    Ok(take(&assigned, &places, None)?)
}
