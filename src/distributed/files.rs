//! The Parquet files of a table: how many rows they have, and some of these rows, read here and not by executors.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result as EngineResult;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderOptions, RowSelection};
use datafusion::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::prelude::SessionContext;
use futures::future::{BoxFuture, FutureExt};
use futures::{StreamExt, TryStreamExt};
use ndarray::Array2;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::function::external;
use super::rows::{Rows, rows};

/// The files, in the order of their names.
pub(super) struct Files {
    store: Arc<dyn ObjectStore>,
    /// What comes before the path of a file.
    base: String,
    files: Vec<File>,
}

struct File {
    meta: ObjectMeta,
    /// Places among the rows of all files.
    rows: Range<usize>,
}

/// What ends the name of a file.
const EXTENSION: &str = ".parquet";

/// A place as the engine wants it: a folder ends with a slash.
pub(super) fn folder_or_file(place: &str) -> String {
    match place.ends_with(EXTENSION) || place.ends_with('/') {
        true => place.into(),
        false => format!("{place}/"),
    }
}

impl Files {
    /// The files of a folder, or one file.
    pub(super) async fn list(context: &SessionContext, place: &str) -> EngineResult<Self> {
        let url = ListingTableUrl::parse(folder_or_file(place))?;
        let store = context.runtime_env().object_store(&url)?;
        let state = context.state();
        let metas = url.list_all_files(&state, &store, EXTENSION).await?;
        let mut metas: Vec<ObjectMeta> = metas.try_collect().await?;
        metas.sort_by(|a, b| a.location.cmp(&b.location));
        let counts = metas.iter().map(|meta| {
            let mut reader = Reader::new(&store, meta);
            async move {
                let metadata = reader.get_metadata(None).await?;
                Result::<_, ParquetError>::Ok(metadata.file_metadata().num_rows() as usize)
            }
        });
        let counts = futures::stream::iter(counts).buffered(16);
        let counts: Vec<usize> = counts.try_collect().await?;
        let mut first = 0;
        let files = metas.into_iter().zip(counts).map(|(meta, count)| {
            let rows = first..first + count;
            first += count;
            File { meta, rows }
        });
        Ok(Files {
            files: files.collect(),
            base: url.object_store().as_str().to_owned(),
            store,
        })
    }

    pub(super) fn n_rows(&self) -> usize {
        self.files.last().map_or(0, |file| file.rows.end)
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The address of each file, and its name.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (String, &str)> {
        self.files.iter().map(|File { meta, .. }| {
            let name = meta.location.filename().unwrap_or_default();
            (format!("{}{}", self.base, meta.location), name)
        })
    }

    /// Some rows of a column of embeddings, in the order asked for.
    pub(super) async fn read(&self, column: &str, wanted: &[usize]) -> EngineResult<Array2<f64>> {
        let mut places = wanted.to_vec();
        places.sort_unstable();
        places.dedup();
        let mut found: Vec<Vec<f64>> = Vec::with_capacity(places.len());
        for file in &self.files {
            let inside = places.iter().filter(|place| file.rows.contains(place));
            let inside = inside.map(|place| place - file.rows.start);
            let inside: Vec<Range<usize>> = inside.map(|row| row..row + 1).collect();
            if inside.is_empty() {
                continue;
            }
            let reader = Reader::new(&self.store, &file.meta);
            let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
            let mask = ProjectionMask::columns(builder.parquet_schema(), [column]);
            let count = file.rows.len();
            let selection = RowSelection::from_consecutive_ranges(inside.into_iter(), count);
            let mut batches = builder
                .with_projection(mask)
                .with_row_selection(selection)
                .build()?;
            while let Some(batch) = batches.try_next().await? {
                let column = batch.columns().first();
                let column = column.ok_or_else(|| missing(&file.meta))?;
                match rows(column).map_err(external)? {
                    Rows::F32(rows) => {
                        let wide = |x: &f32| f64::from(*x);
                        found.extend(rows.outer_iter().map(|row| row.iter().map(wide).collect()));
                    }
                    Rows::F64(rows) => found.extend(rows.outer_iter().map(|row| row.to_vec())),
                }
            }
        }
        let width = found.first().map_or(0, Vec::len);
        let mut matrix = Array2::zeros((wanted.len(), width));
        for (place, mut row) in wanted.iter().zip(matrix.rows_mut()) {
            let values = places
                .binary_search(place)
                .ok()
                .and_then(|at| found.get(at));
            let values = values.filter(|values| values.len() == width);
            let values = values.ok_or_else(|| {
                DataFusionError::Execution(format!("row {place} is not there any more"))
            })?;
            row.assign(&ndarray::aview1(values));
        }
        Ok(matrix)
    }
}

fn missing(meta: &ObjectMeta) -> DataFusionError {
    DataFusionError::Execution(format!("{} lacks the column", meta.location))
}

/// Reads a file where it is stored.
struct Reader {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl Reader {
    fn new(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Self {
        Reader {
            store: store.clone(),
            meta: meta.clone(),
        }
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let bytes = self.store.get_range(&self.meta.location, range);
        bytes
            .map(|bytes| bytes.map_err(|cause| ParquetError::External(Box::new(cause))))
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let size = self.meta.size;
        let metadata = async move {
            let reader = ParquetMetaDataReader::new();
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        };
        metadata.boxed()
    }
}
