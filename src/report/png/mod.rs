//! Figures as pictures, drawn without a browser and without the system's fonts.
//!
//! A figure is read back from plotly's JSON, so that a picture shows what the page does:
//!
//! | file | what it does |
//! |---|---|
//! | `chart.rs` | traces, axes and colours as plotly writes them |
//! | `scale.rs` | range and ticks of an axis |
//! | `plane.rs` | panels of two axes: points, lines, bars, heat maps |
//! | `space.rs` | a scene of three axes |
//! | `pen.rs` | text, markers, lines and legend on the pixels |
//!
//! With the feature `png`, and where the environment variable `WEBDRIVER_PATH` names chromedriver, a browser draws them instead
//! (`browser.rs`). Characters that the embedded font (Ubuntu Light) lacks are left out.

#[cfg(feature = "png")]
mod browser;
mod chart;
mod pen;
mod plane;
mod scale;
mod space;

use std::io::Cursor;

use image::imageops;
use image::{ImageFormat, RgbImage};
use plotters::prelude::*;
use rayon::prelude::*;

use super::ReportError;
use super::figures::Figure;
use chart::Chart;
use pen::{FINENESS, HEAD, Pen};

/// Widths in CSS pixels, of most figures and of those that ask for the width of two.
const NARROW: usize = 640;
const WIDE: usize = 960;
/// Pixels drawn for each one of the picture, in both directions, so that edges are smooth.
const OVERSAMPLING: u32 = 2;

/// A figure as a PNG file, 1.5 pixels to each CSS pixel.
///
/// # Errors
/// The plotting library fails.
pub fn picture(figure: &Figure) -> Result<Vec<u8>, ReportError> {
    Ok(pictures(&[figure])?.swap_remove(0))
}

/// Figures as PNG files, in order: many are drawn faster together than one by one.
///
/// # Errors
/// The plotting library fails.
pub fn pictures(figures: &[&Figure]) -> Result<Vec<Vec<u8>>, ReportError> {
    let sheets: Vec<Sheet> = figures.iter().map(|figure| Sheet::new(figure)).collect();
    #[cfg(feature = "png")]
    if browser::is_there() {
        return browser::pictures(&sheets);
    }
    sheets.into_par_iter().map(Sheet::picture).collect()
}

/// What a picture shows, apart from plotly's types, which stay on one thread.
struct Sheet {
    title: String,
    /// CSS pixels.
    size: [usize; 2],
    json: String,
}

impl Sheet {
    fn new(figure: &Figure) -> Self {
        let width = if figure.is_wide { WIDE } else { NARROW };
        Self {
            title: figure.title.clone(),
            size: [width, HEAD + figure.height],
            json: figure.plot.to_json(),
        }
    }

    fn picture(self) -> Result<Vec<u8>, ReportError> {
        let chart: Chart = serde_json::from_str(&self.json)?;
        let [width, height] = self.size.map(|side| side as u32 * FINENESS as u32);
        let mut pixels = vec![255; (width * height * 3) as usize];
        {
            let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            let pen = Pen::new(root.clone())?
                .with_title(&self.title)?
                .with_legend(&chart)?;
            match chart.is_in_space() {
                true => space::draw(&pen, &chart)?,
                false => plane::draw(&pen, &chart)?,
            }
            root.present()?;
        }
        let failed = || ReportError::Plot {
            reason: "the picture has the wrong size".to_owned(),
        };
        let drawn = RgbImage::from_raw(width, height, pixels).ok_or_else(failed)?;
        let picture = imageops::thumbnail(&drawn, width / OVERSAMPLING, height / OVERSAMPLING);
        let mut png = Cursor::new(Vec::new());
        let encoded = picture.write_to(&mut png, ImageFormat::Png);
        encoded.map_err(|error| ReportError::Plot {
            reason: error.to_string(),
        })?;
        Ok(png.into_inner())
    }
}
