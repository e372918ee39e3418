//! Tables of numbers in the words of the page.

use super::comparison::Comparison;
use super::palette;
use super::summary::Summary;
use super::text;
use crate::mixture::Candidate;

/// Components of each mixture that are listed where mixtures are compared.
const BRIEFS: usize = 40;
/// Characters of a text in a list.
const LONGEST: usize = 80;

pub(super) const SELECTION_COLUMNS: usize = 8;
pub(super) const SELECTION_HEAD: [&str; SELECTION_COLUMNS] = [
    "components",
    "fitted",
    "held out",
    "BIC",
    "AIC",
    "ICL",
    "silhouette",
    "seconds",
];

/// A number of components that was tried.
pub(super) struct SelectionRow {
    pub is_chosen: bool,
    pub cells: [String; SELECTION_COLUMNS],
}

/// The numbers of components that were tried.
pub(super) fn selection_rows(summary: &Summary) -> Vec<SelectionRow> {
    let selection = summary.selection.iter();
    let rows = selection.flat_map(|selection| {
        let chosen = selection.chosen;
        let rows = selection.candidates.iter();
        rows.map(move |row| selection_row(row, row.n_components == chosen))
    });
    rows.collect()
}

fn selection_row(row: &Candidate, is_chosen: bool) -> SelectionRow {
    let number = |value: Option<f64>| text::fixed(value.unwrap_or(f64::NAN), 3);
    SelectionRow {
        is_chosen,
        cells: [
            text::count(row.n_components),
            text::fixed(row.log_likelihood, 3),
            number(row.held_out_log_likelihood),
            text::whole(row.bic),
            text::whole(row.aic),
            text::whole(row.icl),
            number(row.silhouette),
            text::fixed(row.seconds, 1),
        ],
    }
}

/// One measure of all mixtures.
pub(super) struct ComparedRow {
    pub name: &'static str,
    pub cells: Vec<Cell>,
}

/// One measure of one mixture.
pub(super) struct Cell {
    pub value: String,
    pub is_best: bool,
}

/// The components of one mixture, in short.
pub(super) struct ComparedColumn<'a> {
    pub name: &'a str,
    pub cards: Vec<Brief>,
}

/// A component in short.
pub(super) struct Brief {
    pub index: usize,
    pub colour: &'static str,
    pub title: String,
    pub note: String,
}

/// What is better of a measure.
#[derive(Clone, Copy, PartialEq)]
enum Better {
    Higher,
    Lower,
    Neither,
}

/// The measures of all mixtures; the best of each is marked where there are several different ones.
pub(super) fn compared_rows(comparison: &Comparison) -> Vec<ComparedRow> {
    type Measure = (
        &'static str,
        Better,
        fn(&Summary) -> Option<f64>,
        fn(f64) -> String,
    );
    let three = |value| text::fixed(value, 3);
    let count = |value: f64| text::count(value as usize);
    let measures: [Measure; 11] = [
        (
            "Items",
            Better::Neither,
            |s| Some(s.n_population() as f64),
            count,
        ),
        (
            "Components",
            Better::Neither,
            |s| Some(s.n_components() as f64),
            count,
        ),
        (
            "Dimension",
            Better::Neither,
            |s| Some(s.dimension as f64),
            count,
        ),
        (
            "Log-likelihood, fitted",
            Better::Higher,
            |s| s.evaluation.train_log_likelihood,
            three,
        ),
        (
            "Log-likelihood, held out",
            Better::Higher,
            |s| s.evaluation.test_log_likelihood,
            three,
        ),
        ("BIC", Better::Lower, |s| s.evaluation.bic, text::whole),
        ("AIC", Better::Lower, |s| s.evaluation.aic, text::whole),
        (
            "Silhouette",
            Better::Higher,
            |s| s.evaluation.silhouette,
            three,
        ),
        (
            "NMI with labels",
            Better::Higher,
            |s| s.evaluation.nmi,
            three,
        ),
        (
            "ARI with labels",
            Better::Higher,
            |s| s.evaluation.ari,
            three,
        ),
        (
            "Iterations",
            Better::Neither,
            |s| Some(s.convergence.n_iterations as f64),
            count,
        ),
    ];
    let row = |(name, better, value, write): Measure| {
        let models = comparison.models.iter();
        let values: Vec<Option<f64>> = models.map(|model| value(&model.summary)).collect();
        let known = || values.iter().copied().flatten();
        let best = match better {
            Better::Higher => known().reduce(f64::max),
            Better::Lower => known().reduce(f64::min),
            Better::Neither => None,
        };
        let differ = known().any(|value| Some(value) != known().next());
        let cell = |&value: &Option<f64>| Cell {
            value: value.map_or("–".to_owned(), write),
            is_best: differ && value.is_some() && value == best,
        };
        known().next()?;
        Some(ComparedRow {
            name,
            cells: values.iter().map(cell).collect(),
        })
    };
    measures.into_iter().filter_map(row).collect()
}

/// The components of all mixtures, in short.
pub(super) fn compared_columns(comparison: &Comparison) -> Vec<ComparedColumn<'_>> {
    let brief = |summary: &Summary, k: usize| {
        let component = &summary.components[k];
        let exemplars = component.exemplars.iter();
        let exemplar = exemplars
            .map(|exemplar| text::shortened(&exemplar.item.name, LONGEST))
            .next();
        let title = match component.captions.first() {
            Some(caption) => text::shortened(&caption.text, LONGEST),
            None => exemplar.unwrap_or_else(|| format!("Component {k}")),
        };
        Brief {
            index: k,
            colour: palette::colour(k),
            title,
            note: format!(
                "{}, κ {}",
                text::percent(component.weight),
                text::concentration(component.concentration)
            ),
        }
    };
    let column = |model: &'_ super::comparison::Compared| {
        let order = model.summary.by_weight.iter().take(BRIEFS);
        order.map(|&k| brief(&model.summary, k)).collect()
    };
    comparison
        .models
        .iter()
        .map(|model| ComparedColumn {
            name: &model.name,
            cards: column(model),
        })
        .collect()
}
