//! Columns of texts, paths and encoded images as what an encoder takes.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::FrameError;
use crate::encoder::ImageSource;

/// The texts of a string column; nulls stay nulls.
pub(super) fn texts<'a>(
    frame: &'a DataFrame,
    column: &str,
) -> Result<Vec<Option<&'a str>>, FrameError> {
    let series = frame.column(column)?.as_materialized_series();
    match series.dtype() {
        DataType::String => Ok(series.str()?.iter().collect()),
        other => Err(wrong_type(column, other, "a column of strings")),
    }
}

/// A column of images; nulls stay nulls.
pub(super) enum Images<'a> {
    Paths(Vec<Option<PathBuf>>),
    Bytes(Vec<Option<&'a [u8]>>),
}

impl<'a> Images<'a> {
    /// The images of a column of paths, taken below `root` where they are relative, or of encoded bytes.
    pub(super) fn of(
        frame: &'a DataFrame,
        column: &str,
        root: Option<&Path>,
    ) -> Result<Self, FrameError> {
        let series = frame.column(column)?.as_materialized_series();
        let below_root = |path: &str| root.map_or_else(|| path.into(), |root| root.join(path));
        match series.dtype() {
            DataType::String => Ok(Self::Paths(
                series
                    .str()?
                    .iter()
                    .map(|path| path.map(below_root))
                    .collect(),
            )),
            DataType::Binary => Ok(Self::Bytes(series.binary()?.iter().collect())),
            other => Err(wrong_type(
                column,
                other,
                "a column of paths (strings) or of encoded images (binary)",
            )),
        }
    }

    pub(super) fn sources(&self) -> Vec<Option<ImageSource<'_>>> {
        match self {
            Self::Paths(paths) => paths
                .iter()
                .map(|path| path.as_deref().map(ImageSource::Path))
                .collect(),
            Self::Bytes(all) => all
                .iter()
                .map(|bytes| bytes.map(ImageSource::Bytes))
                .collect(),
        }
    }
}

pub(super) fn wrong_type(column: &str, got: &DataType, expected: &'static str) -> FrameError {
    FrameError::ColumnType {
        column: column.to_owned(),
        got: got.clone(),
        expected,
    }
}
