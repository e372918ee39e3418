//! Matrices in `.npy` files: read some rows at a time, written row after row.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::ops::Range;
use std::path::Path;

use half::f16;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, WriterBuilder};
use positioned_io::ReadAt;

use ndarray::Array2;
use polars::prelude::DataFrame;

use super::{FrameError, Stamp, write_file};
use crate::contained::contained;
use crate::frame::present::Present;

/// Bytes that are converted at once.
const PIECE: usize = 1 << 16;

/// A matrix of floating-point numbers in a file, shape `(n_rows, n_columns)`.
#[derive(Debug)]
pub(in crate::frame) struct NpyMatrix {
    file: File,
    stamp: Stamp,
    /// Where the numbers begin, in bytes.
    offset: u64,
    /// Bytes of a number: 2, 4 or 8.
    size: usize,
    is_big_endian: bool,
    is_fortran: bool,
    dim: (usize, usize),
}

impl NpyMatrix {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// The file cannot be read, holds something else, or is shorter than its header says.
    pub(in crate::frame) fn open(path: &Path) -> Result<Self, FrameError> {
        Self::new(
            File::open(path).map_err(|cause| FrameError::io(path, cause))?,
            path,
        )
    }

    /// Reads the header of an open file, at its beginning; errors call it `path`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(in crate::frame) fn new(mut file: File, path: &Path) -> Result<Self, FrameError> {
        let failed = |cause| FrameError::io(path, cause);
        let length = file.metadata().map_err(failed)?.len();
        check_header(&file).map_err(failed)?;
        // Where overflow is checked, the product of the sides panics.
        let header = contained(|| NpyHeader::from_reader(&mut file));
        let header = header.unwrap_or_else(|cause| Err(io::Error::other(cause)));
        let header = header.map_err(failed)?;
        let not_a_matrix = || FrameError::NotAMatrix {
            path: path.to_owned(),
            found: format!("{} of shape {:?}", header.dtype().descr(), header.shape()),
        };
        let (&[rows, columns], DType::Plain(kind)) = (header.shape(), header.dtype()) else {
            return Err(not_a_matrix());
        };
        let is_readable = kind.type_char() == TypeChar::Float
            && matches!(kind.size_field(), 2 | 4 | 8)
            && (columns > 0 || rows == 0);
        if !is_readable {
            return Err(not_a_matrix());
        }
        let offset = file.stream_position().map_err(failed)?;
        // A damaged header must not make us reserve memory for what the file does not hold.
        let needed = u128::from(rows) * u128::from(columns);
        let needed = needed.saturating_mul(u128::from(kind.size_field()));
        if needed.saturating_add(offset.into()) > u128::from(length) {
            return Err(FrameError::Truncated {
                path: path.to_owned(),
                needed,
                length,
            });
        }
        Ok(Self {
            stamp: Stamp::of(&file).map_err(failed)?,
            file,
            offset,
            size: kind.size_field() as usize,
            is_big_endian: kind.endianness() == Endianness::Big,
            is_fortran: header.order() == Order::Fortran,
            dim: (rows as usize, columns as usize),
        })
    }

    pub(in crate::frame) fn dim(&self) -> (usize, usize) {
        self.dim
    }

    /// Reads rows one after the other into `into`, which has `rows.len() * n_columns` places.
    ///
    /// # Errors
    /// The file has been changed, or cannot be read any more.
    pub(in crate::frame) fn read(&self, rows: Range<usize>, into: &mut [f32]) -> io::Result<()> {
        let (n_rows, n_columns) = self.dim;
        if !self.is_fortran {
            self.read_run(rows.start * n_columns, into)?;
            return self.stamp.check(&self.file);
        }
        let mut column = vec![0.0; rows.len()];
        for j in 0..n_columns {
            self.read_run(j * n_rows + rows.start, &mut column)?;
            let places = into.iter_mut().skip(j).step_by(n_columns);
            places.zip(&column).for_each(|(place, &x)| *place = x);
        }
        self.stamp.check(&self.file)
    }

    /// Reads numbers that lie side by side in the file.
    fn read_run(&self, first: usize, into: &mut [f32]) -> io::Result<()> {
        let at = |number: usize| self.offset + number as u64 * self.size as u64;
        if self.size == 4 && !self.is_big_endian && cfg!(target_endian = "little") {
            return self
                .file
                .read_exact_at(at(first), bytemuck::cast_slice_mut(into));
        }
        let piece = PIECE / self.size;
        let mut bytes = vec![0; piece.min(into.len()) * self.size];
        for (i, into) in into.chunks_mut(piece).enumerate() {
            let bytes = &mut bytes[..into.len() * self.size];
            self.file.read_exact_at(at(first + i * piece), bytes)?;
            for (x, bytes) in into.iter_mut().zip(bytes.chunks_exact_mut(self.size)) {
                if self.is_big_endian {
                    bytes.reverse();
                }
                *x = match *bytes {
                    [a, b] => f16::from_le_bytes([a, b]).to_f32(),
                    [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
                    [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
                    _ => unreachable!("the size was checked when the file was opened"),
                };
            }
        }
        Ok(())
    }
}

/// Longest header, and how deeply it may nest: the header's reader takes time that grows exponentially with depth.
const MAX_HEADER: usize = 1 << 16;
const MAX_DEPTH: usize = 4;

/// Refuses a header that is not worth reading.
///
/// Format: NumPy, `numpy/lib/format.py`: six letters, two bytes of version, the length in two bytes, from version 2 on in four.
fn check_header(file: &File) -> io::Result<()> {
    let mut start = [0; 12];
    file.read_exact_at(0, &mut start)?;
    let [.., 1, _, low, high, _, _] = start else {
        let length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        return check_depth(file, start.len(), length as usize);
    };
    check_depth(
        file,
        start.len() - 2,
        u16::from_le_bytes([low, high]).into(),
    )
}

fn check_depth(file: &File, start: usize, length: usize) -> io::Result<()> {
    let unlikely = || io::Error::new(io::ErrorKind::InvalidData, "its header is none of a matrix");
    if length > MAX_HEADER {
        return Err(unlikely());
    }
    let mut header = vec![0; length];
    file.read_exact_at(start as u64, &mut header)?;
    let mut depth = 0_usize;
    for byte in header {
        match byte {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(unlikely());
        }
    }
    Ok(())
}

/// Writes a column of embeddings to a `.npy` file of `f32`, shape `(n_samples, dimension)`, whole or not at all. Rows without an
/// embedding are rows of NaN.
///
/// # Errors
/// The column holds no vectors, or vectors of several lengths, or the file cannot be written.
pub fn write_npy(
    frame: &DataFrame,
    column: &str,
    path: impl AsRef<Path>,
) -> Result<(), FrameError> {
    let present = Present::of(frame, column)?;
    let matrix = present.or_nan(column, present.embeddings.dimension())?;
    write_npy_batches(path, matrix.dim(), [Ok(matrix)])
}

/// Writes matrices, one below the other, as one of so many rows and columns, whole or not at all.
///
/// # Errors
/// A matrix cannot be had, they have more or fewer rows, or the file cannot be written.
pub(super) fn write_npy_batches(
    path: impl AsRef<Path>,
    dim: (usize, usize),
    batches: impl IntoIterator<Item = Result<Array2<f32>, FrameError>>,
) -> Result<(), FrameError> {
    let path = path.as_ref();
    write_file(path, |file| fill_npy(file, path, dim, batches))
}

/// Writes the same to an open file; errors call it `path`.
///
/// # Errors
/// A matrix cannot be had, they have more or fewer rows, or the file cannot be written.
pub(in crate::frame) fn fill_npy(
    file: &mut File,
    path: &Path,
    (rows, columns): (usize, usize),
    batches: impl IntoIterator<Item = Result<Array2<f32>, FrameError>>,
) -> Result<(), FrameError> {
    let failed = |cause| FrameError::io(path, cause);
    let mut buffer = BufWriter::with_capacity(PIECE, file);
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[rows as u64, columns as u64])
        .writer(&mut buffer)
        .begin_nd()
        .map_err(failed)?;
    for batch in batches {
        writer.extend(batch?).map_err(failed)?;
    }
    writer
        .finish()
        .and_then(|()| buffer.flush())
        .map_err(failed)
}
