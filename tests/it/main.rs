//! The integration tests, one binary.

mod cli;
mod encoder;
mod layering;
mod mixture;
mod report;
mod sampling;
mod vmf;
