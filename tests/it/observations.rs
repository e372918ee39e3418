//! What every place for data has to do: the same tests over memory, disk, a device and a cluster.

use ndarray::{Array1, Array2, Axis};
use polars::prelude::DataFrame;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::device::Device;
use vmfmix::frame::{EMBEDDING, Embeddings, Shards, io};
use vmfmix::linfa::ParamGuard;
use vmfmix::mixture::{
    Assignment, ClusterMemory, InMemory, InitMethod, MixtureError, Observations, OnDevice, Scorer,
    SphericalKMeans, Statistics, VonMisesFisherMixture,
};

/// Rows around `k` directions, of many lengths.
pub(crate) fn clustered(n: usize, d: usize, k: usize, spread: f64) -> Array2<f32> {
    let mut rng = Xoshiro256Plus::seed_from_u64(7);
    let normal = |rng: &mut Xoshiro256Plus| -> f64 {
        (0..12).map(|_| rng.r#gen::<f64>()).sum::<f64>() - 6.0
    };
    let unit = |rng: &mut Xoshiro256Plus, centre: Option<&Array1<f64>>, spread: f64| {
        let noise: Array1<f64> = (0..d).map(|_| spread * normal(rng)).collect();
        let x = centre.map_or_else(|| noise.clone(), |centre| centre + &noise);
        let length = x.dot(&x).sqrt();
        x / length
    };
    let centres: Vec<_> = (0..k).map(|_| unit(&mut rng, None, 1.0)).collect();
    let mut rows = Array2::zeros((n, d));
    for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
        let x = unit(&mut rng, Some(&centres[i % k]), spread / (d as f64).sqrt());
        let length = rng.gen_range(0.5..2.0);
        row.assign(&x.mapv(|x| (x * length) as f32));
    }
    rows
}

/// A scorer with means among the rows.
pub(crate) fn scorer(rows: &Array2<f32>, k: usize, concentration: f64) -> Scorer {
    let means = rows.select(Axis(0), &(0..k).collect::<Vec<_>>());
    let mut means = means.mapv(f64::from);
    for mut mean in means.rows_mut() {
        let length = mean.dot(&mean).sqrt();
        mean /= length;
    }
    Scorer {
        mean_directions: means,
        concentrations: (0..k)
            .map(|j| concentration * (1.0 + 0.01 * j as f64))
            .collect(),
        offsets: Array1::from_elem(k, -(k as f64).ln()),
        inverse_temperature: 1.0,
        seed: 3,
    }
}

/// Says by how much two sets of statistics differ, relative to the weight of all points.
pub(crate) fn difference(a: &Statistics, b: &Statistics) -> f64 {
    assert_eq!(a.total, b.total);
    let largest = |a: &Array2<f64>, b: &Array2<f64>| {
        (a - b).iter().fold(0.0_f64, |most, x| most.max(x.abs()))
    };
    let column = |x: &Array1<f64>| x.clone().insert_axis(Axis(1));
    [
        (a.log_likelihood - b.log_likelihood).abs(),
        largest(&column(&a.masses), &column(&b.masses)),
        largest(&column(&a.squares), &column(&b.squares)),
        largest(&a.resultants, &b.resultants),
    ]
    .into_iter()
    .fold(0.0, f64::max)
        / a.total
}

/// The rows that all places hold.
pub(crate) fn sample() -> Array2<f32> {
    clustered(3000, 32, 5, 0.6)
}

