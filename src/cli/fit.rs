//! `vmfmix fit`.

use anyhow::Result;
use ndarray::{Array1, Array2, Axis, concatenate};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::analysis::Analysis;
use super::args::FitArgs;
use super::inputs::{self, Inputs, Notes};
use super::large;
use super::output::OutputFolder;
use super::progress::listener;
use super::say::say;
use super::vectors::Vectors;
use crate::memory;
use crate::mixture::Selection;
use crate::report::{Report, shortened};
use crate::vmf::VonMisesFisher;

pub(super) fn run(args: &FitArgs) -> Result<()> {
    let output = OutputFolder::new(&args.output.output_dir)?;
    #[cfg(feature = "ballista")]
    if let Some(scheduler) = &args.cluster.cluster {
        return super::cluster::fit(args, scheduler, &output);
    }
    args.data.items.announce_device()?;
    let progress = listener(args.data.items.quiet);
    let share = match args.needs_memory() {
        true => args.output.memory_share.max(SHARE_IN_NEED),
        false => args.output.memory_share,
    };
    let is_large = |vectors: &Vectors| vectors.bytes() as f64 > share * memory::total() as f64;
    let inputs = match Vectors::open(&args.data.embeddings)? {
        Some(vectors) if is_large(&vectors) => {
            let report = large::run(args, vectors, &output, &progress)?;
            if !args.data.items.quiet {
                print_summary(&report, &output)?;
            }
            return Ok(());
        }
        vectors => inputs::load(&args.data, vectors, Some(&args.names), &progress)?,
    };
    let inputs = inputs.map_or_else(|| synthetic(args), Ok)?;
    let notes = inputs.notes;
    let analysis = Analysis::new(inputs, &args.data, progress)?;
    let (report, selection) = analysis.fit(&args.size, &args.mixture, &output)?;
    if !args.data.items.quiet {
        if let Some(selection) = &selection {
            print_selection(selection)?;
        }
        print_summary(&report, &output)?;
        print_notes(&report, notes)?;
    }
    Ok(())
}

/// Share of the memory that embeddings may take where they cannot stay in their files: the fit copies them once.
const SHARE_IN_NEED: f64 = 0.25;

/// Dimension of the synthetic embeddings: that of ViT-B/32.
const SYNTHETIC_DIMENSION: usize = 512;

/// Concentrations of the synthetic components, in turn.
const SYNTHETIC_CONCENTRATIONS: [f64; 3] = [100.0, 300.0, 500.0];

/// Points of known components, as many as the mixture is to have.
fn synthetic(args: &FitArgs) -> Result<Inputs> {
    let (n, k) = (args.output.n_samples, args.size.n_components);
    let mut rng = Xoshiro256Plus::seed_from_u64(args.mixture.random_state);
    let uniform = VonMisesFisher::new(Array1::ones(SYNTHETIC_DIMENSION), 0.0)?;
    let means = uniform.sample::<f64>(k, &mut rng);
    let mut parts: Vec<Array2<f32>> = Vec::with_capacity(k);
    let mut labels = Vec::with_capacity(n);
    for (component, mean) in means.rows().into_iter().enumerate() {
        let size = n / k + usize::from(component < n % k);
        let kappa = SYNTHETIC_CONCENTRATIONS[component % SYNTHETIC_CONCENTRATIONS.len()];
        parts.push(VonMisesFisher::new(mean.to_owned(), kappa)?.sample(size, &mut rng));
        labels.extend(std::iter::repeat_n(
            format!("component {component}, kappa {kappa}"),
            size,
        ));
    }
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let frame = inputs::vectors_frame(concatenate(Axis(0), &views)?, labels)?;
    let description = format!("{n} synthetic embeddings of {k} von Mises-Fisher distributions");
    Ok(Inputs {
        frame,
        description,
        names: None,
        notes: Notes::default(),
    })
}

/// The numbers of components that were tried, for the terminal.
fn print_selection(selection: &Selection) -> Result<()> {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |x| format!("{x:.3}"));
    say!(
        "{:>10} {:>12} {:>12} {:>14} {:>14} {:>14} {:>10} {:>8}",
        "components",
        "fitted",
        "held out",
        "BIC",
        "AIC",
        "ICL",
        "silhouette",
        "seconds"
    );
    for row in &selection.candidates {
        let chosen = if row.n_components == selection.model.n_components() {
            " *"
        } else {
            ""
        };
        say!(
            "{:>10} {:>12.3} {:>12} {:>14.1} {:>14.1} {:>14.1} {:>10} {:>8.1}{chosen}",
            row.n_components,
            row.log_likelihood,
            number(row.held_out_log_likelihood),
            row.bic,
            row.aic,
            row.icl,
            number(row.silhouette),
            row.seconds
        );
    }
    Ok(())
}

/// Characters of a description that fit on a line.
const LONGEST: usize = 60;

/// What was found, for the terminal.
pub(super) fn print_summary(report: &Report, output: &OutputFolder) -> Result<()> {
    let summary = report.summary();
    let evaluation = &summary.evaluation;
    say!("{}", summary.title);
    if let Some(n) = evaluation.n_sampled {
        say!("sizes are those of {n} items drawn at random");
    }
    say!(
        "{:>9} {:>7} {:>13} {:>6}  description",
        "component",
        "weight",
        "concentration",
        "size"
    );
    for &k in &summary.by_weight {
        let component = &summary.components[k];
        let description = component.captions.first().map_or(String::new(), |caption| {
            let text = shortened(&caption.text, LONGEST);
            match caption.probability {
                Some(probability) => format!("{text} ({:.0} %)", 100.0 * probability),
                None => text,
            }
        });
        say!(
            "{k:>9} {:>7.3} {:>13.1} {:>6}  {}",
            component.weight,
            component.concentration,
            component.size,
            description
        );
    }
    let likelihoods = [
        (evaluation.train_log_likelihood, "fitted"),
        (evaluation.test_log_likelihood, "held out"),
    ];
    let likelihoods = likelihoods
        .into_iter()
        .filter_map(|(value, of)| Some(format!("{:.3} {of}", value?)));
    say!(
        "log-likelihood per point: {}",
        likelihoods.collect::<Vec<_>>().join(", ")
    );
    if let (Some(nmi), Some(ari)) = (evaluation.nmi, evaluation.ari) {
        say!("against the known labels: NMI {nmi:.3}, ARI {ari:.3}");
    }
    for warning in &summary.convergence.warnings {
        say!("warning: {warning}");
    }
    if let Some(first) = summary.skipped.first() {
        say!(
            "skipped {} items, the first: {}: {}",
            summary.n_skipped,
            first.name,
            first.reason
        );
    }
    say!("report: {}", output.path().join("report.html").display());
    Ok(())
}

/// What else there is to say of the data, for the terminal.
pub(super) fn print_notes(report: &Report, notes: Notes) -> Result<()> {
    if notes.truncated > 0 {
        let n = notes.truncated;
        say!("{n} texts were longer than the encoder's context and lost their tail");
    }
    if let Some(gap) = &report.summary().modality_gap {
        let distance = gap.distance;
        match notes.gap_before {
            Some(before) => {
                say!("modality gap: {before:.3} before centring, {distance:.3} after");
            }
            None => {
                say!(
                    "modality gap: the means of texts and images lie {distance:.3} apart; --center-by-modality closes it before a fit"
                );
            }
        }
    }
    Ok(())
}
