//! Columns of texts, paths and encoded images as what an encoder takes.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::FrameError;
use crate::encoder::{ImageSource, is_url};

/// The texts of a string column; nulls stay nulls.
pub(super) fn texts<'a>(
    frame: &'a DataFrame,
    column: &str,
) -> Result<Vec<Option<&'a str>>, FrameError> {
    let series = frame.column(column)?.as_materialized_series();
    match series.dtype() {
        DataType::String => Ok(series.str()?.iter().collect()),
        // A column without a value may have lost its type.
        DataType::Null => Ok(vec![None; series.len()]),
        other => Err(wrong_type(column, other, "a column of strings")),
    }
}

/// A column of images; nulls stay nulls. Where a row has both bytes and a path, the bytes are the image.
pub(super) struct Images<'a> {
    bytes: BinaryChunked,
    paths: Vec<Option<PathBuf>>,
    within: Option<&'a Path>,
}

impl<'a> Images<'a> {
    /// The images of a column of paths, taken below `root` where they are relative, of encoded bytes, or of structs of
    /// both, as Hugging Face writes them. Paths out of `within` are not followed.
    pub(super) fn of(
        frame: &DataFrame,
        column: &str,
        root: Option<&Path>,
        within: Option<&'a Path>,
    ) -> Result<Self, FrameError> {
        let series = frame.column(column)?.as_materialized_series();
        let wrong = || {
            wrong_type(
                column,
                series.dtype(),
                "a column of paths (strings), of encoded images (binary) or of structs with the fields `bytes` (binary) and `path` (string)",
            )
        };
        let nulls = |dtype| Series::full_null(PlSmallStr::EMPTY, series.len(), &dtype);
        let (bytes, paths) = match series.dtype() {
            DataType::String => (nulls(DataType::Binary), series.clone()),
            DataType::Binary => (series.clone(), nulls(DataType::String)),
            DataType::Struct(_) => {
                // A column without a value may have lost its type.
                let field = |name: &str, dtype: DataType| {
                    let field = series.struct_()?.field_by_name(name);
                    let field = field.map_err(|_| wrong())?;
                    let is_present = series.is_not_null();
                    match field.dtype() {
                        found if *found == dtype => Ok(field.zip_with(&is_present, &nulls(dtype))?),
                        DataType::Null => Ok(nulls(dtype)),
                        _ => Err(wrong()),
                    }
                };
                (
                    field("bytes", DataType::Binary)?,
                    field("path", DataType::String)?,
                )
            }
            _ => return Err(wrong()),
        };
        let below_root = |path: &str| match root {
            Some(root) if !is_url(path) => root.join(path),
            _ => path.into(),
        };
        Ok(Self {
            bytes: bytes.binary()?.clone(),
            paths: paths
                .str()?
                .iter()
                .map(|path| path.map(below_root))
                .collect(),
            within,
        })
    }

    pub(super) fn sources(&self) -> Vec<Option<ImageSource<'_>>> {
        let in_file = |path| match self.within {
            Some(folder) => ImageSource::Within { folder, path },
            None => ImageSource::Path(path),
        };
        let pairs = self.bytes.iter().zip(&self.paths);
        pairs
            .map(|(bytes, path)| {
                let path = path.as_deref().map(in_file);
                bytes.map(ImageSource::Bytes).or(path)
            })
            .collect()
    }
}

pub(super) fn wrong_type(column: &str, got: &DataType, expected: &'static str) -> FrameError {
    FrameError::ColumnType {
        column: column.to_owned(),
        got: got.clone(),
        expected,
    }
}
