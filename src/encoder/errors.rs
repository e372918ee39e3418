//! Everything that can go wrong between a model's name and a unit vector, one variant per cause.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Precision, Tower};
use crate::device::{DeviceError, is_out_of_memory};

/// A cause that another library reported.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong in the encoder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// A name that is neither in the registry, nor `owner/name`, nor a folder.
    #[error(
        "there is no model called \"{name}\"{}; use one of {}, a Hugging Face id such as openai/clip-vit-base-patch32, or a local folder",
        closest.map(|known| format!(", did you mean {known}?")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The known name that it resembles, if it resembles one.
        closest: Option<&'static str>,
        /// All names in the registry.
        known: Vec<&'static str>,
    },

    /// A model whose towers this version cannot run.
    #[error(
        "{model} needs {architecture}, which is not built; use a CLIP model with OpenAI's towers, such as {}",
        known.join(", ")
    )]
    UnsupportedArchitecture {
        /// The model.
        model: String,
        /// What is missing.
        architecture: String,
        /// The names in the registry.
        known: Vec<&'static str>,
    },

    /// A model that embeds something else.
    #[error(
        "{model} does not embed {tower}; use a CLIP model, such as ViT-B/32, which embeds both texts and images"
    )]
    NoTower {
        /// The model.
        model: String,
        /// What was to be embedded.
        tower: Tower,
    },

    /// A folder that does not hold a file which every model has.
    #[error(
        "the folder {} holds no {file}; a model folder needs config.json, tokenizer.json and model.safetensors (or pytorch_model.bin), or open_clip's open_clip_config.json and open_clip_model.safetensors",
        folder.display()
    )]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// What it should hold.
        file: String,
    },

    /// The network may not be used and the cache does not hold the file.
    #[error(
        "{file} of {repository} is not in the cache {} and HF_HUB_OFFLINE is set; unset it, or put the model's files into a folder and give that folder's path as the model",
        cache.display()
    )]
    NotCached {
        /// Hugging Face id.
        repository: String,
        /// File inside the repository.
        file: String,
        /// The folder that was searched.
        cache: PathBuf,
    },

    /// A repository that does not hold a file which every model has.
    #[error(
        "{repository} on {endpoint} has no {file}; check the name, or use a model that has one"
    )]
    NotInRepository {
        /// Hugging Face id.
        repository: String,
        /// What it should hold.
        file: String,
        /// The server that was asked.
        endpoint: String,
    },

    /// A repository that may not be read, or that there is none.
    #[error(
        "{file} of {repository} is refused by {endpoint}; check the name, and if the model is private or asks for an agreement, give it on its page and set HF_TOKEN"
    )]
    Refused {
        /// Hugging Face id.
        repository: String,
        /// File inside the repository.
        file: String,
        /// The server that was asked.
        endpoint: String,
    },

    /// A download failed.
    #[error(
        "{file} of {repository} could not be fetched from {endpoint} ({cause}); check the network, or put the model's files into a folder (for instance {}) and give that folder's path as the model",
        folder.display()
    )]
    Download {
        /// Hugging Face id.
        repository: String,
        /// File inside the repository.
        file: String,
        /// The server that was asked.
        endpoint: String,
        /// A folder where the files could be put by hand.
        folder: PathBuf,
        /// What the client reported.
        cause: Cause,
    },

    /// A file that could not be opened or read.
    #[error("{} could not be read ({cause}); check that it exists and that you may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system reported.
        cause: std::io::Error,
    },

    /// A JSON file that does not parse.
    #[error("{} is not the JSON that was expected ({cause}); fetch the file again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        cause: serde_json::Error,
    },

    /// A field of a configuration with a value that cannot be used.
    #[error("{}: {field} is {got}, expected {expected}", path.display())]
    ConfigValue {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What could be used.
        expected: &'static str,
    },

    /// A module of a sentence encoder that this version cannot run.
    #[error(
        "{}: the module {module} cannot be run here, expected {expected}; use a model that consists of Transformer, Pooling, Dense and Normalize of sentence_transformers",
        path.display()
    )]
    UnknownModule {
        /// `modules.json`.
        path: PathBuf,
        /// Its type.
        module: String,
        /// What could stand in its place.
        expected: &'static str,
    },

    /// A weight file that is damaged or of another kind.
    #[error(
        "{} is not a readable weight file ({}{cause}); fetch it again, or save it anew as safetensors",
        path.display(),
        name.as_ref().map(|name| format!("tensor {name}: ")).unwrap_or_default()
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The tensor, where one tensor alone is damaged.
        name: Option<String>,
        /// What the reader reported.
        cause: Cause,
    },

    /// A PyTorch file that runs code when PyTorch opens it.
    #[error(
        "{} is refused, and nothing in it was run: it calls {function}, which has nothing to do with tensors; do not open it with PyTorch unless you trust its source, and ask for the model as safetensors",
        path.display()
    )]
    PickledCode {
        /// The file.
        path: PathBuf,
        /// The first function in it that has nothing to do with tensors.
        function: String,
    },

    /// A program of PyTorch's instead of a dictionary of tensors.
    #[error(
        "{} is a TorchScript archive, not a dictionary of tensors; open it with torch.jit.load and save its state_dict() as safetensors",
        path.display()
    )]
    TorchScript {
        /// The file.
        path: PathBuf,
    },

    /// A tensor that the model needs and the file does not have.
    #[error(
        "{} has no tensor {name}; the file belongs to another architecture or is incomplete",
        path.display()
    )]
    MissingTensor {
        /// The tensor, by its name in the file.
        name: String,
        /// The file.
        path: PathBuf,
    },

    /// A part of a tower that the configuration does not speak of.
    #[error(
        "{}: tensor {name} belongs to no part of the towers that the configuration describes; the two belong to different models",
        path.display()
    )]
    UnknownTensor {
        /// The tensor, by its name in the file.
        name: String,
        /// The file.
        path: PathBuf,
    },

    /// A tensor whose shape contradicts the configuration.
    #[error(
        "{}: tensor {name} has the shape {got:?}, but {expected:?} is needed; the weights and the configuration belong to different models",
        path.display()
    )]
    TensorShape {
        /// The tensor, by its name in the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// The shape in the file.
        got: Vec<usize>,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
    },

    /// A tensor whose numbers have another type.
    #[error(
        "{}: tensor {name} holds {got}, not floating-point numbers; the file is quantised or belongs to another architecture",
        path.display()
    )]
    TensorType {
        /// The tensor, by its name in the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// The type in the file.
        got: &'static str,
    },

    /// A tensor with a number that is none.
    #[error("{}: tensor {name} holds {got} at {at}; the file is damaged, fetch it again", path.display())]
    TensorValue {
        /// The tensor, by its name in the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// Place of the first such number.
        at: usize,
        /// What is there.
        got: f32,
    },

    /// A tokeniser that could not be loaded.
    #[error("{} is not a usable tokeniser ({cause}); fetch the file again", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// What the tokeniser reported.
        cause: Cause,
    },

    /// A tokeniser that does not frame a text by one start and one end token.
    #[error(
        "{} frames an empty text by {got} tokens, expected 2: start and end; use the tokenizer.json of a CLIP model",
        path.display()
    )]
    TokenizerFrame {
        /// The file.
        path: PathBuf,
        /// Number of tokens of the empty text.
        got: usize,
    },

    /// A tokeniser with more words than the text tower knows.
    #[error(
        "{} produces token {token}, but the text tower knows only {vocabulary}; use the tokenizer.json that belongs to the model",
        path.display()
    )]
    TokenizerVocabulary {
        /// The file.
        path: PathBuf,
        /// The largest token.
        token: u32,
        /// The number of tokens that the tower has vectors for.
        vocabulary: usize,
    },

    /// Tokens that no text of this encoder has.
    #[error(
        "row {row} has {length} tokens and its end at {end}, but this encoder reads 1 to {context} tokens; use the tokens that its own tokenize gives"
    )]
    TokenRow {
        /// Row of the batch.
        row: usize,
        /// Number of its tokens.
        length: usize,
        /// Where it is said to end.
        end: usize,
        /// The largest number of tokens.
        context: usize,
    },

    /// A text that the tokeniser refused.
    #[error("the tokeniser refused a text of {length} bytes ({cause})")]
    Tokenize {
        /// Length of the text in bytes.
        length: usize,
        /// What the tokeniser reported.
        cause: Cause,
    },

    /// A prompt without a place for the label, or with several.
    #[error("\"{got}\" needs one {{}} where the label goes, as in \"a photo of a {{}}\"")]
    Template {
        /// The prompt.
        got: String,
    },

    /// Nothing to choose from.
    #[error("there is no label to choose from; give at least one label and one prompt")]
    NoLabels,

    /// A device that cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),

    /// A precision that cannot be parsed.
    #[error("there is no precision called \"{got}\"; use f32, f16 or bf16")]
    PrecisionName {
        /// What was asked for.
        got: String,
    },

    /// Half precision on the processor.
    #[error(
        "the processor computes in f32, not in {precision}; leave the precision at f32, or use a CUDA device"
    )]
    HalfOnProcessor {
        /// What was asked for.
        precision: Precision,
    },

    /// A computation that failed on the device.
    #[error(
        "the computation failed on the device ({cause}); use a smaller batch if it ran out of memory"
    )]
    Inference {
        /// What the tensor library reported.
        cause: Cause,
    },

    /// A single item that the device has no memory for.
    #[error(
        "the device has no memory even for one item at a time ({cause}); end other programs that use it, take a smaller model, or use the device cpu"
    )]
    OutOfMemory {
        /// The failed computation.
        cause: Box<EncoderError>,
    },

    /// A cache that is open elsewhere.
    #[error(
        "the cache {} is held open by another vmfmix; wait until it has ended, or give another file",
        path.display()
    )]
    CacheInUse {
        /// The file.
        path: PathBuf,
    },

    /// A file that cannot be a cache.
    #[error(
        "{} cannot serve as a cache of embeddings ({cause}); give another file, or remove it if it is a cache that was damaged",
        path.display()
    )]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the database or the operating system reported.
        cause: Cause,
    },

    /// The listener asked to stop.
    #[error("stopped before all items were embedded, as was asked; call again to embed them")]
    Cancelled,

    /// No text and no image.
    #[error("the item is null; leave it out, or keep it and get a null embedding")]
    NullItem,

    /// An address where a file was expected.
    #[error("`{url}` is a URL; download it first and give the path of the file")]
    Url {
        /// What was given.
        url: String,
    },

    /// A file that data name, outside of the folder that such files may be read from.
    #[error(
        "{} lies outside of {}, the only folder that pictures are read from here; allow one that holds both with --image-root",
        path.display(),
        folder.display()
    )]
    OutsideFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },

    /// An image without a byte.
    #[error("the image is empty (0 bytes); the file was not written or not downloaded completely")]
    EmptyImage,

    /// A folder where a file was expected.
    #[error("this is a folder, not an image; give the images inside it one by one")]
    ImageIsFolder,

    /// Bytes that begin like no known image format.
    #[error("these bytes are no image that can be read; use PNG, JPEG, GIF, WebP, BMP or TIFF")]
    NotAnImage,

    /// An image that ends before its last pixel.
    #[error("the image is truncated; it was not copied or not downloaded completely")]
    TruncatedImage,

    /// An image with more pixels than allowed.
    #[error(
        "the image has {width}x{height} pixels, more than the limit of {limit}; scale it down, or raise the limit if you trust its origin"
    )]
    ImageTooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Largest number of pixels.
        limit: u64,
    },

    /// An image that its decoder refused.
    #[error("the image cannot be decoded ({cause}); open and save it again with another program")]
    DamagedImage {
        /// What the decoder reported.
        cause: Cause,
    },

    /// A buffer whose length is not three bytes for each pixel.
    #[error(
        "a picture of {width}x{height} pixels needs {expected} bytes of RGB and at least one pixel, got {got}"
    )]
    PictureLength {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Number of bytes that the size asks for.
        expected: usize,
        /// Number of bytes.
        got: usize,
    },

    /// An error about one file.
    #[error("{}: {cause}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Box<EncoderError>,
    },
}

impl EncoderError {
    /// Whether the device had no memory left, so that a smaller batch may fit.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            EncoderError::OutOfMemory { .. } => true,
            EncoderError::Inference { cause } => cause
                .downcast_ref::<candle_core::Error>()
                .is_some_and(is_out_of_memory),
            _ => false,
        }
    }

    /// [`EncoderError::ConfigValue`].
    pub(super) fn config_value(
        path: &Path,
        field: &'static str,
        got: impl ToString,
        expected: &'static str,
    ) -> Self {
        EncoderError::ConfigValue {
            path: path.into(),
            field,
            got: got.to_string(),
            expected,
        }
    }
}

impl From<candle_core::Error> for EncoderError {
    fn from(error: candle_core::Error) -> Self {
        EncoderError::Inference {
            cause: Box::new(error),
        }
    }
}
