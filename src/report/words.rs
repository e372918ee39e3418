//! The findings in plain words, for somebody who never heard of von Mises or Fisher.

use super::Section;
use super::figures::Figure;
use super::summary::Summary;
use super::text::{count, counted, fixed};
use crate::mixture::Criterion;

/// One sentence: what was grouped, and into how many groups.
pub(crate) fn headline(summary: &Summary) -> String {
    let items = match (summary.n_texts, summary.n_images) {
        _ if summary.evaluation.n_sampled.is_some() => counted(summary.n_population(), "item"),
        (0, 0) => counted(summary.n_items, "item"),
        (texts, 0) => counted(texts, "text"),
        (0, images) => counted(images, "image"),
        (texts, images) => format!(
            "{} and {}",
            counted(texts, "text"),
            counted(images, "image")
        ),
    };
    match summary.n_components() {
        1 => format!("{items}, described as one group"),
        k => format!("{items} in {} groups of like meaning", count(k)),
    }
}

/// What a component is.
pub(super) fn explanation(summary: &Summary) -> String {
    format!(
        "Each item was turned into a direction in a space of {} dimensions, in which alike items point \
         alike. A group, here called a component, is a bundle of such directions: it has a centre, a \
         weight (its share of all items) and a concentration (how tight the bundle is). \
         An item may belong to several components in part.",
        count(summary.dimension)
    )
}

/// How to read mixtures side by side.
pub(super) const COMPARISON: &str = "Each column is a mixture; where one value of a row is better than the others, it is marked. \
     Log-likelihoods, BIC and AIC can be compared only between mixtures of the same items by the same encoder.";

/// Identifier, short name and heading of a section.
pub(super) fn names(section: Section) -> [&'static str; 3] {
    match section {
        Section::Map => ["map", "Map", "The whole at a glance"],
        Section::Items => ["items", "Items", "All items"],
        Section::Components => ["components", "Components", "The components"],
        Section::Weights => ["weights", "Weights", "How large and how tight they are"],
        Section::Directions => ["directions", "Directions", "Where they point"],
        Section::Similarity => ["similarity", "Similarity", "How alike they are"],
        Section::Assignments => ["assignments", "Assignments", "Which items they hold"],
        Section::Entropies => ["entropies", "Certainty", "How sure memberships are"],
        Section::Outliers => ["outliers", "Outliers", "What fits nowhere"],
        Section::Duplicates => ["duplicates", "Duplicates", "What may be there twice"],
        Section::Convergence => ["fit", "Fit", "How the fit went"],
        Section::Selection => ["selection", "Sizes", "How many components there should be"],
        Section::ModalityGap => ["gap", "Gap", "Texts against images"],
        Section::Skipped => ["skipped", "Skipped", "What was left out"],
        Section::Settings => ["settings", "Settings", "How it was made"],
    }
}

/// One sentence on how to read a section.
pub(super) fn reading(section: Section, summary: &Summary) -> String {
    match section {
        Section::Map => "Items that lie close together are alike; draw around points with the lasso or the box of the map's own \
            bar, and the table below shows what they are."
            .to_owned(),
        Section::Items => items_reading(summary),
        Section::Components => "Largest first, numbered from 0 as in the model: each card shows the items nearest to the \
            component's centre and those that are torn between it and another; its title is the caption or label nearest to that \
            centre, where there are any."
            .to_owned(),
        Section::Weights => "A component may be large or small and, apart from that, tight or loose: loose ones gather what the \
            others leave."
            .to_owned(),
        Section::Directions => "Distances between the centres of the components, seen along the axes on which they differ most."
            .to_owned(),
        Section::Similarity => "Components that are alike could be one: look for bright cells off the diagonal and for branches \
            that join low down."
            .to_owned(),
        Section::Assignments => "Every item belongs most to one component, and may belong to others in part.".to_owned(),
        Section::Entropies => "A mixture says for every item how surely it belongs; many unsure items mean that groups run into \
            each other."
            .to_owned(),
        Section::Outliers => "These items lie farthest from the centre of their own component for its tightness: look here for \
            what is broken, foreign or rare."
            .to_owned(),
        Section::Duplicates => duplicates_reading(summary),
        Section::Convergence => match summary.convergence.warnings.len() {
            0 => "Whether the model is the best that could be found; the fit gave no warning.".to_owned(),
            n => format!(
                "Whether the model is the best that could be found; the fit gave {}, named below.",
                counted(n, "warning")
            ),
        },
        Section::Selection => selection_reading(summary),
        Section::ModalityGap => "Encoders such as CLIP place texts and images in two regions of their own: the farther apart the \
            means lie, the more a mixture tells texts from images instead of one subject from another; centring both before the \
            fit (--center-by-modality, or center_by on a frame) takes this gap out."
            .to_owned(),
        Section::Skipped => "These inputs have no embedding and are in no number of this page.".to_owned(),
        Section::Settings => "All that is needed to repeat the analysis.".to_owned(),
    }
}

