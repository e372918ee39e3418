//! The same figures drawn by a browser, as plotly.js does: feature `png`.
//!
//! The environment variable `WEBDRIVER_PATH` names chromedriver, and `BROWSER_PATH` a browser that it does not find itself.

use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plotly::plotly_static::{ImageFormat, StaticExporterBuilder};
use serde_json::{Value, json};

use super::{FINENESS, HEAD, OVERSAMPLING, Sheet};
use crate::report::ReportError;

/// Whether a browser can be asked.
pub(super) fn is_there() -> bool {
    std::env::var_os("WEBDRIVER_PATH").is_some()
}

/// One picture for each sheet, in order.
pub(super) fn pictures(sheets: &[Sheet]) -> Result<Vec<Vec<u8>>, ReportError> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.map_err(failed)?.port();
    let mut exporter = StaticExporterBuilder::default()
        .offline_mode(true)
        .webdriver_port(u32::from(port))
        .build()
        .map_err(failed)?;
    let scale = f64::from(FINENESS) / f64::from(OVERSAMPLING);
    let mut draw = |sheet: &Sheet| {
        let [width, height] = sheet.size;
        let chart = titled(sheet)?;
        let text = exporter.write_to_string(&chart, ImageFormat::PNG, width, height, scale);
        STANDARD.decode(text.map_err(failed)?).map_err(failed)
    };
    let drawn = sheets.iter().map(&mut draw).collect();
    exporter.close();
    drawn
}

/// A figure on white, its title above it.
fn titled(sheet: &Sheet) -> Result<Value, ReportError> {
    let mut chart: Value = serde_json::from_str(&sheet.json)?;
    let layout = &mut chart["layout"];
    layout["height"] = json!(sheet.size[1]);
    layout["paper_bgcolor"] = json!("#ffffff");
    layout["margin"]["t"] = json!(layout["margin"]["t"].as_u64().unwrap_or(0) + HEAD as u64);
    layout["title"] = json!({"text": sheet.title, "x": 0.02, "xanchor": "left"});
    Ok(chart)
}

fn failed(error: impl ToString) -> ReportError {
    ReportError::Plot {
        reason: format!(
            "the browser that WEBDRIVER_PATH drives: {}",
            error.to_string()
        ),
    }
}
