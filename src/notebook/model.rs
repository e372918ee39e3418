//! Mixtures, distributions, and what comes of comparing them.

use askama::Template;
use polars::prelude::{DataFrame, SortMultipleOptions};

use super::Show;
use super::value::rendered;
use crate::frame::{FrameError, ModalityGap, describe_components};
use crate::mixture::{Selection, VonMisesFisherMixture};
use crate::report::counted;
use crate::vmf::VonMisesFisher;

/// Characters of a sparkline.
const WIDEST: usize = 40;

/// A headline with details below it.
#[derive(Template)]
#[template(path = "card.html", config = "src/notebook/askama.toml")]
struct Card<'a> {
    title: String,
    lines: Vec<String>,
    table: Option<&'a str>,
}

/// A headline, lines, and a table.
struct Told {
    title: String,
    lines: Vec<String>,
    table: Option<Result<DataFrame, FrameError>>,
}

impl Told {
    fn html(&self) -> String {
        let table = self.table.as_ref().map(Show::cell_html);
        rendered(&Card {
            title: self.title.clone(),
            lines: self.lines.clone(),
            table: table.as_deref(),
        })
    }

    fn text(&self) -> String {
        let table = self.table.as_ref().map(Show::cell_text);
        let lines = std::iter::once(&self.title)
            .chain(&self.lines)
            .chain(&table);
        lines.cloned().collect::<Vec<_>>().join("\n")
    }
}

/// Shows a type by the headline, lines and table that tell of it.
macro_rules! show_as_told {
    ($($type:ty: $told:path),*) => {$(
        impl Show for $type {
            fn cell_html(&self) -> String {
                $told(self).html()
            }

            fn cell_text(&self) -> String {
                $told(self).text()
            }
        }
    )*};
}

show_as_told!(
    VonMisesFisherMixture: mixture,
    VonMisesFisher: distribution,
    Selection: selection,
    ModalityGap: gap
);

fn mixture(model: &VonMisesFisherMixture) -> Told {
    let convergence = model.convergence();
    let end = match convergence.converged {
        true => "settled",
        false => "not settled, more iterations may help",
    };
    let mut lines = vec![format!(
        "{} {:.4} nats per point; {end} after {}, the likeliest of {}",
        sparkline(&convergence.log_likelihoods),
        model.log_likelihood(),
        counted(convergence.n_iterations, "iteration"),
        counted(convergence.runs.len().max(1), "run"),
    )];
    lines.extend(
        convergence
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    let order = SortMultipleOptions::default().with_order_descending(true);
    let table = describe_components(model);
    Told {
        title: format!(
            "Mixture of {} von Mises-Fisher distributions in {} dimensions",
            model.n_components(),
            model.dimension()
        ),
        lines,
        table: Some(table.and_then(|frame| Ok(frame.sort(["weight"], order)?))),
    }
}

fn distribution(distribution: &VonMisesFisher) -> Told {
    let degrees = |mass: f64| distribution.highest_density_angle(mass).to_degrees();
    Told {
        title: format!(
            "von Mises-Fisher distribution in {} dimensions",
            distribution.dimension()
        ),
        lines: vec![
            format!(
                "concentration {:.6}, mean resultant length {:.6}, entropy {:.4} nats",
                distribution.concentration(),
                distribution.mean_resultant_length(),
                distribution.entropy()
            ),
            format!(
                "half of the mass lies within {:.2}° of the mean direction, 90 % within {:.2}°",
                degrees(0.5),
                degrees(0.9)
            ),
        ],
        table: None,
    }
}

fn selection(selection: &Selection) -> Told {
    Told {
        title: format!(
            "{} components chosen by {:?} from {} numbers",
            selection.model.n_components(),
            selection.criterion,
            selection.candidates.len()
        ),
        lines: Vec::new(),
        table: Some(DataFrame::try_from(selection)),
    }
}

fn gap(gap: &ModalityGap) -> Told {
    let side = |at: usize| {
        let side = &gap.sides[at];
        let within = side.cosine_within.map_or_else(String::new, |cosine| {
            format!(", {cosine:.4} among themselves")
        });
        format!("{} of {}{within}", side.size, side.name)
    };
    Told {
        title: format!(
            "Gap of {:.4} between the means (0 is none, 2 the most)",
            gap.distance
        ),
        lines: vec![
            format!(
                "mean cosine between the two kinds {:.4}",
                gap.cosine_between
            ),
            format!("{}; {}", side(0), side(1)),
        ],
        table: None,
    }
}

/// A curve in a line of text.
fn sparkline(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = values.iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
        (low.min(value), high.max(value))
    });
    let step = values.len().div_ceil(WIDEST).max(1);
    let block = |value: &f64| {
        let share = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        BLOCKS[(7.0 * share).round().clamp(0.0, 7.0) as usize]
    };
    values.iter().step_by(step).map(block).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_sparkline_rises_with_its_numbers() {
        assert_eq!(sparkline(&[1.0, 2.0, 8.0]), "▁▂█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[f64::NEG_INFINITY, 3.0]).chars().count(), 2);
        assert!(sparkline(&vec![1.0; 1000]).chars().count() <= WIDEST);
    }

    #[test]
    fn a_mixture_and_a_distribution_tell_of_themselves() {
        let model = VonMisesFisherMixture::from_parameters(
            array![0.25, 0.75],
            array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            array![5.0, 9.0],
        )
        .unwrap();
        let html = model.cell_html();
        assert!(html.contains("Mixture of 2 von Mises-Fisher distributions in 3 dimensions"));
        assert!(
            html.find("0.7500").unwrap() < html.find("0.2500").unwrap(),
            "the heaviest comes first"
        );
        assert!(
            model
                .component(0)
                .cell_text()
                .contains("concentration 5.000000")
        );
    }
}
