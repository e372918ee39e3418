//! Embeddings larger than memory: rows of files, read again in every pass.
//!
//! Rows of `.npy` files are read where they lie. Those of Parquet files are decoded once, into a scratch file of plain `f32`:
//! decoding a list takes longer than a pass of EM over it. What is read goes through one block per thread, so that the
//! page cache of the system, not the memory of the program, decides how often the disk is asked; the system reads ahead.

use std::cell::Cell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayView2;

use super::io::{EmbeddingsFile, NpyMatrix};
use super::{EMBEDDING, FrameError};
use crate::mixture::{MixtureError, Points, Rows};

/// The vectors of `.npy` and `.parquet` files, one file after the other.
///
/// ```
/// use vmfmix::frame::Shards;
/// use vmfmix::linfa::ParamGuard;
/// use vmfmix::prelude::*;
///
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let frame = io::text_file("datasets/shapes/captions.txt")?.embed_text("text", &encoder)?;
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("part-0.parquet");
/// io::write_parquet(&frame, &file)?;
///
/// let shards = Shards::open(&[file], &folder)?;
/// let points = shards.points(shards.present())?;
/// let model = VonMisesFisherMixture::params(24).n_runs(1).check()?.fit_observations(&points)?;
/// assert_eq!(model.n_components(), 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Shards {
    parts: Vec<Part>,
    dimension: usize,
    height: usize,
    /// Rows without a vector, ascending.
    absent: Vec<usize>,
}

struct Part {
    path: PathBuf,
    matrix: NpyMatrix,
    /// Number of its first row among those of all files.
    first: usize,
}

impl Shards {
    /// Opens files of any size. Those of Parquet are decoded into scratch files in the folder `scratch`, of four bytes a number,
    /// which go with the value.
    ///
    /// # Errors
    /// A file cannot be read or holds no vectors, a scratch file cannot be written, or the vectors have several lengths.
    pub fn open<P: AsRef<Path>>(
        files: &[P],
        scratch: impl AsRef<Path>,
    ) -> Result<Self, FrameError> {
        let (mut parts, mut absent) = (Vec::<Part>::new(), Vec::new());
        let (mut height, mut dimension) = (0, 0);
        for path in files {
            let file = EmbeddingsFile::open(path)?;
            let (first, path) = (height, file.path().to_owned());
            height += file.height();
            let (matrix, without) = file.into_matrix(scratch.as_ref())?;
            absent.extend(without.into_iter().map(|row| first + row));
            let Some(matrix) = matrix else { continue };
            let got = matrix.dim().1;
            if dimension != 0 && got != dimension {
                return Err(FrameError::Width {
                    path,
                    got,
                    expected: dimension,
                });
            }
            dimension = got;
            parts.push(Part {
                path,
                matrix,
                first,
            });
        }
        Ok(Self {
            parts,
            dimension,
            height,
            absent,
        })
    }

    /// Number of rows, those without a vector with them.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The rows that have a vector, ascending.
    pub fn present(&self) -> Vec<usize> {
        let mut absent = self.absent.iter().peekable();
        (0..self.height)
            .filter(|row| absent.next_if_eq(&row).is_none())
            .collect()
    }

    /// Some rows as observations, in ascending order.
    ///
    /// # Errors
    /// [`FrameError::NoDirection`] if a vector has no direction, [`FrameError::Mixture`] if their dimension is below 2 or
    /// they cannot be read.
    pub fn points(&self, rows: Vec<usize>) -> Result<Points<ShardRows<'_>>, FrameError> {
        let rows: Arc<[usize]> = rows.into();
        let places = ShardRows {
            shards: self,
            rows: rows.clone(),
        };
        Points::new(places, None).map_err(|cause| match cause {
            MixtureError::NoDirection { row, length } => {
                let part = self.part(rows[row]);
                FrameError::NoDirection {
                    path: part.path.clone(),
                    row: rows[row] - part.first,
                    length,
                }
            }
            cause => FrameError::Mixture {
                column: EMBEDDING.to_owned(),
                cause,
            },
        })
    }

    /// The file that holds a row.
    fn part(&self, row: usize) -> &Part {
        &self.parts[self.parts.partition_point(|part| part.first <= row) - 1]
    }
}

/// Some rows of [`Shards`].
pub struct ShardRows<'a> {
    shards: &'a Shards,
    rows: Arc<[usize]>,
}

thread_local! {
    /// What a thread reads into, block after block.
    static BUFFER: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Rows for ShardRows<'_> {
    type Value = f32;

    fn dim(&self) -> (usize, usize) {
        (self.rows.len(), self.shards.dimension)
    }

    fn with_rows<T>(
        &self,
        range: Range<usize>,
        visit: impl FnOnce(ArrayView2<'_, f32>) -> T,
    ) -> Result<T, MixtureError> {
        let (n_rows, dimension) = (range.len(), self.shards.dimension);
        let mut buffer = BUFFER.take();
        buffer.resize(buffer.len().max(n_rows * dimension), 0.0);
        let values = &mut buffer[..n_rows * dimension];
        self.read(&self.rows[range], values)?;
        let rows = ArrayView2::from_shape((n_rows, dimension), &*values);
        let visited = visit(rows.expect("as many numbers as were asked for"));
        BUFFER.set(buffer);
        Ok(visited)
    }
}

impl ShardRows<'_> {
    /// Reads rows one after the other: at once those that lie side by side.
    fn read(&self, mut rows: &[usize], mut into: &mut [f32]) -> Result<(), MixtureError> {
        while let Some(&row) = rows.first() {
            let part = self.shards.part(row);
            let first = row - part.first;
            let most = rows.len().min(part.matrix.dim().0 - first);
            let side_by_side = (row..).zip(&rows[..most]);
            let n_rows = side_by_side.take_while(|(at, row)| at == *row).count();
            let (now, later) = into.split_at_mut(n_rows * self.shards.dimension);
            part.matrix
                .read(first..first + n_rows, now)
                .map_err(|cause| MixtureError::Read {
                    path: part.path.clone(),
                    cause,
                })?;
            (rows, into) = (&rows[n_rows..], later);
        }
        Ok(())
    }
}
