//! What `vmfmix embed` embeds: lines of a file, pictures of a folder, a column of a table.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use polars::prelude::*;
use sha2::{Digest, Sha256};

use super::args::EmbedArgs;
use super::inputs::{self, ADDED, IMAGE, ITEM, LABEL, TEXT, tagged};
use crate::encoder::{Encoder, Tower, is_url};
use crate::frame::io::{self, ParquetFile};
use crate::frame::{EMBEDDING_TRUNCATED, EmbedOptions, FrameExt};

/// Rows among which there are strings that tell whether a column is one of paths.
const LOOKED_AT: usize = 1000;

/// Items of one kind.
pub(super) struct Source {
    pub tower: Tower,
    items: Items,
}

enum Items {
    /// Lines or paths.
    Listed(DataFrame),
    Table {
        path: PathBuf,
        column: String,
        /// Where its pictures may lie.
        within: PathBuf,
        rows: Rows,
    },
}

/// The rows of a table: of Parquet those that are needed are read when they are needed.
enum Rows {
    Whole(DataFrame),
    Parquet(ParquetFile),
}

impl Source {
    /// What the arguments name.
    pub(super) fn of(args: &EmbedArgs) -> Result<Vec<Self>> {
        if let (Some(path), Some(column)) = (&args.input, &args.column) {
            let within = args.items.image_root.as_deref();
            return Ok(vec![Self::table(path, column, args.modality, within)?]);
        }
        let (texts, images) = args.items.read()?;
        let listed = |(tower, frame): (Tower, Option<DataFrame>)| {
            let items = Items::Listed(frame?);
            Some(Self { tower, items })
        };
        let both = [(Tower::Text, texts), (Tower::Image, images)];
        Ok(both.into_iter().filter_map(listed).collect())
    }

    fn table(
        path: &Path,
        column: &str,
        tower: Option<Tower>,
        within: Option<&Path>,
    ) -> Result<Self> {
        let rows = if io::is_parquet(path) {
            Rows::Parquet(ParquetFile::open(path)?)
        } else {
            Rows::Whole(io::table(path)?)
        };
        let first = rows.read(0..LOOKED_AT.min(rows.height()))?;
        let Ok(found) = first.column(column) else {
            let columns = first.get_column_names_owned();
            bail!(
                "{}: no column `{column}`; there are {columns:?}",
                path.display()
            );
        };
        let replaced = |name: &&str| first.column(name).is_ok() && *name != LABEL;
        let replaced = ADDED
            .into_iter()
            .filter(replaced)
            .find(|name| *name != column || *name != ITEM);
        if let Some(name) = replaced {
            bail!(
                "{}: column `{name}` would be replaced by one of what is embedded; give it another name",
                path.display()
            );
        }
        let is_path = |text: &str| io::is_image(Path::new(text)) || is_url(text);
        let known = match found.dtype() {
            DataType::String => {
                let texts = found.str()?;
                let are_paths =
                    texts.null_count() < texts.len() && texts.iter().flatten().all(is_path);
                if are_paths { Tower::Image } else { Tower::Text }
            }
            DataType::Binary | DataType::Struct(_) => Tower::Image,
            other => bail!(
                "{}: column `{column}` is {other}; texts, paths (strings), encoded pictures (binary) or structs of `bytes` and `path` can be embedded",
                path.display()
            ),
        };
        let tower = tower.unwrap_or(known);
        Ok(Self {
            tower,
            items: Items::Table {
                path: path.to_owned(),
                column: column.to_owned(),
                within: within.unwrap_or(folder_of(path)).to_owned(),
                rows,
            },
        })
    }

    /// Number of items.
    pub(super) fn height(&self) -> usize {
        match &self.items {
            Items::Listed(frame) => frame.height(),
            Items::Table { rows, .. } => rows.height(),
        }
    }

