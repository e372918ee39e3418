//! The integration tests, one binary.

mod layering;
mod mixture;
mod vmf;
