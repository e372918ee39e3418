//! The function that executors run to embed: texts, paths of images or encoded images to vectors, or to the reason why not.
//!
//! `vmf_embed(item, settings)`, where the settings are a literal: JSON. A process loads a model once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float32Builder, ListBuilder, StringBuilder, StructArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use serde::{Deserialize, Serialize};

use super::function::external;
use crate::encoder::{
    self, BatchOptions, Embedded, Encoder, ImageSource, Placement, Tower, embed_images, embed_texts,
};
use crate::progress::Silent;

/// The columns that embedding adds, as [`FrameExt`](crate::frame::FrameExt) names them.
pub(super) const COLUMNS: [&str; 2] = ["embedding", "embedding_error"];

/// How executors embed.
#[derive(Clone, Debug)]
pub struct EmbedSettings {
    /// A name of the registry, a Hugging Face id, or a folder that all executors see.
    pub model: String,
    /// What the items are.
    pub tower: Tower,
    /// The folder, on each executor, that images named in the table may be read from.
    pub image_root: PathBuf,
    /// Where each executor's encoder runs; [`Device::Auto`](crate::device::Device::Auto) takes a GPU where there is one.
    pub placement: Placement,
    /// Items that an encoder sees at once; the usual number where `None`.
    pub batch_size: Option<NonZeroUsize>,
}

/// The settings as they travel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Wire {
    model: String,
    images: bool,
    image_root: PathBuf,
    device: String,
    precision: String,
    batch_size: Option<NonZeroUsize>,
}

/// Encoders that this process has loaded.
static LOADED: Mutex<BTreeMap<Wire, Arc<dyn Encoder>>> = Mutex::new(BTreeMap::new());

/// The function, by the name that all processes know it by.
pub(super) fn embed() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(EmbedFunction {
        signature: Signature::any(2, Volatility::Immutable),
    }))
}

/// The embeddings of a column.
pub(super) fn call(column: Expr, settings: &EmbedSettings) -> Result<Expr> {
    let wire = Wire {
        model: settings.model.clone(),
        images: settings.tower == Tower::Image,
        image_root: settings.image_root.clone(),
        device: settings.placement.device.to_string(),
        precision: settings.placement.precision.to_string(),
        batch_size: settings.batch_size,
    };
    let json = serde_json::to_string(&wire).map_err(external)?;
    Ok(embed().call(vec![column, lit(json)]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EmbedFunction {
    signature: Signature,
}

impl ScalarUDFImpl for EmbedFunction {
    fn name(&self) -> &str {
        "vmf_embed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [
            ColumnarValue::Array(items),
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(json))),
        ] = &arguments.args[..]
        else {
            return Err(exec_datafusion_err!(
                "vmf_embed takes a column and its settings"
            ));
        };
        let wire: Wire = serde_json::from_str(json).map_err(external)?;
        let encoder = load(&wire)?;
        let options = BatchOptions {
            batch_size: wire.batch_size,
            ..BatchOptions::default()
        };
        let embedded = if !wire.images {
            let texts = cast(items, &DataType::Utf8)?;
            let texts: Vec<Option<&str>> = texts.as_string::<i32>().iter().collect();
            embed_texts(&*encoder, &texts, &options, &Silent)
        } else if is_text(items.data_type()) {
            let paths = cast(items, &DataType::Utf8)?;
            let paths = paths.as_string::<i32>().iter();
            let folder = &*wire.image_root;
            let source = |path| ImageSource::Within {
                folder,
                path: Path::new(path),
            };
            let sources: Vec<_> = paths.map(|path| path.map(source)).collect();
            embed_images(&*encoder, &sources, &options, &Silent)
        } else {
            let images = cast(items, &DataType::LargeBinary)?;
            let images = images.as_binary::<i64>().iter();
            let sources: Vec<_> = images.map(|bytes| bytes.map(ImageSource::Bytes)).collect();
            embed_images(&*encoder, &sources, &options, &Silent)
        };
        Ok(ColumnarValue::Array(columns(&embedded.map_err(external)?)))
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn fields() -> Fields {
    let vector = DataType::new_list(DataType::Float32, true);
    let types = [vector, DataType::Utf8];
    let columns = COLUMNS.iter().zip(types);
    columns
        .map(|(name, kind)| Field::new(*name, kind, true))
        .collect()
}

fn load(wire: &Wire) -> Result<Arc<dyn Encoder>> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(encoder) = loaded.get(wire) {
        return Ok(encoder.clone());
    }
    let placement = Placement {
        device: wire.device.parse().map_err(external)?,
        precision: wire.precision.parse().map_err(external)?,
    };
    let encoder: Arc<dyn Encoder> = encoder::load(&wire.model, placement)
        .map_err(external)?
        .into();
    loaded.insert(wire.clone(), encoder.clone());
    Ok(encoder)
}

/// Vectors, null where there is a reason instead.
fn columns(embedded: &Embedded) -> ArrayRef {
    let mut vectors = ListBuilder::new(Float32Builder::new());
    let mut reasons = StringBuilder::new();
    let mut failures = embedded.failures.iter().peekable();
    for (row, vector) in embedded.embeddings.outer_iter().enumerate() {
        match failures.next_if(|failure| failure.row == row) {
            Some(failure) => {
                vectors.append_null();
                reasons.append_value(failure.reason.to_string());
            }
            None => {
                vectors.values().append_slice(&vector.to_vec());
                vectors.append(true);
                reasons.append_null();
            }
        }
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(vectors.finish()), Arc::new(reasons.finish())];
    Arc::new(StructArray::new(fields(), columns, None))
}