    /// Takes in what tells these items from others: the texts and paths of a list, the state of a file.
    pub(super) fn identify(&self, hash: &mut Sha256) -> Result<()> {
        hash.update(self.tower.to_string());
        match &self.items {
            Items::Listed(frame) => {
                for item in frame.columns()[0].str()?.iter() {
                    let item = item.unwrap_or_default();
                    hash.update(item.len().to_le_bytes());
                    hash.update(item);
                }
            }
            Items::Table { path, column, .. } => {
                let state = fs::metadata(path).with_context(|| path.display().to_string())?;
                let changed = state.modified().ok();
                let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                hash.update(format!("{path:?} {column:?} {} {changed:?}", state.len()));
            }
        }
        Ok(())
    }

    /// Some items, embedded, with columns [`ITEM`], [`MODALITY`], [`LABEL`], those of a table, and what embedding adds.
    pub(super) fn embed(
        &self,
        rows: Range<usize>,
        encoder: &dyn Encoder,
        options: EmbedOptions,
    ) -> Result<DataFrame> {
        let mut frame = match &self.items {
            Items::Listed(frame) => {
                let items = frame.slice(rows.start as i64, rows.len());
                match self.tower {
                    Tower::Text => inputs::texts_frame(items, encoder, &options)?,
                    Tower::Image => inputs::images_frame(items, encoder, &options)?,
                }
            }
            Items::Table {
                path,
                column,
                within,
                rows: table,
            } => {
                let frame = table.read(rows.clone())?;
                let root = folder_of(path);
                let (embedded, modality) = match self.tower {
                    Tower::Text => (frame.embed_text_with(column, encoder, &options)?, TEXT),
                    Tower::Image => {
                        let options = options.root(root).within(within);
                        (frame.embed_images_with(column, encoder, &options)?, IMAGE)
                    }
                };
                let names = names(frame.column(column)?, self.tower, root, rows.start)?;
                let mut embedded = tagged(embedded.drop(column)?, modality)?;
                embedded.with_column(names.with_name(ITEM.into()).into_column())?;
                embedded
            }
        };
        for (column, dtype) in [
            (LABEL, DataType::String),
            (EMBEDDING_TRUNCATED, DataType::Boolean),
        ] {
            if frame.column(column).is_err() {
                frame.with_column(Column::full_null(column.into(), frame.height(), &dtype))?;
            }
        }
        let names = frame.get_column_names_owned();
        let own = names.iter().filter(|name| !ADDED.contains(&name.as_str()));
        let (before, after) = ADDED.split_at(3);
        let order = before.iter().map(|&name| name.into()).chain(own.cloned());
        let order: Vec<PlSmallStr> = order.chain(after.iter().map(|&name| name.into())).collect();
        Ok(frame.select(order)?)
    }
}

impl Rows {
    fn height(&self) -> usize {
        match self {
            Self::Whole(frame) => frame.height(),
            Self::Parquet(file) => file.height(),
        }
    }

    fn read(&self, rows: Range<usize>) -> Result<DataFrame> {
        Ok(match self {
            Self::Whole(frame) => frame.slice(rows.start as i64, rows.len()),
            Self::Parquet(file) => file.read(rows, None)?,
        })
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// What items are called: texts by themselves, pictures by where they are, else by their rows.
fn names(items: &Column, tower: Tower, root: &Path, first: usize) -> Result<StringChunked> {
    let items = items.as_materialized_series();
    let texts = match items.dtype() {
        DataType::String => Some(items.clone()),
        DataType::Struct(_) => items.struct_()?.field_by_name("path").ok(),
        _ => None,
    };
    let texts = texts
        .map(|texts| texts.cast(&DataType::String))
        .transpose()?;
    let in_place = |path: &str| match tower {
        Tower::Image if !is_url(path) && items.dtype().is_string() => {
            root.join(path).to_string_lossy().into_owned()
        }
        _ => path.to_owned(),
    };
    Ok(match texts {
        Some(texts) => texts.str()?.iter().map(|text| text.map(in_place)).collect(),
        None => (first..first + items.len())
            .map(|row| Some(format!("row {row}")))
            .collect(),
    })
}
