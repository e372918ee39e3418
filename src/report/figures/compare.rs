//! Several mixtures side by side.

use plotly::common::{Marker, Mode};
use plotly::layout::Axis;
use plotly::{Bar, Plot, Scatter};

use super::Figure;
use super::layout::{HEIGHT, HIGH, component_axis, downwards_axis, heat_map, layout, named, ticks};
use crate::report::comparison::{Agreement, Comparison};
use crate::report::summary::Summary;
use crate::report::{Section, palette, text};

/// Characters of a mixture's name on an axis.
const NAME: usize = 24;

/// Log-likelihood, BIC and silhouette of each mixture.
pub fn criteria(comparison: &Comparison) -> Figure {
    type Row = (&'static str, &'static str, fn(&Summary) -> Option<f64>);
    let rows: [Row; 3] = [
        ("log-likelihood", "y3", Summary::log_likelihood),
        ("BIC", "y2", |summary| summary.evaluation.bic),
        ("silhouette", "y", |summary| summary.evaluation.silhouette),
    ];
    let names: Vec<String> = comparison
        .models
        .iter()
        .map(|model| text::for_plotly_line(&model.name, NAME))
        .collect();
    // By their places: shortened names may be the same.
    let places: Vec<usize> = (0..names.len()).collect();
    let mut plot = Plot::new();
    for (name, axis, value) in rows {
        let values = comparison.models.iter();
        let values = values.map(|model| value(&model.summary).unwrap_or(f64::NAN));
        plot.add_trace(
            Scatter::new(ticks(&places), values.collect())
                .mode(Mode::Markers)
                .y_axis(axis)
                .marker(Marker::new().color(palette::colour(0)).size(12))
                .hover_text_array(names.clone())
                .hover_template(format!(
                    "%{{hovertext}}<br>{name} %{{y:.6~g}}<extra></extra>"
                )),
        );
    }
    let [likelihood, bic, silhouette] = rows.map(|(name, ..)| Axis::new().title(name));
    plot.set_layout(
        layout(HIGH)
            .x_axis(named(Axis::new(), names).anchor("y"))
            .y_axis(silhouette.domain(&[0.0, 0.28]))
            .y_axis2(bic.domain(&[0.36, 0.64]))
            .y_axis3(likelihood.domain(&[0.72, 1.0])),
    );
    Figure {
        id: "criteria".to_owned(),
        title: "Measures".to_owned(),
        how_to_read: "Higher is better for the log-likelihood of an item (of items kept aside, where there were any) and for the \
            silhouette, lower for BIC; they can be compared only between mixtures of the same items by the same encoder."
            .to_owned(),
        alt: "Points of log-likelihood, BIC and silhouette by mixture.".to_owned(),
        height: HIGH,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Selection,
        plot,
    }
}

/// Components and weights of each mixture, heaviest first.
pub fn weights(comparison: &Comparison) -> Figure {
    let mut plot = Plot::new();
    for (at, model) in comparison.models.iter().enumerate() {
        let summary = &model.summary;
        let sorted = summary.by_weight.iter();
        let weights = sorted.map(|&k| summary.components[k].weight).collect();
        plot.add_trace(
            Bar::new((1..=summary.n_components()).collect(), weights)
                .name(text::for_plotly_line(&model.name, NAME))
                .marker(Marker::new().color(palette::colour(at)))
                .hover_template("%{y:.1%} in the component of rank %{x}"),
        );
    }
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(Axis::new().title("rank of the component").tick_format("d"))
            .y_axis(Axis::new().title("weight").tick_format(".0%"))
            .show_legend(true),
    );
    Figure {
        id: "weights".to_owned(),
        title: "Sizes of the components".to_owned(),
        how_to_read: "The weights of each mixture from the heaviest component down: bars that fall quickly are a few large groups \
            and many small ones."
            .to_owned(),
        alt: "Bar chart of weights by rank, for each mixture.".to_owned(),
        height: HEIGHT,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Weights,
        plot,
    }
}

/// Where the items of each component of one mixture are in another.
pub fn matching(comparison: &Comparison, agreement: &Agreement) -> Figure {
    let [first, second] = agreement.models.map(|at| &comparison.models[at]);
    let rows: Vec<usize> = (0..first.summary.n_components()).collect();
    let hover = rows.iter().map(|&row| {
        let label = |summary: &Summary, k: usize| {
            text::for_plotly_line(&summary.components[k].label(), NAME)
        };
        let own = label(&first.summary, row);
        let columns = agreement.columns.iter();
        columns
            .map(|&column| format!("{own}<br>{}", label(&second.summary, column)))
            .collect()
    });
    let mut plot = Plot::new();
    plot.add_trace(
        heat_map(
            ticks(&agreement.columns),
            ticks(&rows),
            agreement.shares.clone(),
            "share",
        )
        .zmin(0.0)
        .zmax(1.0)
        .hover_text_matrix(hover.collect())
        .hover_template("%{hovertext}<br>%{z:.1%} of the first's items<extra></extra>"),
    );
    let [own, other] = [first, second].map(|model| text::for_plotly_line(&model.name, NAME));
    plot.set_layout(
        layout(HEIGHT)
            .x_axis(component_axis(&agreement.columns).title(format!("component of {other}")))
            .y_axis(downwards_axis(rows.len()).title(format!("component of {own}"))),
    );
    Figure {
        id: format!("matching_{}", agreement.models[1]),
        title: format!("{} against {}", first.name, second.name),
        how_to_read: format!(
            "A row shows where the items of one component of {} are in {}: one bright cell means that the group is there too, \
             several that it is split. Over {}, the two agree with a normalised mutual information of {} and an adjusted Rand \
             index of {} (1 is the same grouping).",
            first.name,
            second.name,
            text::counted(agreement.n_items, "item"),
            text::fixed(agreement.nmi, 3),
            text::fixed(agreement.ari, 3)
        ),
        alt: "Heat map of the share of items of each component of the one in each of the other."
            .to_owned(),
        height: HEIGHT,
        is_wide: true,
        uses_webgl_shaders: false,
        section: Section::Assignments,
        plot,
    }
}
