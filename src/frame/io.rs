//! Files become frames, and frames become files that are always whole.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ShapeBuilder};
use npyz::{NpyFile, Order, TypeChar};
use polars::prelude::*;
use walkdir::WalkDir;

use super::{EMBEDDING, Embeddings, FrameError};
use crate::whole_file::write_whole;

/// Extensions of the pictures that [`image_folder`] looks for, in lower case.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Reads a file with one text a line into column `text`. A byte order mark and carriage returns are taken off,
/// blank lines are kept as nulls so that line numbers stay, and bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// The file cannot be read, or holds nothing but blank lines.
pub fn text_file(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|cause| io(path, cause))?;
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
        return Err(io(root, kind.into()));
    }
    let mut paths: Vec<PathBuf> = WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) => (!entry.file_type().is_dir() && is_image(entry.path()))
                .then(|| Ok(entry.into_path())),
            Err(error) if error.loop_ancestor().is_some() => None,
            // A dangling link named like a picture is a picture that cannot be read; a closed folder is an error.
            Err(error) => match error.path().filter(|path| is_image(path)) {
                Some(path) => Some(Ok(path.to_owned())),
                None => Some(Err(io(
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

/// Reads a table, `.csv`, `.tsv` or `.parquet`.
///
/// # Errors
/// The file cannot be read, or is of another kind.
pub fn table(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let path = path.as_ref();
    let separator = match extension(path).as_str() {
        "csv" => b',',
        "tsv" => b'\t',
        "parquet" => return parquet(path),
        _ => {
            return Err(FrameError::UnknownFormat {
                path: path.to_owned(),
                expected: ".csv, .tsv and .parquet",
            });
        }
    };
    let file = File::open(path).map_err(|cause| io(path, cause))?;
    CsvReadOptions::default()
        .map_parse_options(|options| options.with_separator(separator))
        .into_reader_with_file_handle(file)
        .finish()
        .map_err(|cause| FrameError::Table {
            path: path.to_owned(),
            cause,
        })
}

/// Reads embeddings made elsewhere: a `.npy` matrix into column `embedding`, or a `.parquet` table, whose column of
/// vectors is then called `embedding`: the one of that name, else the only one.
///
/// # Errors
/// The file cannot be read, is of another kind, or holds no vectors.
pub fn embeddings_file(path: impl AsRef<Path>) -> Result<DataFrame, FrameError> {
    let path = path.as_ref();
    match extension(path).as_str() {
        "npy" => {
            let column = Embeddings::into_column(EMBEDDING, npy(path)?)?;
            Ok(DataFrame::new_infer_height(vec![column])?)
        }
        "parquet" => {
            let mut frame = parquet(path)?;
            if frame.column(EMBEDDING).is_err() {
                let holds_vectors = |column: &&Column| match column.dtype() {
                    DataType::List(inner) | DataType::Array(inner, _) => inner.is_float(),
                    _ => false,
                };
                let mut vectors = frame
                    .columns()
                    .iter()
                    .filter(holds_vectors)
                    .map(|column| column.name().clone());
                let (Some(name), None) = (vectors.next(), vectors.next()) else {
                    return Err(FrameError::NoVectors {
                        path: path.to_owned(),
                    });
                };
                drop(vectors);
                frame.rename(&name, EMBEDDING.into())?;
            }
            Ok(frame)
        }
        _ => Err(FrameError::UnknownFormat {
            path: path.to_owned(),
            expected: ".npy and .parquet",
        }),
    }
}

/// Writes a Parquet file, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write_parquet(frame: &DataFrame, path: impl AsRef<Path>) -> Result<(), FrameError> {
    let path = path.as_ref();
    let fill = |file: &mut File| {
        ParquetWriter::new(file)
            .finish(&mut frame.clone())
            .map(drop)
    };
    write_whole(path, fill).map_err(|cause| FrameError::Table {
        path: path.to_owned(),
        cause,
    })
}

/// Writes the rows of Parquet files with the same columns, one file after the other, to one, whole or not at all; `visit`
/// sees the rows of each. Holds one file at a time in memory.
///
/// # Errors
/// A file cannot be read, the columns differ, or the result cannot be written.
pub fn join_parquet(
    parts: &[PathBuf],
    path: impl AsRef<Path>,
    mut visit: impl FnMut(&DataFrame),
) -> Result<(), FrameError> {
    let path = path.as_ref();
    let read = |part: &PathBuf| ParquetReader::new(File::open(part)?).finish();
    let fill = |file: &mut File| {
        let Some((first, rest)) = parts.split_first() else {
            return Err(PolarsError::NoData("no file to join".into()));
        };
        let first = read(first)?;
        let mut writer = ParquetWriter::new(file).batched(first.schema())?;
        visit(&first);
        writer.write_batch(&first)?;
        for part in rest {
            let part = read(part)?;
            visit(&part);
            writer.write_batch(&part)?;
        }
        writer.finish().map(drop)
    };
    write_whole(path, fill).map_err(|cause| FrameError::Table {
        path: path.to_owned(),
        cause,
    })
}

/// The number of rows of a Parquet file, without reading them.
///
/// # Errors
/// The file cannot be read.
pub fn parquet_height(path: impl AsRef<Path>) -> Result<usize, FrameError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|cause| io(path, cause))?;
    ParquetReader::new(file)
        .num_rows()
        .map_err(|cause| FrameError::Table {
            path: path.to_owned(),
            cause,
        })
}

fn parquet(path: &Path) -> Result<DataFrame, FrameError> {
    let file = File::open(path).map_err(|cause| io(path, cause))?;
    ParquetReader::new(file)
        .finish()
        .map_err(|cause| FrameError::Table {
            path: path.to_owned(),
            cause,
        })
}

fn npy(path: &Path) -> Result<Array2<f32>, FrameError> {
    let file = File::open(path).map_err(|cause| io(path, cause))?;
    let length = file.metadata().map_err(|cause| io(path, cause))?.len();
    let npy = NpyFile::new(BufReader::new(file)).map_err(|cause| io(path, cause))?;
    let header = npy.header().clone();
    let not_a_matrix = || FrameError::NotAMatrix {
        path: path.to_owned(),
        found: format!("{} of shape {:?}", header.dtype().descr(), header.shape()),
    };
    let &[rows, columns] = header.shape() else {
        return Err(not_a_matrix());
    };
    let npyz::DType::Plain(kind) = header.dtype() else {
        return Err(not_a_matrix());
    };
    // A damaged header must not make us reserve memory for what the file does not hold.
    let needed = u128::from(rows) * u128::from(columns) * u128::from(kind.size_field());
    if needed > u128::from(length) {
        return Err(FrameError::Truncated {
            path: path.to_owned(),
            needed,
            length,
        });
    }
    let read_error = |cause| io(path, cause);
    let values: Vec<f32> = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 2) => npy
            .into_vec::<half::f16>()
            .map_err(read_error)?
            .into_iter()
            .map(f32::from)
            .collect(),
        (TypeChar::Float, 4) => npy.into_vec().map_err(read_error)?,
        (TypeChar::Float, 8) => npy
            .into_vec::<f64>()
            .map_err(read_error)?
            .into_iter()
            .map(|x| x as f32)
            .collect(),
        _ => return Err(not_a_matrix()),
    };
    let shape = (rows as usize, columns as usize).set_f(header.order() == Order::Fortran);
    Array2::from_shape_vec(shape, values).map_err(|_| not_a_matrix())
}

fn is_image(path: &Path) -> bool {
    IMAGE_EXTENSIONS.contains(&extension(path).as_str())
}

fn extension(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase()
}

fn io(path: &Path, cause: std::io::Error) -> FrameError {
    FrameError::Io {
        path: path.to_owned(),
        cause,
    }
}
