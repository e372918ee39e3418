//! `vmfmix schema`.

use std::io::{Write, stdout};

use anyhow::Result;

use super::args::SchemaArgs;
use crate::report::{schema, schemas};

pub(super) fn run(args: &SchemaArgs) -> Result<()> {
    let text = match args.file.as_deref().and_then(schema) {
        Some(schema) => serde_json::to_string_pretty(&schema)?,
        None => schemas().collect::<Vec<_>>().join("\n"),
    };
    Ok(writeln!(stdout(), "{text}")?)
}
