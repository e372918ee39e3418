//! What a program or a notebook needs: `use vmfmix::prelude::*;`.

pub use crate::encoder::{self, ClipEncoder, Device, Encoder, PromptTemplate, ZeroShotLabels};
pub use crate::frame::{EmbedOptions, Embeddings, FrameExt, io};
pub use crate::mixture::VonMisesFisherMixture;
pub use crate::report::{Item, Report};
pub use crate::vmf::VonMisesFisher;
pub use linfa::traits::{Fit, Predict};
pub use polars::prelude::DataFrame;
