//! Polars in, Polars out: columns of texts and images become columns of embeddings, and files become frames.

mod center;
mod column;
mod embeddings;
mod errors;
mod explore;
mod ext;
mod gap;
pub mod io;
mod present;
mod selection;
mod shards;

pub use embeddings::{EMBEDDING, EMBEDDING_ERROR, EMBEDDING_TRUNCATED, Embeddings};
pub use errors::FrameError;
pub(crate) use explore::nearest_earlier;
pub use explore::{describe_components, label_components};
pub use ext::{EmbedOptions, FrameExt};
pub use gap::{GapSide, ModalityGap, modality_gap};
pub use shards::{ShardRows, Shards};
