//! Frames as tables of HTML, with thumbnails where a column holds pictures, and the first numbers of vectors.

use std::path::Path;

use askama::Template;
use polars::prelude::*;

use super::Show;
use super::value::rendered;
use crate::frame::io;
use crate::report::{Picture, shortened};

/// Rows that are shown: the first ones, and the last one or two after a gap.
const FIRST: usize = 8;
const LAST: usize = 2;
/// Numbers of a vector, and characters of a text, that are shown.
const NUMBERS: usize = 3;
const CHARACTERS: usize = 80;

#[derive(Template)]
#[template(path = "frame.html", config = "src/notebook/askama.toml")]
struct Table {
    columns: Vec<Head>,
    first: Vec<Vec<Cell>>,
    last: Vec<Vec<Cell>>,
    height: usize,
    width: usize,
}

struct Head {
    name: String,
    kind: String,
    is_number: bool,
}

struct Cell {
    text: String,
    /// A `data:` address.
    thumbnail: Option<String>,
    is_number: bool,
}

impl Show for DataFrame {
    fn cell_html(&self) -> String {
        let height = self.height();
        let (first, last) = match height > FIRST + LAST {
            true => (0..FIRST, height - LAST..height),
            false => (0..height, height..height),
        };
        let row = |at: usize| {
            self.columns()
                .iter()
                .map(|column| cell(column, at))
                .collect()
        };
        let head = |column: &Column| Head {
            name: column.name().to_string(),
            kind: kind(column.dtype()),
            is_number: column.dtype().is_primitive_numeric(),
        };
        rendered(&Table {
            columns: self.columns().iter().map(head).collect(),
            first: first.map(row).collect(),
            last: last.map(row).collect(),
            height,
            width: self.width(),
        })
    }

    fn cell_text(&self) -> String {
        self.to_string()
    }
}

impl Show for LazyFrame {
    fn cell_html(&self) -> String {
        self.clone().limit(FIRST as u32).collect().cell_html()
    }

    fn cell_text(&self) -> String {
        self.clone().limit(FIRST as u32).collect().cell_text()
    }
}

fn kind(dtype: &DataType) -> String {
    match dtype {
        DataType::Array(inner, n) => format!("{n} × {inner}"),
        other => other.to_string(),
    }
}

fn cell(column: &Column, at: usize) -> Cell {
    let dtype = column.dtype();
    let Ok(value) = column.get(at) else {
        return Cell {
            text: String::new(),
            thumbnail: None,
            is_number: false,
        };
    };
    let text = match &value {
        AnyValue::Null => "null".to_owned(),
        AnyValue::String(text) => shortened(text, CHARACTERS),
        AnyValue::StringOwned(text) => shortened(text, CHARACTERS),
        AnyValue::Binary(bytes) => format!("{} bytes", bytes.len()),
        AnyValue::BinaryOwned(bytes) => format!("{} bytes", bytes.len()),
        AnyValue::Float64(number) => number_text(*number),
        AnyValue::Float32(number) => number_text(f64::from(*number)),
        AnyValue::Array(values, _) | AnyValue::List(values) => vector(values),
        other => shortened(&other.to_string(), CHARACTERS),
    };
    Cell {
        text,
        thumbnail: picture(&value).and_then(|picture| picture.thumbnail()),
        is_number: dtype.is_primitive_numeric(),
    }
}

/// Four significant digits, and whole numbers whole.
fn number_text(number: f64) -> String {
    let digits = 3 - number.abs().max(1e-3).log10().floor() as i32;
    match number.abs() {
        size if size != 0.0 && !(1e-3..1e6).contains(&size) => format!("{number:.3e}"),
        _ => format!("{number:.*}", digits.max(0) as usize),
    }
}

fn vector(values: &Series) -> String {
    let numbers = values.head(Some(NUMBERS)).cast(&DataType::Float64);
    let shown = |numbers: &Series| -> Option<Vec<String>> {
        let numbers = numbers.f64().ok()?;
        Some(
            numbers
                .iter()
                .map(|x| x.map_or_else(|| "null".to_owned(), |x| format!("{x:.3}")))
                .collect(),
        )
    };
    match numbers.ok().as_ref().and_then(shown) {
        Some(first) if values.len() > NUMBERS => format!("[{}, …]", first.join(", ")),
        Some(all) => format!("[{}]", all.join(", ")),
        None => shortened(&values.to_string(), CHARACTERS),
    }
}

/// The picture that a value is or names.
fn picture(value: &AnyValue) -> Option<Picture> {
    match value {
        AnyValue::String(path) => at_path(path),
        AnyValue::StringOwned(path) => at_path(path),
        AnyValue::Binary(bytes) => Some(Picture::Bytes(bytes.to_vec())),
        AnyValue::BinaryOwned(bytes) => Some(Picture::Bytes(bytes.clone())),
        _ => None,
    }
}

fn at_path(path: &str) -> Option<Picture> {
    let path = Path::new(path);
    (io::is_image(path) && path.is_file()).then(|| Picture::Path(path.to_owned()))
}
