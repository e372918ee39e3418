//! `vmfmix models`.

use std::io::{Write, stdout};

use anyhow::Result;

use crate::encoder::models::MODELS;

pub(super) fn run() -> Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{:<15} {:>9} {:>6} {:>10}  {:<33} {:<9} licence",
        "name", "dimension", "pixels", "parameters", "repository", "revision"
    )?;
    for model in MODELS {
        writeln!(
            out,
            "{:<15} {:>9} {:>6} {:>8} M  {:<33} {:<9} {}",
            model.name,
            model.dimension,
            model.image_size,
            model.parameters_in_millions,
            model.repository,
            model.revision.map_or("newest", |commit| &commit[..8]),
            model.licence
        )?;
    }
    writeln!(
        out,
        "\nAny Hugging Face id of a CLIP model and any local folder with one serve as well."
    )?;
    Ok(())
}
