//! One task a file: each becomes one of the same name in another folder, with columns that a function adds.

use datafusion::common::Result;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::prelude::{Expr, ParquetReadOptions, SessionContext, col};
use futures::{StreamExt, TryStreamExt};

use super::files::Files;
use crate::progress::Progress;

/// The struct that holds the new columns until they are columns.
const ADDED: &str = "vmf_added";

/// Files that are worked on at a time.
const AT_A_TIME: usize = 64;

/// Columns to add, and one to leave out.
pub(super) struct Change<'a> {
    /// A struct of the new columns.
    pub(super) added: Expr,
    pub(super) names: &'a [&'a str],
    pub(super) left_out: Option<&'a str>,
    /// What is being done, for those who watch.
    pub(super) stage: &'a str,
}

/// Writes each file, changed, into the folder. Rows keep their order.
pub(super) async fn each_file(
    context: &SessionContext,
    files: &Files,
    folder: &str,
    change: &Change<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let folder = folder.trim_end_matches('/');
    let jobs = files.addresses().map(|(address, name)| {
        let to = format!("{folder}/{name}");
        async move {
            let options = ParquetReadOptions::default();
            let table = context.read_parquet(address, options).await?;
            let table = table.with_column(ADDED, change.added.clone())?;
            let names = table.schema().fields().iter().map(|field| field.name());
            let kept = names.filter(|name| {
                *name != ADDED
                    && Some(name.as_str()) != change.left_out
                    && !change.names.contains(&name.as_str())
            });
            let mut columns: Vec<Expr> = kept.map(|name| col(quoted(name))).collect();
            for name in change.names {
                columns.push(get_field(col(ADDED), *name).alias(*name));
            }
            let options = DataFrameWriteOptions::new().with_single_file_output(true);
            let table = table.select(columns)?;
            table.write_parquet(&to, options, None).await
        }
    });
    let mut done = futures::stream::iter(jobs).buffer_unordered(AT_A_TIME);
    let mut count = 0;
    while done.try_next().await?.is_some() {
        count += 1;
        progress.update(change.stage, count, files.len());
    }
    Ok(())
}

/// A column's name as it stands, capitals and all.
pub(super) fn quoted(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}
