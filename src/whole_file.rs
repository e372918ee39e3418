//! Files written whole: a reader sees the old file or the new one, never a part; and of several files all old or all new ones,
//! but for the moment in which they take their names.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{Builder, TempPath};
use thiserror::Error;

/// Permissions of a new file before the user's mask, as for any file a program creates.
#[cfg(unix)]
const MODE: u32 = 0o666;

/// How the names of temporary files begin.
const UNFINISHED_PREFIX: &str = ".vmfmix-";

/// Temporary files that are being written.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that has all its content, and not yet its name.
struct Written {
    /// Closed: there may be more of them than a process may hold open.
    file: TempPath,
    path: PathBuf,
}

thread_local! {
    /// What this thread has written since it began a [`Together`].
    static WAITING: RefCell<Option<Vec<Written>>> = const { RefCell::new(None) };
}

/// From its beginning on, files that this thread writes whole wait for its end, and then take their names one right after the other.
/// If it is dropped before, there are none of them. Within another one it is a part of that.
pub(crate) struct Together {
    is_outermost: bool,
}

/// A file that could not be given its name.
#[derive(Debug, Error)]
#[error("{}: {cause}", path.display())]
pub(crate) struct Unnamed {
    pub path: PathBuf,
    pub cause: io::Error,
}

impl Together {
    pub(crate) fn begin() -> Self {
        let is_outermost = WAITING.with_borrow_mut(|waiting| {
            let is_outermost = waiting.is_none();
            waiting.get_or_insert_default();
            is_outermost
        });
        Self { is_outermost }
    }

    /// Gives all files their names.
    pub(crate) fn finish(self) -> Result<(), Unnamed> {
        match self.is_outermost {
            true => name(WAITING.take().unwrap_or_default()),
            false => Ok(()),
        }
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        if self.is_outermost {
            forget(WAITING.take().unwrap_or_default());
        }
    }
}

/// Gives files their names. The program is not ended by a polite signal meanwhile.
fn name(files: Vec<Written>) -> Result<(), Unnamed> {
    let mut list = unfinished();
    list.retain(|path| files.iter().all(|written| *path != *written.file));
    for Written { file, path } in files {
        if let Err(error) = file.persist(&path) {
            let cause = error.error;
            return Err(Unnamed { path, cause });
        }
    }
    Ok(())
}

/// Removes files that get no name.
fn forget(files: Vec<Written>) {
    unfinished().retain(|path| files.iter().all(|written| *path != *written.file));
    drop(files);
}

/// Removes what is being written, before the program is ended: from here on no file is begun.
pub(crate) fn remove_unfinished() {
    let mut list = unfinished();
    for path in list.drain(..) {
        let _ = fs::remove_file(path);
    }
    std::mem::forget(list);
}

/// Removes the temporary files whose writers were killed, in a folder that has been claimed: nobody holds their locks any more.
pub(crate) fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_unfinished = name
            .as_encoded_bytes()
            .starts_with(UNFINISHED_PREFIX.as_bytes());
        if is_unfinished && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Has `fill` write a temporary file beside `path`, which then takes its name; the folder is created if need be. Where `path` is
/// a link, what it leads to is replaced; a device or a pipe is not.
pub(crate) fn write_whole<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let path = &*match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        Ok(found) if !found.is_file() => {
            return Err(io::Error::other("this is a device or a pipe; choose a file").into());
        }
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut builder = Builder::new();
    builder.prefix(UNFINISHED_PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(MODE));
    }
    let mut list = unfinished();
    let mut file = builder.tempfile_in(folder)?;
    list.push(file.path().to_owned());
    drop(list);
    // Tells `remove_abandoned` that somebody is writing; where files cannot be locked, it takes none for abandoned.
    let _ = file.as_file().try_lock();
    let filled = fill(file.as_file_mut());
    // What the disk had no room for after all is an error here, not a file without its end.
    let written = filled.and_then(|()| Ok(file.as_file().sync_all()?));
    let file = file.into_temp_path();
    let path = path.to_owned();
    let mut file = vec![Written { file, path }];
    if let Err(error) = written {
        forget(file);
        return Err(error);
    }
    WAITING.with_borrow_mut(|waiting| match waiting {
        Some(waiting) => {
            waiting.append(&mut file);
            Ok(())
        }
        None => name(file).map_err(|unnamed| unnamed.cause.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/page.html");
        write_whole(&path, |file| file.write_all(b"old and long")).unwrap();
        write_whole(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        write_whole(&path, |_| Err(io::Error::other("interrupted"))).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn files_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let write = |path: &Path, text: &str| {
            write_whole::<io::Error>(path, |file| file.write_all(text.as_bytes())).unwrap();
        };
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        write(&first, "old");
        let together = Together::begin();
        write(&first, "lost");
        write(&second, "lost");
        drop(together);
        assert_eq!(read(&first), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let together = Together::begin();
        let inner = Together::begin();
        write(&first, "new");
        assert!(inner.finish().is_ok());
        write(&second, "new");
        assert_eq!(read(&first), "old");
        assert!(!second.exists());
        assert!(together.finish().is_ok());
        assert_eq!((read(&first), read(&second)), ("new".into(), "new".into()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        write(&first, "at once");
        assert_eq!(read(&first), "at once");
    }
}