fn selection_reading(summary: &Summary) -> String {
    let Some(selection) = &summary.selection else {
        return String::new();
    };
    let criterion = match selection.criterion {
        Criterion::Bic => "the Bayesian criterion (BIC)",
        Criterion::Aic => "Akaike's criterion (AIC)",
        Criterion::Icl => "the integrated completed likelihood (ICL)",
        Criterion::HeldOut => "the log-likelihood of items kept aside",
        Criterion::Silhouette => "the silhouette",
    };
    format!(
        "Mixtures of several sizes were fitted and compared by {criterion}; the marked one is this report's."
    )
}

fn items_reading(summary: &Summary) -> String {
    let listed = summary.items.rows.len();
    let sample = match listed < summary.n_items {
        true => format!(
            " It lists {} of {} items, a random sample of each component.",
            count(listed),
            count(summary.n_items)
        ),
        false => String::new(),
    };
    format!(
        "Search, sort by a column, or look at one component alone: certainty is the probability that the item belongs to the \
         component, the outlier score how far out it lies there, from 0 to 1.{sample}"
    )
}

fn duplicates_reading(summary: &Summary) -> String {
    let Some(found) = &summary.duplicates else {
        return String::new();
    };
    let compared = match found.n_compared < summary.n_items {
        true => format!(" Compared were {} of them.", count(found.n_compared)),
        false => String::new(),
    };
    format!(
        "Of the items, {} nearly the same as an earlier one (cosine {} and above); the nearest pairs come first.{compared}",
        match found.n_duplicates {
            1 => "1 is".to_owned(),
            n => format!("{} are", count(n)),
        },
        fixed(found.threshold, 2)
    )
}

/// What a map is called where it can be chosen.
pub(super) fn map_name(map: &Figure) -> &'static str {
    match map.id.as_str() {
        "map_pca_2d" => "Main axes",
        "map_pca_3d" => "Main axes, 3-D",
        "map_discriminant_2d" => "Groups apart",
        "map_discriminant_3d" => "Groups apart, 3-D",
        _ => "Neighbours (t-SNE)",
    }
}

/// How good the grouping is, one sentence each.
pub(crate) fn verdicts(summary: &Summary) -> Vec<String> {
    let evaluation = &summary.evaluation;
    let mut out = Vec::new();
    if let Some(sampled) = evaluation.n_sampled {
        out.push(format!(
            "This page looks at {} drawn at random of {}; log-likelihoods, BIC and AIC are of all of them.",
            counted(sampled, "item"),
            count(evaluation.n_train + evaluation.n_test)
        ));
    }
    let fitted = evaluation.train_log_likelihood;
    if let Some(((test, gap), train)) = evaluation
        .test_log_likelihood
        .zip(evaluation.generalisation_gap)
        .zip(fitted)
    {
        let comparison = if gap > 0.0 { "less" } else { "more" };
        out.push(format!(
            "{} kept aside from the fit {} {} nats {comparison} likely each than the items that were \
             fitted ({} against {}); the smaller this gap, the better the groups carry over to new items.",
            counted(evaluation.n_test, "item"),
            if evaluation.n_test == 1 { "is" } else { "are" },
            fixed(gap.abs(), 2),
            fixed(test, 2),
            fixed(train, 2),
        ));
    } else if fitted.is_none() {
        out.push(
            "The groups were found before and are here only looked at: all items count as kept aside, and if they \
             are those that the groups were found in, new items would do worse."
                .to_owned(),
        );
    } else {
        out.push(
            "No items were kept aside, so how well the groups carry over to new items is not known."
                .to_owned(),
        );
    }
    if let Some(value) = summary.log_likelihood() {
        let who = match evaluation.n_test {
            0 => "An item",
            _ => "An item kept aside",
        };
        out.push(format!(
            "{who} is {} nats likelier than if all items were one group, and {} nats likelier than if any direction were as \
             good as any other (a nat is a factor of 2.7).",
            fixed(value - evaluation.single_log_likelihood, 2),
            fixed(value - evaluation.uniform_log_likelihood, 2)
        ));
    }
    if let Some(silhouette) = evaluation.silhouette {
        let reading = match silhouette {
            s if s >= 0.5 => "the groups are well apart",
            s if s >= 0.25 => "the groups are apart, with some overlap",
            s if s >= 0.0 => "neighbouring groups overlap",
            _ => "many items lie nearer to another group than to their own",
        };
        out.push(format!(
            "The silhouette, from −1 to 1, is {}: {reading}.",
            fixed(silhouette, 3)
        ));
    }
    if let (Some(nmi), Some(ari)) = (evaluation.nmi, evaluation.ari) {
        out.push(format!(
            "Against the labels that came with the items, normalised mutual information is {} and the \
             adjusted Rand index {} (1 is full agreement, 0 none).",
            fixed(nmi, 3),
            fixed(ari, 3)
        ));
    }
    out.push(match summary.convergence.converged {
        true => format!(
            "The fit settled after {}.",
            counted(summary.convergence.n_iterations, "iteration")
        ),
        false => format!(
            "The fit was still improving when it stopped after {}; allow more iterations.",
            counted(summary.convergence.n_iterations, "iteration")
        ),
    });
    out
}
