//! Spherical k-means as an estimator of its own.

use linfa::traits::{Fit, FitWith, Predict, Transformer};
use linfa::{DatasetBase, ParamGuard};
use ndarray::{Array2, Axis, array};
use vmfmix::mixture::metrics::normalized_mutual_information;
use vmfmix::mixture::{
    Assignment, ClusterMemory, InMemory, KMeansInit, Observations, Scorer, SphericalKMeans,
};

use super::mixture::synthetic;

fn problem() -> (Array2<f32>, Vec<usize>, Array2<f64>) {
    synthetic(32, &[60.0; 8], &[250; 8], 31)
}

#[test]
fn every_start_finds_clusters_that_are_apart() {
    let (x, labels, means) = problem();
    for start in [
        KMeansInit::KMeansPlusPlus,
        KMeansInit::KMeansPara,
        KMeansInit::Random,
        KMeansInit::Precomputed(means),
    ] {
        let params = SphericalKMeans::params(8)
            .n_runs(8)
            .init_method(start.clone());
        let clusters = params
            .check()
            .unwrap()
            .fit(&DatasetBase::from(x.clone()))
            .unwrap();
        let found = clusters.predict(&x).to_vec();
        assert!(
            normalized_mutual_information(&found, &labels) > 0.97,
            "{start:?}"
        );
        assert!(clusters.converged());
        let rising = clusters
            .mean_cosines()
            .windows(2)
            .all(|w| w[1] >= w[0] - 1e-9);
        assert!(rising, "{:?}", clusters.mean_cosines());
    }
}

/// Bounds leave points out that cannot change; what comes out is what plain passes give.
#[test]
fn bounds_give_the_statistics_of_plain_passes() {
    let (x, ..) = problem();
    let weights = ndarray::Array1::from_shape_fn(x.nrows(), |i| 1.0 + (i % 4) as f32);
    let observations = InMemory::new(x.view(), Some(weights.view())).unwrap();
    let mut centres = observations
        .directions(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
        .unwrap();
    let mut memory = ClusterMemory::default();
    for iteration in 0..20 {
        let bounded = observations.cluster(&centres, &mut memory).unwrap();
        let plain = observations
            .sweep(&Scorer::cosine(centres.clone()), Assignment::Hard)
            .unwrap();
        assert_eq!(bounded.masses, plain.masses, "iteration {iteration}");
        assert!(
            (&bounded.resultants - &plain.resultants)
                .iter()
                .all(|e| e.abs() < 1e-3)
        );
        assert!((bounded.log_likelihood / plain.log_likelihood - 1.0).abs() < 1e-6);
        for (mut centre, resultant) in centres.rows_mut().into_iter().zip(plain.resultants.rows()) {
            centre.assign(&(&resultant / resultant.dot(&resultant).sqrt()));
        }
    }
}

#[test]
fn mini_batches_come_close_to_the_whole() {
    let (x, ..) = problem();
    let params = SphericalKMeans::params(8).check().unwrap();
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    order.sort_by_key(|i| i.wrapping_mul(7919) % x.nrows());
    let mut clusters = None;
    for rows in order.chunks(200) {
        clusters = Some(
            params
                .fit_with(clusters, &DatasetBase::from(x.select(Axis(0), rows)))
                .unwrap(),
        );
    }
    let whole = params.fit(&DatasetBase::from(x.clone())).unwrap();
    let mean = |clusters: &SphericalKMeans| {
        let cosines = clusters.cosines(x.view()).unwrap();
        cosines
            .map_axis(Axis(1), |row| row.fold(-1.0_f64, |a, &b| a.max(b)))
            .mean()
            .unwrap()
    };
    let (batches, whole) = (mean(&clusters.clone().unwrap()), mean(&whole));
    assert!(batches > 0.98 * whole, "{batches} {whole}");
    assert_eq!(clusters.unwrap().masses().sum(), x.nrows() as f64);
}

#[test]
fn transforms_into_cosines_and_survives_json() {
    let x = array![[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]];
    let start = KMeansInit::Precomputed(array![[1.0, 0.0], [0.0, 1.0]]);
    let params = SphericalKMeans::params(2)
        .init_method(start)
        .max_n_iterations(1);
    let clusters = params
        .check()
        .unwrap()
        .fit(&DatasetBase::from(x.clone()))
        .unwrap();
    let cosines = clusters.transform(&x);
    let half = 0.5_f64.sqrt();
    assert!(
        (&cosines - &array![[1.0, 0.0], [0.0, 1.0], [half, half]])
            .iter()
            .all(|e| e.abs() < 1e-12)
    );
    let json = serde_json::to_string(&clusters).unwrap();
    assert_eq!(
        serde_json::from_str::<SphericalKMeans>(&json).unwrap(),
        clusters
    );
}

#[test]
fn an_empty_cluster_starts_afresh_and_bad_settings_are_refused() {
    let (x, ..) = problem();
    let mut start = Array2::zeros((2, 32));
    start.column_mut(0).assign(&array![1.0, 1.0]);
    start[[1, 1]] = 1e-9;
    let params = |k| SphericalKMeans::params(k).init_method(KMeansInit::Precomputed(start.clone()));
    let clusters = params(2)
        .check()
        .unwrap()
        .fit(&DatasetBase::from(x.clone()))
        .unwrap();
    assert!(
        clusters.masses().iter().all(|mass| *mass > 0.0),
        "{}",
        clusters.masses()
    );
    let error = params(3)
        .check()
        .unwrap()
        .fit(&DatasetBase::from(x))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("2 given centres where 3 are needed")
    );
    assert!(SphericalKMeans::params(0).check().is_err());
    assert!(
        SphericalKMeans::params(2)
            .tolerance(f64::NAN)
            .check()
            .is_err()
    );
}
