//! How sharply items belong to their components.

use ndarray::Axis;

use super::evaluation::labelled;
use super::{Analysed, SAMPLE_ROWS, share};
use crate::mixture::metrics;
use crate::report::ReportError;
use crate::report::summary::{Calibration, Histogram, Memberships};

/// Intervals of a histogram.
const BINS: usize = 20;
/// Intervals of a calibration.
const CALIBRATION_BINS: usize = 10;

pub(crate) fn memberships(analysed: &Analysed<'_>) -> Result<Memberships, ReportError> {
    let found = &analysed.found;
    let maximum = (analysed.model.n_components() as f64).ln();
    Ok(Memberships {
        mean_entropy: found.entropies.mean().unwrap_or(0.0),
        maximum_entropy: maximum,
        entropies: histogram(
            found
                .entropies
                .iter()
                .map(|&entropy| share(entropy, maximum)),
        ),
        responsibilities: histogram(found.probabilities.iter().copied()),
        outlier_scores: histogram(found.outlier_scores.iter().copied()),
        calibration: calibration(analysed)?,
    })
}

/// Numbers from 0 to 1 by intervals of equal width.
fn histogram(values: impl Iterator<Item = f64>) -> Histogram {
    let mut counts = vec![0; BINS];
    values.for_each(|value| counts[((value * BINS as f64) as usize).min(BINS - 1)] += 1);
    Histogram {
        edges: (0..=BINS).map(|i| i as f64 / BINS as f64).collect(),
        bin_width: 1.0 / BINS as f64,
        counts,
    }
}

fn calibration(analysed: &Analysed<'_>) -> Result<Option<Calibration>, ReportError> {
    let (labelled, classes) = labelled(analysed);
    if labelled.is_empty() || analysed.model.n_components() == 1 {
        return Ok(None);
    }
    let step = labelled.len().div_ceil(SAMPLE_ROWS);
    let rows: Vec<usize> = labelled.into_iter().step_by(step).collect();
    let classes: Vec<usize> = classes.into_iter().step_by(step).collect();
    let responsibilities = analysed
        .model
        .predict_proba(analysed.embeddings.select(Axis(0), &rows).view())?;
    let (bins, error) = metrics::calibration(responsibilities.view(), &classes, CALIBRATION_BINS);
    Ok(Some(Calibration {
        n_items: rows.len(),
        confidences: bins.iter().map(|bin| bin.confidence).collect(),
        accuracies: bins.iter().map(|bin| bin.accuracy).collect(),
        counts: bins.iter().map(|bin| bin.n).collect(),
        expected_calibration_error: error,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_both_ends() {
        let histogram = histogram([0.0, 1.0, 0.999, 0.5].into_iter());
        assert_eq!(histogram.counts[0], 1);
        assert_eq!(histogram.counts[BINS - 1], 2);
        assert_eq!(histogram.counts[BINS / 2], 1);
    }
}
