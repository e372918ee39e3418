//! Words and numbers as a reader sees them, and user text made safe for where it goes.

/// Longest user text shown in a figure, in characters.
const LONGEST: usize = 160;
/// Characters in one line of a hover label.
const LINE: usize = 48;

/// A count with thousands separators: `12,345`.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 item`, `2,000 items`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A number with fixed decimals, a true minus sign, and a dash where there is none.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !zero {
        format!("−{text}")
    } else {
        text
    }
}

/// Distance of a score from 1 below which it is not told.
const CLOSEST: f64 = 1e-6;

/// From here on a number is told in millions.
const MANY: f64 = 1e7;

/// A number rounded to a whole one, with thousands separators: `−12,345`; large ones in millions: `−3,704 million`.
pub(crate) fn whole(value: f64) -> String {
    if value.abs() >= MANY && value.is_finite() {
        return format!("{} million", whole(value / 1e6));
    }
    let sign = if value.round() < 0.0 { "−" } else { "" };
    format!("{sign}{}", count(value.round().abs() as usize))
}

/// A number with so many significant digits: `0.00123`, `12.3`, `12,345`.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    let magnitude = value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32;
    match value {
        0.0 => "0".to_owned(),
        _ if magnitude >= digits => whole(value),
        _ => fixed(value, (digits - 1 - magnitude).clamp(0, 12) as usize),
    }
}

/// A score from 0 to 1 that is often close to 1: `0.52`, `0.99987`, `above 0.999999`.
pub(crate) fn score(score: f64) -> String {
    match 1.0 - score {
        distance if distance < CLOSEST => format!("above {}", 1.0 - CLOSEST),
        distance => fixed(score, (2.0 - distance.log10().ceil()) as usize),
    }
}

/// A share of one as per cent: `4.2 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", fixed(100.0 * share, 1))
}

/// A concentration: whole from 100 on, else with two decimals.
pub(crate) fn concentration(kappa: f64) -> String {
    match kappa >= 100.0 {
        true => whole(kappa),
        false => fixed(kappa, 2),
    }
}

/// The first `longest` characters, with an ellipsis where more follow.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    let mut characters = text.chars();
    let mut out: String = characters.by_ref().take(longest).collect();
    if characters.next().is_some() {
        out.push('…');
    }
    out
}

/// User text for plotly, which reads a subset of HTML: escaped, shortened, broken into lines.
pub(crate) fn for_plotly(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in shortened(text, LONGEST).split_whitespace() {
        if width > 0 && width + word.chars().count() > LINE {
            out.push_str("<br>");
            width = 0;
        } else if width > 0 {
            out.push(' ');
        }
        width += word.chars().count() + 1;
        out.push_str(&escape(word));
    }
    out
}

/// User text for one line of a figure: escaped and shortened to `longest` characters.
pub(crate) fn for_plotly_line(text: &str, longest: usize) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    escape(&shortened(&joined, longest))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// JSON that may stand inside a `<script>` element: nothing in it can end the element.
pub(crate) fn json_for_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", character as u32));
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "item"), "1 item");
        assert_eq!(fixed(-1.25, 1), "−1.2");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(fixed(f64::NAN, 2), "–");
        assert_eq!(whole(-301_435.4), "−301,435");
        assert_eq!(whole(-3_704_199_112.0), "−3,704 million");
        assert_eq!(percent(0.0421), "4.2 %");
        assert_eq!(significant(0.001234, 3), "0.00123");
        assert_eq!(significant(12_345.6, 3), "12,346");
        assert_eq!(significant(0.0, 3), "0");
        assert_eq!(score(0.5), "0.50");
        assert_eq!(score(0.99987), "0.99987");
        assert_eq!(score(1.0), "above 0.999999");
    }

    #[test]
    fn hostile_text_cannot_leave_a_script_element() {
        let json = serde_json::to_string("</script><!--\u{2028}&\"'").unwrap();
        let safe = json_for_script(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']));
        assert_eq!(
            serde_json::from_str::<String>(&safe).unwrap(),
            "</script><!--\u{2028}&\"'"
        );
    }

    #[test]
    fn text_for_plotly_has_no_markup_but_line_breaks() {
        let shown = for_plotly(&"<a href='x'>click</a> & more ".repeat(4));
        assert_eq!(shown.replace("<br>", "").matches('<').count(), 0);
        assert!(shown.contains("<br>"));
        assert_eq!(for_plotly_line("a\n<b>", 10), "a &lt;b&gt;");
    }
}
