//! Lines for whoever runs the program, where `println!` and `eprintln!` would panic because the line cannot be written.

/// Writes a line to standard output, or returns why it cannot be written.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        anyhow::Context::context(writeln!(std::io::stdout(), $($words)*), "standard output")?
    }};
}

/// Writes a line to standard error; there is nobody to tell where that fails.
macro_rules! note {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

pub(super) use {note, say};
