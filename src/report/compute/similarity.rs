//! How alike the components are, ordered by what merges first.

use ndarray::Array2;

use super::{Analysed, share};
use crate::mixture::Merge;
use crate::report::summary::{MergeStep, Similarity};

pub(crate) fn similarity(analysed: &Analysed<'_>) -> Similarity {
    let model = analysed.model;
    let k = model.n_components();
    let all_compared = analysed.compared.len() == k;
    let merges = if all_compared {
        model.hierarchy()
    } else {
        Vec::new()
    };
    let order = match merges.last() {
        Some(_) => leaves(&merges, k, model.noise_component()),
        None => analysed.compared.clone(),
    };
    let means = model.mean_directions();
    let matrix = |value: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
        let row = |&a: &usize| order.iter().map(|&b| value(a, b)).collect();
        order.iter().map(row).collect()
    };
    let distributions: Vec<_> = (0..k).map(|k| model.component(k)).collect();
    let cosines = matrix(&|a, b| means.row(a).dot(&means.row(b)).clamp(-1.0, 1.0));
    let distances = matrix(&|a, b| distributions[a].bhattacharyya_distance(&distributions[b]));
    Similarity {
        cosine_range: cosine_range(&cosines),
        cosines,
        distance_scale: distance_scale(&distances),
        bhattacharyya_distances: distances,
        responsibilities: responsibilities(analysed, &order),
        merges: steps(&merges, k, &order),
        components: order,
    }
}

/// The components in the order of the dendrogram's leaves, heavier branches first, noise last.
fn leaves(merges: &[Merge], k: usize, noise: Option<usize>) -> Vec<usize> {
    let mut clusters: Vec<Vec<usize>> = (0..k).map(|component| vec![component]).collect();
    for merge in merges {
        let (left, right) = (clusters[merge.left].clone(), clusters[merge.right].clone());
        let heavier_first = match left.len() >= right.len() {
            true => [left, right],
            false => [right, left],
        };
        clusters.push(heavier_first.concat());
    }
    let mut order = clusters.pop().unwrap_or_default();
    order.extend(noise);
    order
}

/// The merges with the places of their clusters and what is lost so far.
fn steps(merges: &[Merge], k: usize, order: &[usize]) -> Vec<MergeStep> {
    let mut places = vec![0.0; k];
    for (place, &component) in order.iter().enumerate() {
        places[component] = place as f64;
    }
    let mut losses = vec![0.0; k];
    let mut lost = 0.0;
    let mut out = Vec::with_capacity(merges.len());
    for merge in merges {
        lost += merge.cost;
        let clusters = [merge.left, merge.right];
        let step = MergeStep {
            clusters,
            places: clusters.map(|cluster| places[cluster]),
            losses: clusters.map(|cluster| losses[cluster]),
            loss: lost,
        };
        places.push((step.places[0] + step.places[1]) / 2.0);
        losses.push(lost);
        out.push(step);
    }
    out
}

/// Mean responsibilities, rows and columns in this order.
fn responsibilities(analysed: &Analysed<'_>, order: &[usize]) -> Vec<Vec<Option<f64>>> {
    let shared: &Array2<f64> = &analysed.shared;
    let place = |component: &usize| {
        let found = analysed.compared.binary_search(component);
        found.expect("the order is of compared components")
    };
    let row = |own: &usize| {
        let size = analysed.members[*own].len();
        let mean =
            |other| (size > 0).then(|| share(shared[[place(own), place(other)]], size as f64));
        order.iter().map(mean).collect()
    };
    order.iter().map(row).collect()
}

/// The entries off the diagonal.
fn pairs(matrix: &[Vec<f64>]) -> impl Iterator<Item = f64> {
    let rows = matrix.iter().enumerate();
    rows.flat_map(|(i, row)| {
        let others = row.iter().enumerate().filter(move |&(j, _)| i != j);
        others.map(|(_, &value)| value)
    })
}

/// The first quartile of the distances of different components, and not 0.
fn distance_scale(distances: &[Vec<f64>]) -> f64 {
    let mut pairs: Vec<f64> = pairs(distances)
        .filter(|&distance| distance > 0.0)
        .collect();
    pairs.sort_by(f64::total_cmp);
    pairs.get(pairs.len() / 4).copied().unwrap_or(1.0)
}

/// Least and greatest entry off the diagonal; if that is one value, widened to what a scale of cosines needs.
fn cosine_range(cosines: &[Vec<f64>]) -> [f64; 2] {
    let [low, high] = pairs(cosines).fold([1.0_f64, -1.0_f64], |[low, high], x| {
        [low.min(x), high.max(x)]
    });
    match low < high {
        true => [low, high],
        false => [low.min(0.0), 1.0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_cosines_leaves_the_diagonal_out() {
        let cosines = [
            vec![1.0, 0.6, 0.0],
            vec![0.6, 1.0, 0.8],
            vec![0.0, 0.8, 1.0],
        ];
        assert_eq!(cosine_range(&cosines), [0.0, 0.8]);
        assert_eq!(cosine_range(&[vec![1.0]]), [0.0, 1.0]);
    }

    #[test]
    fn clusters_that_merge_first_are_neighbours_and_losses_add_up() {
        let merge = |left, right, cost| Merge {
            left,
            right,
            cost,
            weight: 0.5,
        };
        let merges = [merge(0, 2, 0.1), merge(1, 4, 0.3)];
        let order = leaves(&merges, 4, Some(3));
        assert_eq!(order, [0, 2, 1, 3]);
        let steps = steps(&merges, 4, &order);
        assert_eq!(steps[0].places, [0.0, 1.0]);
        assert_eq!(steps[1].places, [2.0, 0.5]);
        assert_eq!(steps[1].losses, [0.0, 0.1]);
        assert!((steps[1].loss - 0.4).abs() < 1e-15);
    }
}
