//! Items in two and three dimensions.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::neighbourhoods::neighbourhoods;
use super::projection::Projection;
use super::{Analysed, by_component, rounded, stratified};
use crate::report::ReportError;
use crate::report::summary::{Items, Map, MapKind};

/// Rows of the sample to which principal axes are fitted.
const AXES_ROWS: usize = 5_000;
/// Axes of a map.
const AXES: usize = 3;
/// Principal axes on which neighbours are looked for.
const NEIGHBOUR_AXES: usize = 30;
/// Fewest components that span a map.
const LEAST_COMPONENTS: usize = 3;
/// Fewest items with neighbours.
const LEAST_ITEMS: usize = 16;
/// Decimals of a coordinate between -1 and 1.
const DECIMALS: i32 = 4;
/// Sine below which a direction is its own tangent.
const NO_ANGLE: f64 = 1e-12;

/// Most items on a map, and on one that looks for neighbours.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub points: usize,
    pub tsne: usize,
}

/// The maps of these items.
///
/// # Errors
/// [`ReportError::Thread`].
pub(crate) fn maps(
    analysed: &Analysed<'_>,
    items: &Items,
    limits: Limits,
    seed: u64,
) -> Result<Vec<Map>, ReportError> {
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let k = analysed.model.n_components();
    let members = by_component(items.components.iter().copied(), k);
    let chosen = stratified(&members, limits.points, &mut rng);
    let rows: Vec<usize> = chosen.iter().map(|&at| items.rows[at]).collect();
    let units = analysed.units(&rows);

    let tangent = Tangent::at_mean_of(&units);
    let flat = tangent.of(&units);
    let step = flat.nrows().div_ceil(AXES_ROWS).max(1);
    let fitted = flat.slice(ndarray::s![..;step, ..]);
    let principal = Projection::fit(fitted, NEIGHBOUR_AXES);
    let coordinates = principal.apply(flat.view());
    let means = analysed.model.mean_directions();
    let centres = principal.apply(tangent.of(means).view());
    let ratio = principal.explained_variance_ratio(flat.view());
    let mut out = vec![map(
        MapKind::Pca,
        ratio,
        chosen.clone(),
        &coordinates,
        &centres,
    )];

    if k >= LEAST_COMPONENTS {
        let scatter = weighted_means(analysed);
        let axes = Projection::fit(scatter.view(), AXES);
        let coordinates = axes.apply(units.view());
        let centres = axes.apply(means.view());
        let ratio = axes.explained_variance_ratio(scatter.view());
        out.push(map(
            MapKind::Discriminant,
            ratio,
            chosen.clone(),
            &coordinates,
            &centres,
        ));
    }

    if limits.tsne >= LEAST_ITEMS && chosen.len() >= LEAST_ITEMS {
        let of_chosen = chosen.iter().map(|&at| items.components[at]);
        let places = stratified(&by_component(of_chosen, k), limits.tsne, &mut rng);
        let near = coordinates.select(Axis(0), &places);
        if let Some(found) = neighbourhoods(near.view())? {
            let chosen = places.iter().map(|&place| chosen[place]).collect();
            out.push(map(
                MapKind::Tsne,
                Vec::new(),
                chosen,
                &found,
                &Array2::zeros((0, 2)),
            ));
        }
    }
    Ok(out)
}

/// The mean directions on their first three axes.
pub(crate) fn directions(analysed: &Analysed<'_>) -> Vec<[f64; 3]> {
    let axes = Projection::fit(weighted_means(analysed).view(), AXES);
    let found = axes.apply(analysed.model.mean_directions().view());
    found.rows().into_iter().map(three).collect()
}

fn map(
    kind: MapKind,
    mut explained_variance_ratio: Vec<f64>,
    items: Vec<usize>,
    coordinates: &Array2<f64>,
    centres: &Array2<f64>,
) -> Map {
    explained_variance_ratio.truncate(AXES);
    let axis = |axis: usize| match axis < coordinates.ncols() {
        true => coordinates
            .column(axis)
            .iter()
            .map(|&x| rounded(x, DECIMALS))
            .collect(),
        false => Vec::new(),
    };
    Map {
        kind,
        explained_variance_ratio,
        items,
        x: axis(0),
        y: axis(1),
        z: axis(2),
        centres: centres.rows().into_iter().map(three).collect(),
    }
}

fn three(row: ArrayView1<'_, f64>) -> [f64; 3] {
    [0, 1, 2].map(|axis| row.get(axis).copied().unwrap_or(0.0))
}

/// The mean directions, drawn towards their weighted mean so that their scatter is that between the components.
fn weighted_means(analysed: &Analysed<'_>) -> Array2<f64> {
    let (means, weights) = (analysed.model.mean_directions(), analysed.model.weights());
    let centre = weights.dot(means);
    let scale = weights.mapv(|weight| (weight * weights.len() as f64).sqrt());
    (means - &centre) * &scale.insert_axis(Axis(1)) + &centre
}

/// The space that touches the sphere at a point, into which directions are laid by their angle from it (the logarithm of
/// Riemannian geometry).
struct Tangent {
    at: Array1<f64>,
}

impl Tangent {
    /// At the mean direction; at any direction where there is none.
    fn at_mean_of(units: &Array2<f64>) -> Self {
        let mean = units.sum_axis(Axis(0));
        let length = mean.dot(&mean).sqrt();
        Self {
            at: match length > NO_ANGLE {
                true => mean / length,
                false => units.row(0).to_owned(),
            },
        }
    }

    fn of(&self, units: &Array2<f64>) -> Array2<f64> {
        let mut out = units.clone();
        for mut row in out.rows_mut() {
            let cosine = row.dot(&self.at).clamp(-1.0, 1.0);
            row.scaled_add(-cosine, &self.at);
            let sine = row.dot(&row).sqrt();
            let stretch = match sine > NO_ANGLE {
                true => sine.atan2(cosine) / sine,
                false => 1.0,
            };
            row *= stretch;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_tangent_keeps_the_angle_from_where_it_touches() {
        let tangent = Tangent {
            at: array![1.0, 0.0, 0.0],
        };
        let laid = tangent.of(&array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8],]);
        let angle = |row: usize| laid.row(row).dot(&laid.row(row)).sqrt();
        assert_eq!(angle(0), 0.0);
        assert!((angle(1) - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        assert!((angle(2) - (-0.6_f64).acos()).abs() < 1e-15);
        assert!(laid.column(0).iter().all(|x| x.abs() < 1e-15));
    }
}
