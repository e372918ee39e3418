//! What Parquet files say of themselves, looked over before Polars reads it, which believes what a list says of its length, or a page
//! of its values, and makes room for that.
//!
//! It is in Thrift's compact protocol, with the structures of `parquet.thrift` (Apache Parquet format 2.11): a description at the
//! end of a file, and a header before each page.

use std::fs::File;
use std::io;

use positioned_io::ReadAt;

/// What a Parquet file ends with, after the length of the description.
const MAGIC: [u8; 4] = *b"PAR1";

/// How deeply structures may nest that are not known here; the known ones do by 8.
const MAX_DEPTH: usize = 16;

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Byte,
    /// Of any width.
    Integer,
    /// One that is not negative.
    Natural,
    Double,
    Binary,
    Struct(Fields),
    /// Of values of a kind; of [`EMPTY`], of whatever kind it says.
    List(&'static Kind),
}

/// The fields of a structure by their identifiers; others may be there.
type Fields = &'static [(u64, Kind)];

use Kind::{Binary, Bool, Byte, Double, Integer, List, Natural, Struct};

/// A structure of which nothing is known.
const EMPTY: Kind = Struct(&[]);
const TIME: Kind = Struct(&[
    (1, Bool),
    (2, Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)])),
]);
const DECIMAL: Kind = Struct(&[(1, Integer), (2, Integer)]);
const WHOLE_NUMBER: Kind = Struct(&[(1, Byte), (2, Bool)]);
const LOGICAL_TYPE: Kind = Struct(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, DECIMAL),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, WHOLE_NUMBER),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
]);
const SCHEMA_ELEMENT: Kind = Struct(&[
    (1, Integer),
    (2, Integer),
    (3, Integer),
    (4, Binary),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, Integer),
    (9, Integer),
    (10, LOGICAL_TYPE),
]);
const STATISTICS: Kind = Struct(&[
    (1, Binary),
    (2, Binary),
    (3, Integer),
    (4, Integer),
    (5, Binary),
    (6, Binary),
    (7, Bool),
    (8, Bool),
]);
const COLUMN_META_DATA: Kind = Struct(&[
    (1, Integer),
    (2, List(&Integer)),
    (3, List(&Binary)),
    (4, Integer),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (9, Integer),
    (10, Integer),
    (11, Integer),
    (12, STATISTICS),
    (14, Integer),
    (15, Integer),
]);
const COLUMN_CHUNK: Kind = Struct(&[
    (1, Binary),
    (2, Integer),
    (3, COLUMN_META_DATA),
    (4, Integer),
    (5, Integer),
    (6, Integer),
    (7, Integer),
]);
const ROW_GROUP: Kind = Struct(&[
    (1, List(&COLUMN_CHUNK)),
    (2, Integer),
    (3, Integer),
    (4, List(&Struct(&[(1, Integer), (2, Bool), (3, Bool)]))),
    (5, Integer),
    (6, Integer),
    (7, Integer),
]);
const FILE_META_DATA: Kind = Struct(&[
    (1, Integer),
    (2, List(&SCHEMA_ELEMENT)),
    (3, Integer),
    (4, List(&ROW_GROUP)),
    (5, List(&Struct(&[(1, Binary), (2, Binary)]))),
    (6, Binary),
    (7, List(&Struct(&[(1, EMPTY), (2, EMPTY)]))),
]);
/// The headers of pages of the first and the second version, and of dictionaries.
const DATA_PAGE: Kind = Struct(&[
    (1, Natural),
    (2, Natural),
    (3, Natural),
    (4, Natural),
    (5, STATISTICS),
]);
const DATA_PAGE_V2: Kind = Struct(&[
    (1, Natural),
    (2, Natural),
    (3, Natural),
    (4, Natural),
    (5, Natural),
    (6, Natural),
    (7, Bool),
    (8, STATISTICS),
]);
const DICTIONARY_PAGE: Kind = Struct(&[(1, Natural), (2, Natural), (3, Bool)]);

