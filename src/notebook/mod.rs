//! What a cell of an evcxr notebook shows.
//!
//! The last expression of a cell is shown as HTML and as text, both in one write, as the kernel wants them. The HTML needs nothing
//! else: it works in JupyterLab, VS Code and nbviewer, and where no script may run, as on GitHub, pictures stand for the figures.
//!
//! | file | what it shows |
//! |---|---|
//! | `frame.rs` | frames of Polars, with thumbnails and short vectors |
//! | `model.rs` | mixtures, distributions, selections, gaps |
//! | `figure.rs` | figures and reports |
//! | `value.rs` | everything else, and errors |
//! | `lines.rs` | progress by lines |

mod figure;
mod frame;
mod lines;
mod model;
mod value;

use std::io::Write;

pub use lines::Lines;
pub use value::ShowDebug;

/// How a value is shown at the end of a cell.
pub trait Show {
    /// As HTML that needs nothing else.
    fn cell_html(&self) -> String;

    /// As text.
    fn cell_text(&self) -> String;

    /// Shows both; what the kernel calls.
    fn evcxr_display(&self) {
        write(&content(Some(&self.cell_html()), &self.cell_text()));
    }
}

/// The kernel's frames around what is shown, one for each kind.
fn content(html: Option<&str>, text: &str) -> String {
    let framed = |mime: &str, body: &str| {
        let body = body.replace("EVCXR_", "EVCXR\u{200b}_");
        format!("EVCXR_BEGIN_CONTENT {mime}\n{body}\nEVCXR_END_CONTENT\n")
    };
    let html = html.map_or_else(String::new, |html| framed("text/html", html));
    html + &framed("text/plain", text)
}

/// Writes at once, so that nothing comes between; a notebook that has gone away is no reason to panic.
fn write(content: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(content.as_bytes()).and_then(|()| out.flush());
    drop(written);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_come_in_one_piece_that_no_text_can_end() {
        let shown = content(Some("<b>a</b>"), "EVCXR_END_CONTENT\nb");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "EVCXR_BEGIN_CONTENT text/html",
                "<b>a</b>",
                "EVCXR_END_CONTENT"
            ]
        );
        assert_eq!(lines[3], "EVCXR_BEGIN_CONTENT text/plain");
        assert_eq!(shown.matches("EVCXR_END_CONTENT").count(), 2);
    }
}
