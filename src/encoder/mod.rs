//! CLIP encoders, and their like, on candle: texts and images in, unit vectors out.
//!
//! ```text
//! text    tokenizer   ids     text_transformer                                             ┐
//! file    picture     RGB     preprocess   pixels   vision_transformer or modified_resnet  ┴ features, scaled to unit length
//! ```
//!
//! [`Encoder`] is what the rest of the crate sees; [`ClipEncoder`], [`SiglipEncoder`] and, for texts alone, [`SentenceEncoder`]
//! implement it; [`load`] picks one by a model's name; [`embed_texts`] and [`embed_images`] send long lists through. A
//! model comes from a local folder, from the cache that Hugging Face programs share, or from the network, in this order.
//!
//! | file | what it is |
//! |---|---|
//! | `models` | the registry of OpenAI's names |
//! | `files`, `hub`, `download` | which files make a model; files from Hugging Face |
//! | `config`, `open_clip` | the sizes of the towers, from `config.json`, `open_clip_config.json` or the weights |
//! | `checkpoint`, `naming`, `pickle`, `safetensors` | weights, under one naming |
//! | `vision_transformer`, `text_transformer`, `transformer` | the towers and the block they share |
//! | `modified_resnet`, `convolution` | the other vision tower |
//! | `attention`, `kernels` | the work in and between matrix products, on the processor |
//! | `any_device`, `cuda` | the same on other devices |
//! | `placement` | where an encoder runs, and how exactly |
//! | `tokenizer` | texts to ids |
//! | `picture`, `jpeg`, `resample`, `preprocess` | files to pixels, byte for byte as Pillow |
//! | `clip` | all of these as one encoder |
//! | `siglip` | SigLIP as one encoder |
//! | `sentence` | encoders of texts alone: sentence-transformers |
//! | `var_builder`, `rows` | weights for, and embeddings from, the models of candle-transformers |
//! | `load` | which encoder a model's files are for |
//! | `batching` | long lists |
//! | `identity`, `cache` | which items are the same, and their embeddings on disk |
//! | `zero_shot` | labels in words, as directions |

use ndarray::Array2;

pub use crate::device::Device;

mod any_device;
mod attention;
mod batching;
mod cache;
mod checkpoint;
mod clip;
mod config;
mod convolution;
#[cfg(feature = "cuda")]
mod cuda;
mod download;
mod errors;
mod files;
mod hub;
mod identity;
mod jpeg;
mod kernels;
mod load;
pub mod models;
mod modified_resnet;
mod naming;
mod open_clip;
mod pickle;
mod picture;
mod placement;
mod preprocess;
#[cfg(test)]
mod reference;
mod resample;
mod rows;
mod safetensors;
mod sentence;
mod siglip;
mod text_transformer;
mod tokenizer;
mod transformer;
mod var_builder;
mod vision_transformer;
mod zero_shot;

pub use batching::{
    BatchOptions, Embedded, Failure, default_batch_size, embed_images, embed_texts,
};
pub use cache::EmbeddingCache;
pub use clip::ClipEncoder;
pub use errors::EncoderError;
pub use identity::fingerprint;
pub(crate) use identity::hex;
pub use load::load;
pub use picture::{DEFAULT_MAX_PIXELS, DecodeOptions, ImageSource, Picture};
pub(crate) use picture::{is_url, lies_in};
pub use placement::{Placement, Precision};
pub use preprocess::Preprocessing;
pub(crate) use rows::to_unit_rows;
pub use sentence::SentenceEncoder;
pub use siglip::SiglipEncoder;
pub use tokenizer::Tokens;
pub use zero_shot::{PromptTemplate, ZeroShotLabels};

/// What an encoder can embed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tower {
    /// Texts.
    Text,
    /// Images.
    Image,
}

/// Turns texts, images or both into unit vectors of one space.
///
/// An encoder has the methods of the towers that it [has](Encoder::towers); those of a tower that it lacks say so.
pub trait Encoder: Send + Sync {
    /// The model's name, as it was loaded.
    fn name(&self) -> &str;

    /// Number of coordinates of an embedding.
    fn dimension(&self) -> usize;

    /// What it can embed.
    fn towers(&self) -> &[Tower];

    /// Where the towers run; never [`Device::Auto`].
    fn device(&self) -> Device;

    /// The factor, learnt with the model, by which cosines between texts and images are multiplied before a softmax over
    /// them; `None` if the model was not trained to compare the two.
    fn logit_scale(&self) -> Option<f32> {
        None
    }

    /// Scales and crops a picture to what the image tower sees, so that many threads can do it beforehand.
    fn prepare(&self, picture: &Picture) -> Picture {
        picture.clone()
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// [`EncoderError::Tokenize`], [`EncoderError::NoTower`].
    fn tokenize(&self, _text: &str) -> Result<Tokens, EncoderError> {
        Err(self.no_tower(Tower::Text))
    }

    /// Embeds tokenised texts as one batch: `(n_texts, dimension)`, rows of unit length.
    ///
    /// A row whose features are all zero stays zero.
    ///
    /// # Errors
    /// [`EncoderError::Inference`], [`EncoderError::NoTower`].
    fn embed_tokens(&self, _tokens: &[&Tokens]) -> Result<Array2<f32>, EncoderError> {
        Err(self.no_tower(Tower::Text))
    }

    /// Embeds pictures as one batch: `(n_pictures, dimension)`, rows of unit length.
    ///
    /// Pictures that are not yet [prepared](Encoder::prepare) are prepared first. A row whose features are all zero stays zero.
    ///
    /// # Errors
    /// [`EncoderError::Inference`], [`EncoderError::NoTower`].
    fn embed_images(&self, _pictures: &[Picture]) -> Result<Array2<f32>, EncoderError> {
        Err(self.no_tower(Tower::Image))
    }

    /// Embeds texts as one batch: `(n_texts, dimension)`, rows of unit length.
    ///
    /// # Errors
    /// [`EncoderError::Tokenize`], [`EncoderError::Inference`], [`EncoderError::NoTower`].
    fn embed_texts(&self, texts: &[&str]) -> Result<Array2<f32>, EncoderError> {
        let tokens = texts
            .iter()
            .map(|text| self.tokenize(text))
            .collect::<Result<Vec<_>, _>>()?;
        self.embed_tokens(&tokens.iter().collect::<Vec<_>>())
    }

    /// The error that says that the model has no such tower.
    fn no_tower(&self, tower: Tower) -> EncoderError {
        EncoderError::NoTower {
            model: self.name().into(),
            tower,
        }
    }
}

impl std::fmt::Display for Tower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Tower::Text => "texts",
            Tower::Image => "images",
        })
    }
}
