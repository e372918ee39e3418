//! The integration tests, one binary.

mod cli;
mod encoder;
mod kmeans;
mod layering;
mod mixture;
mod report;
mod sampling;
mod sentence;
mod settings;
mod vmf;
