//! Whatever reads foreign bytes gets damaged ones: the files that fuzzers started from, each cut short and changed here
//! and there, and all that fuzzers found.

use std::fs;
use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

#[path = "../fuzz/readers.rs"]
mod readers;

use readers::{READERS, Reader, scratch};

/// Damaged copies of each file.
const COPIES: u64 = 30;

/// Files of a reader in a folder of `tests/fuzz`, by their names.
fn files(folder: &str, reader: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(folder);
    let entries = fs::read_dir(folder.join(reader)).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A copy with some bytes changed, which may be shorter.
fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let mut bytes = bytes.to_vec();
    if rng.gen_bool(0.3) {
        bytes.truncate(rng.gen_range(0..=bytes.len()));
    }
    for _ in 0..rng.gen_range(0..6) {
        if !bytes.is_empty() {
            let at = rng.gen_range(0..bytes.len());
            bytes[at] = rng.r#gen();
        }
    }
    bytes
}

#[test]
fn every_reader_takes_damaged_files() {
    for (name, reader) in READERS {
        let files = files("seeds", name);
        assert!(!files.is_empty(), "tests/fuzz/seeds/{name} is empty");
        for path in files {
            let bytes = fs::read(&path).unwrap();
            reader(&bytes);
            (0..COPIES).for_each(|seed| reader(&damaged(&bytes, seed)));
        }
    }
    fs::remove_dir_all(scratch()).unwrap();
}

/// Each file is named for what once went wrong.
#[test]
fn what_fuzzers_found_is_mended() {
    for (name, reader) in READERS {
        let read: Reader = reader;
        files("found", name)
            .iter()
            .for_each(|path| read(&fs::read(path).unwrap()));
    }
    fs::remove_dir_all(scratch()).unwrap();
}
