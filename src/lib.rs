//! **vmfmix**: what is in a folder of pictures or a column of texts?
//!
//! ```text
//! column ──▶ encoder ──▶ embeddings ──▶ mixture ──▶ report
//! Polars     candle      unit rows      linfa        plotly
//! ```
//!
//! 1. A column of texts or image paths is read into a Polars frame ([`frame::io`]).
//! 2. An encoder, usually CLIP ([`encoder::ClipEncoder`]), turns each item into a unit vector ([`frame::FrameExt`]).
//! 3. Unit vectors live on a sphere, where the von Mises-Fisher distribution ([`vmf::VonMisesFisher`]) is the
//!    natural Gaussian; a mixture of them ([`mixture::VonMisesFisherMixture`]) is fitted by EM, as a linfa estimator.
//! 4. Every item is assigned to a component, with its probability and likelihood.
//! 5. A [`report::Report`] explains the result on one page that opens offline.
//!
//! # Code map
//! A file imports only from its own folder or from a lower layer; `tests/it/layering.rs` sees to it.
//!
//! | layer | folder | what lives there |
//! |---|---|---|
//! | 0 | [`vmf`] | the mathematics of one distribution |
//! | 1 | [`mixture`] | sufficient statistics, the EM loop, the estimator, metrics |
//! | 2 | [`encoder`] | CLIP and other encoders: towers, checkpoints, tokenisers, preprocessing |
//! | 3 | [`frame`] | Polars columns and files |
//! | 3 | `distributed` | the passes on a cluster (feature `ballista`) |
//! | 4 | [`report`] | the summary and its faces: HTML, JSON, PNG |
//! | 5 | [`notebook`], [`cli`] | what a cell of a notebook shows, the command line |
//!
//! [`device`], [`progress`], `product` and `whole_file` serve them all.
//!
//! # Invariants
//! - One EM loop, many places for the data: it sees only [`mixture::Observations`].
//! - Statistics are a monoid, merged in a fixed order: the same data and seed give the same model bit by bit, for any
//!   number of threads.
//! - Data in `f32` or `f64`; statistics and parameters in `f64`; densities only as logarithms.
//! - Rows are directions: any positive length will do, no length at all is an error that names the row.
//! - Not having converged is data, not an error.
//! - Lists in, lists of the same length and order out: what cannot be read becomes null, with a reason.
//! - Every output file is written whole, and nothing reaches for the network when the files are local.
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
mod contained;
pub mod device;
#[cfg(feature = "ballista")]
pub mod distributed;
pub mod encoder;
pub mod frame;
mod memory;
pub mod mixture;
pub mod notebook;
pub mod prelude;
mod product;
pub mod progress;
pub mod report;
pub mod vmf;
mod whole_file;

pub use {linfa, ndarray, plotly, polars};

/// The programs of the README are doc-tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
