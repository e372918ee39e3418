//! The integration tests, one binary.

mod cli;
#[cfg(feature = "ballista")]
mod cluster;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod embed;
mod encoder;
mod faults;
mod foreign_bytes;
mod frame;
mod hub;
mod kmeans;
mod layering;
mod mixture;
mod observations;
mod parity;
mod report;
mod sampling;
mod sentence;
mod settings;
mod shards;
mod siglip;
mod soak;
mod vmf;
