//! The findings in plain words, for somebody who never heard of von Mises or Fisher.

use super::summary::Summary;
use super::text::{count, counted, fixed};

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
pub(crate) fn explanation(summary: &Summary) -> String {
    format!(
        "Each item was turned into a direction in a space of {} dimensions, in which alike items point \
         alike. A group, here called a component, is a bundle of such directions: it has a centre, a \
         weight (its share of all items) and a concentration (how tight the bundle is). \
         An item may belong to several components in part.",
        count(summary.dimension)
    )
}

/// How to read the distance between texts and images.
pub(crate) const GAP: &str = "Encoders such as CLIP place texts and images in two regions of their own: the farther apart the \
     means lie, the more a mixture tells texts from images instead of one subject from another; centring both before the \
     fit (--center-by-modality, or center_by on a frame) takes this gap out.";

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
