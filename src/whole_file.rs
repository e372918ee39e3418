//! Files written whole: a reader sees the old file or the new one, never a part.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::Builder;

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

/// Removes what is being written, before the program is ended: from here on no file is begun.
pub(crate) fn remove_unfinished() {
    let mut list = unfinished();
    for path in list.drain(..) {
        let _ = fs::remove_file(path);
    }
    std::mem::forget(list);
}

/// Removes the temporary files in a folder whose writers were killed: nobody holds their locks any more.
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
        Ok(found) if !found.is_file() && !found.is_dir() => {
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
    let name = file.path().to_owned();
    list.push(name.clone());
    drop(list);
    // Tells `remove_abandoned` that somebody is writing; where files cannot be locked, it takes none for abandoned.
    let _ = file.as_file().try_lock();
    let filled = fill(file.as_file_mut());
    let finished = filled.and_then(|()| {
        // What the disk had no room for after all is an error here, not a file without its end.
        file.as_file().sync_all()?;
        file.persist(path).map_err(io::Error::from)?;
        Ok(())
    });
    unfinished().retain(|path| *path != name);
    finished
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
}
