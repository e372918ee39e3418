//! Texts in a file, and pictures in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use walkdir::WalkDir;

use super::{FrameError, extension};

/// Extensions of the pictures that [`image_folder`] looks for, in lower case.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Reads a file with one text a line into column `text`. A byte order mark and carriage returns are taken off,
/// blank lines are kept as nulls so that line numbers stay, and bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// The file cannot be read, or holds nothing but blank lines.
pub fn text_file(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|cause| FrameError::io(path, cause))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: StringChunked = text
        .strip_prefix('\u{feff}')
        .unwrap_or(&text)
        .lines()
        .map(|line| (!line.trim().is_empty()).then_some(line))
        .collect();
    if lines.null_count() == lines.len() {
        return Err(FrameError::NoTexts {
            path: path.to_owned(),
        });
    }
    Ok(DataFrame::new_infer_height(vec![
        lines.with_name("text".into()).into_column(),
    ])?)
}

/// Finds the pictures of a folder and the folders below it, in the order of their paths: column `path`, and column
/// `label` with the name of the folder each lies in where they lie in several.
///
/// # Errors
/// The folder cannot be read, or holds no picture.
pub fn image_folder(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let root = path.as_ref();
    if !root.is_dir() {
        let kind = if root.exists() {
            std::io::ErrorKind::NotADirectory
        } else {
            std::io::ErrorKind::NotFound
        };
        return Err(FrameError::io(root, kind.into()));
    }
    let mut paths: Vec<PathBuf> = WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) => (!entry.file_type().is_dir() && is_image(entry.path()))
                .then(|| Ok(entry.into_path())),
            Err(error) if error.loop_ancestor().is_some() => None,
            Err(error) if leads_nowhere(&error) => None,
            // A dangling link named like a picture is a picture that cannot be read; a closed folder is an error.
            Err(error) => match error.path().filter(|path| is_image(path)) {
                Some(path) => Some(Ok(path.to_owned())),
                None => Some(Err(FrameError::io(
                    error.path().unwrap_or(root),
                    std::io::Error::other(error.to_string()),
                ))),
            },
        })
        .collect::<Result<_, _>>()?;
    if paths.is_empty() {
        let extensions = IMAGE_EXTENSIONS
            .map(|extension| format!(".{extension}"))
            .join(", ");
        return Err(FrameError::NoImages {
            path: root.to_owned(),
            extensions,
        });
    }
    paths.sort();
    let folders: Vec<String> = paths
        .iter()
        .map(|path| {
            path.parent()
                .and_then(Path::file_name)
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let column: StringChunked = paths
        .iter()
        .map(|path| Some(path.to_string_lossy()))
        .collect();
    let mut columns = vec![column.with_name("path".into()).into_column()];
    if paths
        .iter()
        .map(|path| path.parent())
        .collect::<BTreeSet<_>>()
        .len()
        > 1
    {
        columns.push(Column::new("label".into(), folders));
    }
    Ok(DataFrame::new_infer_height(columns)?)
}

/// Whether an error is about a link to itself or to nothing, which is not named like a picture.
fn leads_nowhere(error: &walkdir::Error) -> bool {
    let link = |path: &&Path| path.is_symlink() && !is_image(path);
    error.path().filter(link).is_some()
}

/// Whether a path is named like a picture.
pub(crate) fn is_image(path: &Path) -> bool {
    IMAGE_EXTENSIONS.contains(&extension(path).as_str())
}
