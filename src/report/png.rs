//! The convergence plot as a picture, drawn without a browser and without the system's fonts.

use std::io::Cursor;
use std::ops::Range;
use std::sync::LazyLock;

use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use super::ReportError;
use super::summary::Summary;
use super::text;

const SIZE: (u32, u32) = (1280, 800);
const FONT: &str = "vmfmix";
const INK: RGBColor = RGBColor(38, 42, 51);
const SOFT_INK: RGBColor = RGBColor(96, 104, 118);
const GRID: RGBColor = RGBColor(228, 231, 236);
const CURVE: RGBColor = RGBColor(0, 114, 178);
/// Above this many iterations the points of the curve are not marked.
const MOST_MARKS: usize = 60;
/// Share of the range of values left free above and below the curve.
const HEADROOM: f64 = 0.06;

static FONT_REGISTERED: LazyLock<bool> = LazyLock::new(|| {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok()
});

/// Log-likelihood by iteration, as a PNG file.
///
/// # Errors
/// The plotting library fails.
pub fn convergence_plot(summary: &Summary) -> Result<Vec<u8>, ReportError> {
    let failed = |reason: String| ReportError::Plot { reason };
    if !*FONT_REGISTERED {
        return Err(failed("the embedded font cannot be read".to_owned()));
    }
    let mut pixels = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        draw(&area, summary).map_err(|error| failed(error.to_string()))?;
        area.present().map_err(|error| failed(error.to_string()))?;
    }
    let image = RgbImage::from_raw(SIZE.0, SIZE.1, pixels)
        .ok_or_else(|| failed("the picture has the wrong size".to_owned()))?;
    let mut png = Cursor::new(Vec::new());
    image
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| failed(error.to_string()))?;
    Ok(png.into_inner())
}

fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    summary: &Summary,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let values: Vec<(f64, f64)> = summary
        .convergence
        .log_likelihoods
        .iter()
        .enumerate()
        .map(|(i, &value)| ((i + 1) as f64, value))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let font = |size: i32, colour: &RGBColor| (FONT, size).into_font().color(colour);
    area.fill(&WHITE)?;
    area.draw(&Text::new("Progress of the fit", (40, 28), font(40, &INK)))?;
    area.draw(&Text::new(subtitle(summary), (40, 80), font(25, &SOFT_INK)))?;
    let (across, up) = ranges(&values);
    let decimals = decimals(&up);
    let mut chart = ChartBuilder::on(area)
        .margin_top(132)
        .margin_right(48)
        .margin_bottom(24)
        .margin_left(32)
        .x_label_area_size(72)
        .y_label_area_size(132)
        .build_cartesian_2d(across, up)?;
    chart
        .configure_mesh()
        .x_desc("iteration")
        .y_desc("log-likelihood per item (nats)")
        .axis_desc_style(font(26, &SOFT_INK))
        .label_style(font(24, &INK))
        .x_labels(values.len().clamp(2, 12))
        .y_labels(8)
        .x_label_formatter(&|x| match (x - x.round()).abs() < 1e-9 {
            true => text::count(x.round() as usize),
            false => String::new(),
        })
        .y_label_formatter(&|y| text::fixed(*y, decimals))
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    chart.draw_series(LineSeries::new(values.clone(), CURVE.stroke_width(4)))?;
    if values.len() <= MOST_MARKS {
        chart.draw_series(values.iter().map(|&at| Circle::new(at, 6, CURVE.filled())))?;
    }
    Ok(())
}

fn subtitle(summary: &Summary) -> String {
    let convergence = &summary.convergence;
    let end = match convergence.converged {
        true => "settled",
        false => "still improving",
    };
    let iterations = text::counted(convergence.n_iterations, "iteration");
    match convergence.log_likelihoods.last() {
        Some(&last) => format!(
            "{end} after {iterations} at {} nats per item",
            text::fixed(last, 3)
        ),
        None => "no iteration was recorded".to_owned(),
    }
}

/// Ranges of the axes, never empty.
fn ranges(values: &[(f64, f64)]) -> (Range<f64>, Range<f64>) {
    let last = values.last().map_or(1.0, |&(x, _)| x).max(2.0);
    let low = values.iter().map(|&(_, y)| y).fold(f64::INFINITY, f64::min);
    let high = values
        .iter()
        .map(|&(_, y)| y)
        .fold(f64::NEG_INFINITY, f64::max);
    let up = match values.is_empty() {
        true => 0.0..1.0,
        false => {
            let room = (HEADROOM * (high - low)).max(1e-6 * high.abs()).max(1e-9);
            low - room..high + room
        }
    };
    (1.0..last, up)
}

/// Decimals that tell neighbouring ticks apart.
fn decimals(range: &Range<f64>) -> usize {
    let step = (range.end - range.start) / 8.0;
    (1.0 - step.log10()).ceil().clamp(0.0, 9.0) as usize
}
