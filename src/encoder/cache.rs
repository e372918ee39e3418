//! Embeddings remembered by content: the same item and the same model, and the vector need not be computed again.
//!
//! A [redb](https://docs.rs/redb) database with one table, whose keys are made in `identity`. A value is the vector in
//! little-endian `f32`, then one byte: 1 for a text that lost its tail, else 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::ArrayView1;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::EncoderError;
use super::identity::Key;
use crate::contained::contained;

const EMBEDDINGS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("vmfmix embeddings 1");

/// Bytes of the database that are held in memory.
const MEMORY: usize = 64 << 20;

/// A file that remembers embeddings by the content of items: for [`BatchOptions::cache`](super::BatchOptions::cache).
///
/// The name of a file plays no part, nor does a model's: a changed picture or another model is embedded anew. What is
/// new in a call is written at its end, in one piece. What has no embedding is not remembered.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use vmfmix::encoder::{BatchOptions, ClipEncoder, Device, EmbeddingCache, embed_texts};
/// use vmfmix::progress::Silent;
///
/// let folder = tempfile::tempdir()?;
/// let encoder = ClipEncoder::load("datasets/tiny-clip", Device::Cpu)?;
/// let cache = Arc::new(EmbeddingCache::open(folder.path().join("embeddings.redb"))?);
/// let options = BatchOptions { cache: Some(cache.clone()), ..BatchOptions::default() };
/// let texts = [Some("a red circle"), Some("a blue star")];
/// let first = embed_texts(&encoder, &texts, &options, &Silent)?;
/// let again = embed_texts(&encoder, &texts, &options, &Silent)?;
/// assert_eq!(first.embeddings, again.embeddings);
/// assert_eq!(cache.hits(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EmbeddingCache {
    path: PathBuf,
    database: Database,
    hits: AtomicUsize,
}

impl EmbeddingCache {
    /// Opens a cache; makes it, and the folder it lies in, if there is none. Only one process can hold it open.
    ///
    /// # Errors
    /// [`EncoderError::CacheInUse`] if it is open elsewhere, [`EncoderError::Cache`] if the file is damaged, something
    /// else, or cannot be read and written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EncoderError> {
        let path = path.as_ref();
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        guarded(path, || Ok(folder.map_or(Ok(()), fs::create_dir_all)?))?;
        let open = || Ok(Database::builder().set_cache_size(MEMORY).create(path)?);
        let database = guarded(path, open)?;
        let cache = EmbeddingCache {
            path: path.into(),
            database,
            hits: AtomicUsize::new(0),
        };
        // Makes the table where there is none.
        cache.put(std::iter::empty())?;
        Ok(cache)
    }

    /// Items that were found in it since it was opened.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// The cache as it is now, for vectors of one dimension.
    pub(super) fn lookup(&self, dimension: usize) -> Result<Lookup<'_>, EncoderError> {
        let open = || Ok(self.database.begin_read()?.open_table(EMBEDDINGS)?);
        Ok(Lookup {
            cache: self,
            table: guarded(&self.path, open)?,
            dimension,
        })
    }

    /// Remembers vectors, and which of them are of texts that lost their tail: all of them or, if it fails, none.
    pub(super) fn put<'v>(
        &self,
        entries: impl Iterator<Item = (Key, ArrayView1<'v, f32>, bool)>,
    ) -> Result<(), EncoderError> {
        guarded(&self.path, || {
            let mut write = self.database.begin_write()?;
            // A killed process must not cost the next one a walk through the whole file.
            write.set_quick_repair(true);
            {
                let mut table = write.open_table(EMBEDDINGS)?;
                for (key, vector, is_cut) in entries {
                    let numbers = vector.iter().flat_map(|x| x.to_le_bytes());
                    let value: Vec<u8> = numbers.chain([u8::from(is_cut)]).collect();
                    table.insert(key, value.as_slice())?;
                }
            }
            Ok(write.commit()?)
        })
    }
}

impl std::fmt::Debug for EmbeddingCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingCache")
            .field("path", &self.path)
            .field("hits", &self.hits)
            .finish_non_exhaustive()
    }
}

/// An embedding that was made earlier.
pub(super) struct Remembered {
    pub vector: Vec<f32>,
    pub is_cut: bool,
}

/// A cache at one moment.
pub(super) struct Lookup<'a> {
    cache: &'a EmbeddingCache,
    table: ReadOnlyTable<Key, &'static [u8]>,
    dimension: usize,
}

