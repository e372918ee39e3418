//! The aggregate function that executors run: rows of embeddings to the statistics of a model, by the kernel that serves
//! data in memory.
//!
//! `vmf_statistics(embedding, task)`, where the task is a literal: a dictionary of one binary value, so that a batch of
//! rows does not make as many copies of the model.

use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, lit,
};
use datafusion::physical_expr::expressions::Literal;
use ndarray::ArrayView2;

use super::rows::{Rows, rows};
use super::wire::{Task, statistics_from_bytes, statistics_to_bytes};
use crate::mixture::{Assignment, InMemory, MixtureError, Observations, Scorer, Statistics};

/// The function, by the name that all processes know it by.
pub(super) fn statistics() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(StatisticsFunction {
        signature: Signature::any(2, Volatility::Immutable),
    }))
}

/// The statistics of a column for a task, as [`Task::to_bytes`] makes it.
pub(super) fn call(column: Expr, task: Vec<u8>) -> Expr {
    let bytes = ScalarValue::Binary(Some(task));
    let task = ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(bytes));
    statistics().call(vec![column, lit(task)])
}

/// The statistics in a result of [`call`].
pub(super) fn result(column: &ArrayRef) -> Result<Statistics> {
    let bytes = column.as_binary::<i32>();
    if bytes.len() != 1 || bytes.is_null(0) {
        return Err(exec_datafusion_err!(
            "{} results where one was expected",
            bytes.len()
        ));
    }
    statistics_from_bytes(bytes.value(0)).map_err(external)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StatisticsFunction {
    signature: Signature,
}

impl AggregateUDFImpl for StatisticsFunction {
    fn name(&self) -> &str {
        "vmf_statistics"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let task = arguments
            .exprs
            .get(1)
            .and_then(|task| task.downcast_ref::<Literal>());
        let bytes = match task.map(Literal::value) {
            Some(ScalarValue::Dictionary(_, value)) => match &**value {
                ScalarValue::Binary(Some(bytes)) => bytes,
                _ => return Err(no_task()),
            },
            _ => return Err(no_task()),
        };
        let task = Task::from_bytes(bytes).map_err(external)?;
        let (k, d) = task.scorer.mean_directions.dim();
        Ok(Box::new(Sum {
            task,
            statistics: Statistics::zeros(k, d),
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[statistics]", arguments.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, false))])
    }
}

fn no_task() -> DataFusionError {
    exec_datafusion_err!("the second argument of vmf_statistics is no task")
}

pub(super) fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The statistics of the rows seen so far.
#[derive(Debug)]
struct Sum {
    task: Task,
    statistics: Statistics,
}

impl Sum {
    fn add<F: linfa::Float>(&mut self, rows: ArrayView2<'_, F>) -> Result<(), MixtureError> {
        let Task {
            scorer,
            assignment,
            block_size,
        } = &self.task;
        let points = InMemory::new(rows, None)?.block_size(*block_size);
        let added = match assignment {
            Assignment::Stochastic => {
                // Draws depend on the row's place, which nobody knows here: on its first numbers instead.
                let first = rows.iter().take(8).fold(0_u64, |hash, x| {
                    let bits = x.to_f64().unwrap_or(0.0).to_bits();
                    (hash ^ bits).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                });
                let seed = scorer.seed ^ first;
                let scorer = Scorer {
                    seed,
                    ..scorer.clone()
                };
                points.sweep(&scorer, *assignment)?
            }
            _ => points.sweep(scorer, *assignment)?,
        };
        self.statistics.merge(&added);
        Ok(())
    }
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values[0].is_empty() {
            return Ok(());
        }
        match rows(&values[0]).map_err(external)? {
            Rows::F32(rows) => self.add(rows.view()),
            Rows::F64(rows) => self.add(rows.view()),
        }
        .map_err(external)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            let part = statistics_from_bytes(bytes).map_err(external)?;
            if part.resultants.dim() != self.statistics.resultants.dim() {
                return Err(exec_datafusion_err!("parts of two passes"));
            }
            self.statistics.merge(&part);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let bytes = statistics_to_bytes(&self.statistics);
        Ok(ScalarValue::Binary(Some(bytes)))
    }

    fn size(&self) -> usize {
        let matrices = [
            &self.statistics.resultants,
            &self.task.scorer.mean_directions,
        ];
        size_of_val(self)
            + matrices
                .iter()
                .map(|matrix| 8 * matrix.len())
                .sum::<usize>()
    }
}
