//! Plain values, whatever prints itself, and errors.

use std::error::Error;
use std::fmt::{Debug, Display};

use askama::Template;
use ndarray::{ArrayBase, Data, Dimension};

use super::{Show, content, write};

/// Characters of `{:?}` up to which it stays on one line.
const LONGEST_LINE: usize = 100;

/// How a value without a face of its own is shown: as `{:?}` has it. Its method has the name of [`Show`]'s and takes more, so that
/// it comes second; without it the kernel would compile such cells twice.
pub trait ShowDebug {
    /// Shows the value; what the kernel calls.
    fn evcxr_display(&mut self);
}

impl<T: Debug> ShowDebug for T {
    fn evcxr_display(&mut self) {
        let short = format!("{self:?}");
        let text = match short.len() <= LONGEST_LINE {
            true => short,
            false => format!("{self:#?}"),
        };
        write(&content(None, &text));
    }
}

macro_rules! show_as_text {
    ($($type:ty),*) => {$(
        impl Show for $type {
            fn cell_html(&self) -> String {
                format!("<pre>{}</pre>", escape(&self.cell_text()))
            }

            fn cell_text(&self) -> String {
                self.to_string()
            }

            fn evcxr_display(&self) {
                write(&content(None, &self.cell_text()));
            }
        }
    )*};
}

show_as_text!(bool, usize, u32, u64, i32, i64, f32, f64, str, String);

impl<S: Data<Elem: Display>, D: Dimension> Show for ArrayBase<S, D> {
    fn cell_html(&self) -> String {
        format!("<pre>{}</pre>", escape(&self.cell_text()))
    }

    fn cell_text(&self) -> String {
        format!("{self:.4}")
    }
}

/// Nothing, for cells that end in a loop.
impl Show for () {
    fn cell_html(&self) -> String {
        String::new()
    }

    fn cell_text(&self) -> String {
        String::new()
    }

    fn evcxr_display(&self) {}
}

impl<T: Show> Show for Option<T> {
    fn cell_html(&self) -> String {
        self.as_ref()
            .map_or_else(|| "<em>nothing</em>".to_owned(), T::cell_html)
    }

    fn cell_text(&self) -> String {
        self.as_ref()
            .map_or_else(|| "nothing".to_owned(), T::cell_text)
    }
}

/// What went wrong, and why.
#[derive(Template)]
#[template(path = "error.html", config = "src/notebook/askama.toml")]
struct Failure {
    message: String,
    causes: Vec<String>,
}

impl Failure {
    /// An error and its causes, without those that the message before has told already.
    fn new(error: &(dyn Error + 'static)) -> Self {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            let words = error.to_string();
            if !causes.last().unwrap_or(&message).contains(&words) {
                causes.push(words);
            }
            cause = error.source();
        }
        Self { message, causes }
    }
}

impl<T: Show, E: Error + 'static> Show for Result<T, E> {
    fn cell_html(&self) -> String {
        match self {
            Ok(value) => value.cell_html(),
            Err(error) => rendered(&Failure::new(error)),
        }
    }

    fn cell_text(&self) -> String {
        match self {
            Ok(value) => value.cell_text(),
            Err(error) => {
                let Failure { message, causes } = Failure::new(error);
                let causes = causes.iter().map(|cause| format!("\n  because {cause}"));
                format!("error: {message}{}", causes.collect::<String>())
            }
        }
    }
}

/// A template as HTML; one that fails says so in its place.
pub(super) fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| escape(&error))
}

pub(super) fn escape(text: &(impl Display + ?Sized)) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map_or_else(|_| String::new(), |safe| safe.to_string())
}

#[cfg(test)]
mod tests {
    use crate::mixture::MixtureError;

    use super::*;

    #[test]
    fn an_error_is_a_short_block_with_each_reason_once() {
        let failed: Result<f64, MixtureError> = Err(MixtureError::NothingHeldOut);
        assert!(failed.cell_text().starts_with("error: "));
        assert!(failed.cell_html().contains("role=\"alert\""));
        let inner = std::io::Error::other("a < b");
        let outer: Result<f64, std::io::Error> = Err(std::io::Error::other(inner));
        assert_eq!(outer.cell_text(), "error: a < b");
        assert!(outer.cell_html().contains("a &#60; b"));
    }

    #[test]
    fn plain_values_are_shown_as_they_print() {
        assert_eq!(2.5.cell_text(), "2.5");
        assert_eq!(Some("a".to_owned()).cell_text(), "a");
        assert_eq!(None::<f64>.cell_text(), "nothing");
        assert_eq!(
            ndarray::array![1.0, 1.0 / 3.0].cell_text(),
            "[1.0000, 0.3333]"
        );
        assert_eq!(().cell_text(), "");
    }
}
