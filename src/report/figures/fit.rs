//! How the fit went.

use plotly::common::{Line, Marker, Mode};
use plotly::layout::Axis;
use plotly::{Plot, Scatter};

use super::Figure;
use super::layout::{HIGH, LOW, QUIET, layout};
use crate::mixture::Candidate;
use crate::report::summary::Summary;
use crate::report::{Section, palette, text};

/// Log-likelihood over the iterations of the fit.
pub fn convergence(summary: &Summary) -> Figure {
    let convergence = &summary.convergence;
    let kept = &convergence.log_likelihoods;
    let mut plot = Plot::new();
    for (run, values) in (1..).zip(&convergence.runs) {
        if values != kept {
            plot.add_trace(
                trace(values)
                    .mode(Mode::Lines)
                    .line(Line::new().color(QUIET).width(1.0))
                    .hover_template(format!(
                        "run {run}, iteration %{{x}}<br>%{{y:.6f}} nats<extra></extra>"
                    )),
            );
        }
    }
    plot.add_trace(
        trace(kept)
            .mode(Mode::LinesMarkers)
            .line(Line::new().color(palette::colour(0)).width(2.0))
            .marker(Marker::new().color(palette::colour(0)).size(5))
            .hover_template("iteration %{x}<br>%{y:.6f} nats<extra></extra>"),
    );
    plot.set_layout(
        layout(LOW)
            .x_axis(Axis::new().title("iteration").tick_format("d"))
            .y_axis(Axis::new().title("log-likelihood per item (nats)")),
    );
    let others = match convergence.runs.len() {
        0 | 1 => String::new(),
        n => format!(
            " The fit was started {n} times; the other starts are grey, and the likeliest was kept."
        ),
    };
    Figure {
        id: "convergence_plot".to_owned(),
        title: "Progress of the fit".to_owned(),
        how_to_read: format!(
            "The curve rises as the model comes to describe the items better, and flattens when nothing more is to be \
             gained.{others}"
        ),
        alt: "Line chart of the log-likelihood by iteration.".to_owned(),
        height: LOW,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Convergence,
        plot,
    }
}

fn trace(values: &[f64]) -> Box<Scatter<usize, f64>> {
    Scatter::new((1..=values.len()).collect(), values.to_vec())
}

/// How the numbers of components that were tried did; `None` where one was given.
pub fn selection(summary: &Summary) -> Option<Figure> {
    type Row = (&'static str, &'static str, fn(&Candidate) -> f64);
    let selection = summary.selection.as_ref()?;
    let candidates = &selection.candidates;
    let held_out = candidates
        .iter()
        .all(|c| c.held_out_log_likelihood.is_some());
    let rows: [Row; 3] = [
        ("BIC", "y3", |c| c.bic),
        match held_out {
            true => ("held-out log-likelihood", "y2", |c| {
                c.held_out_log_likelihood.unwrap_or(f64::NAN)
            }),
            false => ("log-likelihood", "y2", |c| c.log_likelihood),
        },
        ("silhouette", "y", |c| c.silhouette.unwrap_or(f64::NAN)),
    ];
    let sizes: Vec<usize> = candidates.iter().map(|c| c.n_components).collect();
    let colours: Vec<&str> = sizes
        .iter()
        .map(|&n| match n == selection.chosen {
            true => palette::colour(3),
            false => palette::colour(0),
        })
        .collect();
    let mut plot = Plot::new();
    for (name, axis, value) in rows {
        plot.add_trace(
            Scatter::new(sizes.clone(), candidates.iter().map(value).collect())
                .mode(Mode::LinesMarkers)
                .y_axis(axis)
                .line(Line::new().color(palette::colour(0)).width(2.0))
                .marker(Marker::new().color_array(colours.clone()).size(9))
                .hover_template(format!(
                    "%{{x}} components<br>{name} %{{y:.6~g}}<extra></extra>"
                )),
        );
    }
    let [bic, likelihood, silhouette] = rows.map(|(name, ..)| Axis::new().title(name));
    plot.set_layout(
        layout(HIGH)
            .x_axis(Axis::new().title("components").tick_format("d").anchor("y"))
            .y_axis(silhouette.domain(&[0.0, 0.28]))
            .y_axis2(likelihood.domain(&[0.36, 0.64]))
            .y_axis3(bic.domain(&[0.72, 1.0])),
    );
    Some(Figure {
        id: "selection".to_owned(),
        title: "Numbers of components".to_owned(),
        how_to_read: format!(
            "Each point is a mixture of so many components; the red one, of {}, was chosen. The Bayesian criterion on top is best \
             where it is lowest, the other two where they are highest; where they disagree, the data has no one number of groups.",
            text::count(selection.chosen)
        ),
        alt: "Line charts of BIC, log-likelihood and silhouette by number of components."
            .to_owned(),
        height: HIGH,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Selection,
        plot,
    })
}
