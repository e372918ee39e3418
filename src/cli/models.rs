//! `vmfmix models`.

use std::io::{Write, stdout};

use anyhow::Result;

use crate::encoder::models::MODELS;

pub(super) fn run() -> Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{:<15} {:>9} {:>6}  {:<36} licence",
        "name", "dimension", "pixels", "repository"
    )?;
    for model in MODELS {
        writeln!(
            out,
            "{:<15} {:>9} {:>6}  {:<36} {}",
            model.name, model.dimension, model.image_size, model.repository, model.licence
        )?;
    }
    writeln!(
        out,
        "\nAny Hugging Face id of a CLIP model and any local folder with one serve as well."
    )?;
    Ok(())
}
