//! `vmfmix vmf`: the distribution as a calculator.

use std::io::{self, BufRead, IsTerminal, Write, stdin, stdout};

use anyhow::{Context, Error, Result, bail};
use ndarray::Array1;
use serde::Serializer;
use serde_json::Value;

use super::args::VmfArgs;
use super::values::{concentration, dimension};
use crate::vmf::concentration::{bias_corrected, mean_resultant, solve, standard_error};
use crate::vmf::{VonMisesFisher, ln_normaliser, ln_sphere_area};

/// Names and values in the order in which they are shown; logarithms in nats, angles in radians.
type Row = Vec<(&'static str, Value)>;

pub(super) fn run(args: &VmfArgs) -> Result<()> {
    let out = stdout().lock();
    match (args.dim, args.kappa, args.mean_resultant_length) {
        (Some(dim), Some(kappa), _) => print(out, &properties(dim, kappa)?, args.json),
        (Some(dim), None, Some(r)) => print(out, &estimate(dim, r, args.n), args.json),
        _ => table(out, args.json),
    }
}

/// What is known of one distribution.
fn properties(dim: usize, kappa: f64) -> Result<Row> {
    let vmf = VonMisesFisher::new(Array1::ones(dim), kappa)?;
    let (radial, a) = (vmf.radial(), mean_resultant(dim, kappa));
    // Not `-ln`, which would be -0 at kappa = 0.
    let ln_c_uniform = 0.0 - ln_normaliser(dim, kappa);
    Ok(vec![
        ("dim", dim.into()),
        ("kappa", kappa.into()),
        ("ln_c_surface", (ln_c_uniform - ln_sphere_area(dim)).into()),
        ("ln_c_uniform", ln_c_uniform.into()),
        ("mean_resultant_length", a.value.into()),
        ("mean_resultant_length_derivative", a.derivative.into()),
        ("entropy", vmf.entropy().into()),
        ("angle_50", radial.angle(0.5).into()),
        ("angle_90", radial.angle(0.9).into()),
        ("angle_99", radial.angle(0.99).into()),
    ])
}

/// What the mean resultant length of a sample, of `n` points where that is known, says of the concentration.
fn estimate(dim: usize, r: f64, n: Option<f64>) -> Row {
    let kappa = solve(dim, r);
    let mut row: Row = vec![
        ("dim", dim.into()),
        ("mean_resultant_length", r.into()),
        ("kappa", kappa.into()),
    ];
    if let Some(n) = n {
        row.extend([
            ("n", n.into()),
            ("kappa_standard_error", standard_error(dim, kappa, n).into()),
            ("kappa_bias_corrected", bias_corrected(dim, r, n).into()),
        ]);
    }
    row
}

/// A name and a value a line, or a JSON object.
fn print(mut out: impl Write, row: &Row, json: bool) -> Result<()> {
    if json {
        serde_json::Serializer::new(&mut out)
            .collect_map(row.iter().cloned())
            .map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        for (name, value) in row {
            writeln!(out, "{name:<32}  {value}")?;
        }
    }
    Ok(())
}

/// Pairs of dimension and concentration on standard input; for each a line of values under a heading, or of JSON.
fn table(mut out: impl Write, json: bool) -> Result<()> {
    if stdin().is_terminal() {
        bail!(
            "nothing to compute; give --dim with --kappa or --mean-resultant-length, or lines of `dim kappa` on standard input"
        );
    }
    let mut headed = json;
    for (i, line) in stdin().lock().lines().enumerate() {
        let here = || format!("standard input, line {}", i + 1);
        let line = line.with_context(here)?;
        if line.trim().is_empty() {
            continue;
        }
        let (dim, kappa) = pair(&line).map_err(Error::msg).with_context(here)?;
        let row = properties(dim, kappa)?;
        if json {
            print(&mut out, &row, json)?;
            continue;
        }
        let (names, values): (Vec<_>, Vec<_>) = row
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .unzip();
        if !headed {
            writeln!(out, "{}", names.join("\t"))?;
            headed = true;
        }
        writeln!(out, "{}", values.join("\t"))?;
    }
    Ok(())
}

fn pair(line: &str) -> Result<(usize, f64), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [dim, kappa] = words[..] else {
        return Err(format!("`{}` is not a pair `dim kappa`", line.trim()));
    };
    Ok((
        dimension(dim).map_err(|remedy| format!("dim `{dim}`: {remedy}"))?,
        concentration(kappa).map_err(|remedy| format!("kappa `{kappa}`: {remedy}"))?,
    ))
}