impl Kind {
    /// What stands for a type of a field, if it may be there.
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 | 2 => Bool,
            3 => Byte,
            4..=6 => Integer,
            7 => Double,
            8 => Binary,
            9 => List(&EMPTY),
            12 => EMPTY,
            _ => return None,
        })
    }
}

/// Whether the description of a file, if it has one, is what it should be, and as long as its lists say.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_sound(file: &File, length: u64) -> io::Result<bool> {
    let mut end = [0; 8];
    let Some(end_at) = length.checked_sub(8) else {
        return Ok(true);
    };
    file.read_exact_at(end_at, &mut end)?;
    let [a, b, c, d, magic @ ..] = end;
    let size = u32::from_le_bytes([a, b, c, d]);
    match end_at.checked_sub(size.into()) {
        Some(start) if magic == MAGIC => {
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(start, &mut bytes)?;
            Ok(skip(&mut &bytes[..], FILE_META_DATA, MAX_DEPTH).is_some())
        }
        // Polars says what is wrong.
        _ => Ok(true),
    }
}

/// Whether the pages of a column in a row group, which is to have so many values, have no more of them than that.
pub(super) fn are_sound_pages(bytes: &[u8], n_values: u64) -> bool {
    skip_pages(bytes, n_values).is_some()
}

fn skip_pages(mut bytes: &[u8], mut n_values: u64) -> Option<()> {
    while n_values > 0 && !bytes.is_empty() {
        let (mut unpacked, mut packed, mut last) = (0, 0, 0);
        while let Some((identifier, found)) = field(&mut bytes, last)? {
            let expected = match identifier {
                1..=3 => Natural,
                4 => Integer,
                5 => DATA_PAGE,
                7 => DICTIONARY_PAGE,
                8 => DATA_PAGE_V2,
                _ => found,
            };
            is_like(found, expected).then_some(())?;
            let first = first_natural(bytes, expected);
            match identifier {
                2 => unpacked = first?,
                3 => packed = usize::try_from(first?).ok()?,
                5 | 8 => n_values = n_values.checked_sub(first?)?,
                // No value takes less than a byte.
                7 => drop(unpacked.checked_sub(first?)?),
                _ => {}
            }
            skip(&mut bytes, expected, MAX_DEPTH)?;
            last = identifier;
        }
        bytes.split_off(..packed)?;
    }
    Some(())
}

/// The natural number that is next, or the one that a structure begins with.
fn first_natural(mut bytes: &[u8], kind: Kind) -> Option<u64> {
    if let Struct(_) = kind {
        field(&mut bytes, 0)?.filter(|(identifier, _)| *identifier == 1)?;
    }
    natural(&mut bytes)
}

/// Goes past a value; nothing if it is no such value, or longer than what is there.
fn skip(bytes: &mut &[u8], kind: Kind, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match kind {
        Bool => {}
        Byte => drop(bytes.split_off(..1)?),
        Integer => drop(varint(bytes)?),
        Natural => drop(natural(bytes)?),
        Double => drop(bytes.split_off(..8)?),
        Binary => {
            let size = usize::try_from(varint(bytes)?).ok()?;
            bytes.split_off(..size)?;
        }
        Struct(fields) => {
            let mut last = 0;
            while let Some((identifier, found)) = field(bytes, last)? {
                let known = fields.iter().find(|(known, _)| *known == identifier);
                let expected = known.map_or(found, |(_, kind)| *kind);
                is_like(found, expected).then_some(())?;
                skip(bytes, expected, depth)?;
                last = identifier;
            }
        }
        List(expected) => {
            let [header] = *bytes.split_off(..1)? else {
                return None;
            };
            let size = match header >> 4 {
                15 => varint(bytes)?,
                short => short.into(),
            };
            // fastparquet writes no type where there is nothing.
            if size > 0 {
                // Polars reads no byte for a truth value, so that any number of them would fit; Parquet has no list of them here.
                let found = Kind::of(header & 15).filter(|found| !matches!(found, Bool))?;
                let size = usize::try_from(size)
                    .ok()
                    .filter(|&size| size <= bytes.len())?;
                let expected = match expected {
                    Struct([]) => found,
                    known => *known,
                };
                is_like(found, expected).then_some(())?;
                (0..size).try_for_each(|_| skip(bytes, expected, depth))?;
            }
        }
    }
    Some(())
}

