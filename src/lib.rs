//! A column of texts or images goes in, a von Mises-Fisher mixture and a report come out.
#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod encoder;
pub mod frame;
pub mod mixture;
pub mod progress;
pub mod report;
pub mod vmf;