/// Holds points against the same rows in memory.
pub(crate) fn check(points: &dyn Observations, tolerance: f64) {
    let rows = sample();
    let expected = InMemory::new(rows.view(), None).unwrap();
    assert_eq!((points.n_samples(), points.dimension()), rows.dim());

    let some = [2999, 0, 5, 0];
    let directions = points.directions(&some).unwrap() - expected.directions(&some).unwrap();
    assert!(directions.iter().all(|x| x.abs() < 1e-14), "{directions}");

    for (concentration, inverse_temperature) in [(20.0, 1.0), (20.0, 0.4), (3000.0, 1.0)] {
        let scorer = Scorer {
            inverse_temperature,
            ..scorer(&rows, 6, concentration)
        };
        for assignment in [Assignment::Soft, Assignment::Hard] {
            let expected = expected.sweep(&scorer, assignment).unwrap();
            let got = points.sweep(&scorer, assignment).unwrap();
            let difference = difference(&expected, &got);
            assert!(
                difference < tolerance,
                "{assignment:?}, {concentration}: {difference:e}"
            );
        }
        let drawn = points.sweep(&scorer, Assignment::Stochastic).unwrap();
        let shared = points.sweep(&scorer, Assignment::Soft).unwrap();
        let likelihoods = (drawn.log_likelihood - shared.log_likelihood).abs() / drawn.total;
        assert!(likelihoods < tolerance, "{likelihoods:e}");
        assert_eq!(drawn.masses.sum(), drawn.total);
        let draws = (&drawn.masses - &shared.masses) / drawn.total;
        assert!(draws.iter().all(|x| x.abs() < 0.05), "{draws}");
    }
    let wrong = Scorer::cosine(Array2::eye(31));
    let error = points.sweep(&wrong, Assignment::Soft).unwrap_err();
    assert!(matches!(
        error,
        MixtureError::DimensionMismatch {
            got: 32,
            expected: 31
        }
    ));

    let centres = scorer(&rows, 5, 1.0).mean_directions;
    let mut memories = [(); 2].map(|()| ClusterMemory::default());
    let hard = expected.cluster(&centres, &mut memories[0]).unwrap();
    let got = points.cluster(&centres, &mut memories[1]).unwrap();
    assert_eq!(hard.masses, got.masses);

    for init_method in [InitMethod::SphericalKMeans, InitMethod::RandomRows] {
        let params = VonMisesFisherMixture::params(5)
            .init_method(init_method)
            .n_runs(2)
            .max_n_iterations(15);
        let expected = params.fit_observations(&expected).unwrap();
        let got = params.fit_observations(points).unwrap();
        let likelihoods = (expected.log_likelihood() - got.log_likelihood()).abs();
        assert!(likelihoods < 10.0 * tolerance, "{likelihoods:e}");
        let means = expected.mean_directions() - got.mean_directions();
        let means = means.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(means < 100.0 * tolerance, "{means:e}");
    }
    let params = SphericalKMeans::params(5).check().unwrap();
    let clusters = params.fit_observations(&expected).unwrap();
    let got = params.fit_observations(points).unwrap();
    assert_eq!(clusters.masses(), got.masses());
}

/// Writes rows into Parquet files of a folder.
pub(crate) fn write_shards(rows: &Array2<f32>, folder: &std::path::Path, files: usize) {
    for (i, part) in rows
        .axis_chunks_iter(Axis(0), rows.nrows().div_ceil(files))
        .enumerate()
    {
        let column = Embeddings::into_column(EMBEDDING, part.to_owned()).unwrap();
        let frame = DataFrame::new_infer_height(vec![column]).unwrap();
        io::write_table(&frame, folder.join(format!("part-{i:02}.parquet"))).unwrap();
    }
}

#[test]
fn points_in_memory() {
    let rows = sample().mapv(f64::from);
    check(
        &InMemory::new(rows.view(), None).unwrap().block_size(100),
        1e-7,
    );
}

#[test]
fn points_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    write_shards(&sample(), folder.path(), 4);
    let paths: Vec<_> = (0..4)
        .map(|i| folder.path().join(format!("part-{i:02}.parquet")))
        .collect();
    let shards = Shards::open(&paths, folder.path()).unwrap();
    check(&shards.points(shards.present()).unwrap(), 1e-14);
}

#[test]
fn points_on_a_device() {
    let rows = sample();
    let points = InMemory::new(rows.view(), None).unwrap();
    check(&OnDevice::new(points, Device::Cpu).unwrap(), 1e-7);
}

#[cfg(feature = "ballista")]
#[test]
fn points_on_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    // Files of a multiple of the block size; memory has blocks of 1024.
    write_shards(&sample(), folder.path(), 4);
    let folder = folder.path().to_str().unwrap();
    let table = vmfmix::distributed::ClusterTable::standalone(folder, EMBEDDING).unwrap();
    check(&table, 1e-7);
    assert!(table.n_passes() > 20);
    let table = table.block_size(750);
    let rows = sample();
    let points = InMemory::new(rows.view(), None).unwrap().block_size(750);
    let scorer = scorer(&rows, 6, 50.0);
    for assignment in [Assignment::Soft, Assignment::Hard] {
        let expected = points.sweep(&scorer, assignment).unwrap();
        let got = table.sweep(&scorer, assignment).unwrap();
        assert!(difference(&expected, &got) < 1e-14);
    }
}