impl Lookup<'_> {
    /// What is remembered under a key; a value of another length is not of this program and is nothing.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Remembered>, EncoderError> {
        let value = guarded(&self.cache.path, || Ok(self.table.get(key)?))?;
        let Some(value) = value else { return Ok(None) };
        let (numbers, rest) = value.value().as_chunks::<4>();
        let ([is_cut], true) = (rest, numbers.len() == self.dimension) else {
            return Ok(None);
        };
        self.cache.hits.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Remembered {
            vector: numbers.iter().map(|x| f32::from_le_bytes(*x)).collect(),
            is_cut: *is_cut == 1,
        }))
    }
}

/// Runs work on the database of a path, whose panics over a damaged page become an error.
fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, EncoderError> {
    contained(work)
        .unwrap_or_else(|cause| Err(redb::Error::Corrupted(cause.to_string())))
        .map_err(|cause| match cause {
            redb::Error::DatabaseAlreadyOpen => EncoderError::CacheInUse { path: path.into() },
            cause => EncoderError::Cache {
                path: path.into(),
                cause: Box::new(cause),
            },
        })
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;
    use redb::TableHandle;

    use super::*;

    fn filled(path: &Path) -> EmbeddingCache {
        let cache = EmbeddingCache::open(path).unwrap();
        let vectors: Vec<_> = (0..200).map(|i| arr1(&[i as f32, 0.5, -1.0])).collect();
        let entries = vectors.iter().zip(0..);
        cache
            .put(entries.map(|(vector, i)| ([i; 32], vector.view(), i % 2 == 1)))
            .unwrap();
        cache
    }

    fn get(cache: &EmbeddingCache, key: u8, dimension: usize) -> Option<(Vec<f32>, bool)> {
        let found = cache.lookup(dimension).unwrap().get(&[key; 32]).unwrap();
        found.map(|found| (found.vector, found.is_cut))
    }

    #[test]
    fn remembers_after_it_was_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/new/folder/cache");
        drop(filled(&path));
        let cache = EmbeddingCache::open(&path).unwrap();
        assert_eq!(get(&cache, 7, 3), Some((vec![7.0, 0.5, -1.0], true)));
        assert_eq!(get(&cache, 8, 3), Some((vec![8.0, 0.5, -1.0], false)));
        assert_eq!(get(&cache, 250, 3), None);
        assert_eq!(get(&cache, 7, 4), None, "of another length");
        assert_eq!(cache.hits(), 2);
    }

    #[test]
    fn says_that_another_holds_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let _held = filled(&path);
        let error = EmbeddingCache::open(&path).unwrap_err().to_string();
        let expected = format!(
            "the cache {} is held open by another vmfmix; wait until it has ended, or give another file",
            path.display()
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn names_a_file_that_is_no_cache_and_leaves_it_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for content in ["notes", &"many notes ".repeat(10_000)] {
            fs::write(&path, content).unwrap();
            let error = EmbeddingCache::open(&path).unwrap_err().to_string();
            assert!(
                error.contains("notes.txt cannot serve as a cache"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let error = EmbeddingCache::open(folder.path()).unwrap_err();
        assert!(matches!(error, EncoderError::Cache { .. }), "{error}");
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let other: TableDefinition<'_, u64, u64> = TableDefinition::new(EMBEDDINGS.name());
        let database = Database::create(&path).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(other).unwrap().insert(1, 2).unwrap();
        write.commit().unwrap();
        drop(database);
        let error = EmbeddingCache::open(&path).unwrap_err();
        assert!(matches!(error, EncoderError::Cache { .. }), "{error}");
    }

    #[test]
    fn a_damaged_file_never_ends_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        drop(filled(&path));
        let whole = fs::read(&path).unwrap();
        let mut errors = 0;
        for i in 0..64 {
            let mut bytes = whole.clone();
            let at = i * whole.len() / 64;
            if i % 2 == 0 {
                bytes.truncate(at + 5);
            } else {
                bytes[at..].iter_mut().take(4096).for_each(|b| *b = !*b);
            }
            fs::write(&path, bytes).unwrap();
            let look = |cache: &EmbeddingCache, key| cache.lookup(3)?.get(&[key; 32]).map(drop);
            let used = EmbeddingCache::open(&path)
                .and_then(|cache| (0..200).try_for_each(|key| look(&cache, key)));
            if let Err(error) = used {
                assert!(matches!(error, EncoderError::Cache { .. }), "{error}");
                errors += 1;
            }
        }
        assert!(errors > 30, "{errors}");
    }
}
