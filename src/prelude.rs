//! What a program or a notebook needs: `use vmfmix::prelude::*;`.

pub use crate::device::Device;
pub use crate::encoder::{
    self, ClipEncoder, Encoder, Placement, Precision, PromptTemplate, ZeroShotLabels,
};
pub use crate::frame::{
    EmbedOptions, Embeddings, FrameExt, Shards, io, label_components, modality_gap,
};
pub use crate::mixture::{
    Candidate, Criterion, MixtureError, Selection, VonMisesFisherMixture, metrics,
};
pub use crate::notebook::{Lines, Show, ShowDebug};
pub use crate::report::{Item, Report, figures};
pub use crate::vmf::VonMisesFisher;
pub use linfa::ParamGuard;
pub use linfa::traits::{Fit, FitWith, Predict};
pub use ndarray::{Array1, Array2, Axis};
pub use polars::df;
pub use polars::prelude::{Column, DataFrame, IntoLazy, LazyFrame, SortMultipleOptions, col, lit};
pub use rand::{Rng, SeedableRng};
pub use rand_xoshiro::Xoshiro256Plus;