/// Whether what is found is of the kind that is expected; what is in it is seen later.
fn is_like(found: Kind, expected: Kind) -> bool {
    match (found, expected) {
        (Integer, Natural) => true,
        _ => std::mem::discriminant(&found) == std::mem::discriminant(&expected),
    }
}

/// Identifier and kind of the next field, which come in rising order, or nothing at the end of a structure.
fn field(bytes: &mut &[u8], last: u64) -> Option<Option<(u64, Kind)>> {
    let header = *bytes.split_off_first()?;
    if header & 15 == 0 {
        return Some(None);
    }
    let identifier = match header >> 4 {
        0 => natural(bytes)?,
        delta => last + u64::from(delta),
    };
    let identifier = Some(identifier).filter(|identifier| *identifier > last)?;
    Some(Some((identifier, Kind::of(header & 15)?)))
}

/// A number whose sign, the lowest bit of the zigzag code, is that of none below zero.
fn natural(bytes: &mut &[u8]) -> Option<u64> {
    let code = varint(bytes)?;
    (code & 1 == 0).then_some(code >> 1)
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use polars::prelude::*;

    use super::*;
    use crate::frame::io::write_parquet;

    #[test]
    fn the_length_of_a_list_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        let frame = df!("n" => [1, 2, 3], "word" => ["a", "b", "c"]).unwrap();
        write_parquet(&frame, &path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let is_sound_with = |bytes: &[u8]| {
            let mut file = tempfile::tempfile_in(folder.path()).unwrap();
            file.write_all(bytes).unwrap();
            is_sound(&file, bytes.len() as u64).unwrap()
        };
        assert!(is_sound_with(&whole));
        let size = whole.len() - 8;
        let length = u32::from_le_bytes(whole[size..size + 4].try_into().unwrap());
        let start = size - length as usize;
        // A version of one byte, then the list of three columns, the root among them.
        assert_eq!(whole[start + 2..start + 4], [0x19, 0x3c]);
        let mut long = whole.clone();
        long.splice(start + 3..start + 4, [0xfc, 0xff, 0xff, 0xff, 0x7f]);
        let at = long.len() - 8;
        long[at..at + 4].copy_from_slice(&(length + 4).to_le_bytes());
        assert!(!is_sound_with(&long));
        // A number where the list should be would be read as one.
        let mut number = whole.clone();
        number[start + 2] = 0x15;
        assert!(!is_sound_with(&number));
        // Polars says of these that they are no Parquet files.
        assert!(is_sound_with(b"PAR1"));
        assert!(is_sound_with(&whole[..size]));
    }

    #[test]
    fn pages_have_no_more_values_than_their_column() {
        // Page 0 of 4 values in 2 bytes: type, sizes, then the header of data pages.
        let page = |n_values: &[u8]| {
            let header = [0x15, 0, 0x15, 4, 0x15, 4, 0x2c, 0x15];
            let rest = [0x15, 0, 0x15, 6, 0x15, 6, 0, 0, 7, 7];
            [&header[..], n_values, &rest].concat()
        };
        assert!(are_sound_pages(&page(&[8]), 4));
        assert!(are_sound_pages(&[page(&[8]), page(&[8])].concat(), 8));
        assert!(!are_sound_pages(&page(&[8]), 3));
        assert!(!are_sound_pages(&[page(&[8]), page(&[8])].concat(), 7));
        // Minus one.
        assert!(!are_sound_pages(&page(&[1]), 4));
        assert!(!are_sound_pages(&page(&[8])[..17], 4));
    }
}
