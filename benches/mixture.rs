//! A sweep of EM and of spherical k-means over the data of `mixture.py`, and whole fits.

use std::sync::LazyLock;

use criterion::{BenchmarkId, Criterion, Throughput};
use linfa::traits::Fit;
use linfa::{DatasetBase, ParamGuard};
use ndarray::{Array1, Array2, Axis, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::mixture::{
    Assignment, InMemory, InitMethod, KMeansInit, Observations, Scorer, SphericalKMeans,
    VonMisesFisherMixture,
};
use vmfmix::vmf::{VonMisesFisher, ln_normaliser_scaled};

const N: usize = 100_000;
const D: usize = 768;
const KAPPA: f64 = 300.0;
const CENTRES: usize = 1000;

/// Directions without any structure: the hardest case, as no responsibility is negligible for long.
static UNIFORM: LazyLock<Array2<f32>> = LazyLock::new(|| {
    let uniform = VonMisesFisher::new(Array1::ones(D), 0.0).expect("a distribution");
    uniform.sample(N, &mut Xoshiro256Plus::seed_from_u64(0))
});

/// Directions around a thousand centres, in no order.
static CLUSTERED: LazyLock<Array2<f32>> = LazyLock::new(|| {
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let uniform = VonMisesFisher::new(Array1::ones(D), 0.0).expect("a distribution");
    let centres = uniform.sample::<f64>(CENTRES, &mut rng);
    let mut rows = Array2::zeros((N, D));
    for mut row in rows.rows_mut() {
        let centre = centres.row(rng.gen_range(0..CENTRES)).to_owned();
        let around = VonMisesFisher::new(centre, 2.0 * KAPPA).expect("a distribution");
        around.sample_into(row.view_mut().insert_axis(Axis(0)), &mut rng);
    }
    rows
});

/// One EM iteration's pass over the data, soft and hard, with the first rows for means.
pub fn sweep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sweep");
    group
        .throughput(Throughput::Elements(N as u64))
        .sample_size(10);
    let cases = [Assignment::Soft, Assignment::Hard]
        .into_iter()
        .flat_map(|assignment| [64, 256].map(|k| (assignment, k)));
    for (assignment, k) in cases {
        let id = format!("{assignment:?}/n={N}/d={D}/k={k}");
        group.bench_function(BenchmarkId::from_parameter(id), |bencher| {
            let rows = &*UNIFORM;
            let observations = InMemory::new(rows.view(), None).expect("unit rows");
            let scorer = Scorer {
                mean_directions: rows.slice(s![..k, ..]).mapv(f64::from),
                concentrations: Array1::from_elem(k, KAPPA),
                offsets: Array1::from_elem(k, -(k as f64).ln() - ln_normaliser_scaled(D, KAPPA)),
                inverse_temperature: 1.0,
                seed: 0,
            };
            bencher.iter(|| observations.sweep(&scorer, assignment).expect("a sweep"))
        });
    }
    group.finish();
}

/// The matrix product that a sweep cannot do without, whole and on all threads: half the work of a soft sweep.
pub fn product(criterion: &mut Criterion) {
    let rows = &*UNIFORM;
    let mut group = criterion.benchmark_group("product");
    group
        .throughput(Throughput::Elements(N as u64))
        .sample_size(10);
    for k in [64, 256] {
        let mut cosines = Array2::<f32>::zeros((N, k));
        group.bench_function(
            BenchmarkId::from_parameter(format!("n={N}/d={D}/k={k}")),
            |bencher| {
                bencher.iter(|| {
                    // SAFETY: three matrices of these shapes, rows contiguous, the third borrowed exclusively.
                    unsafe {
                        gemm::gemm(
                            N,
                            k,
                            D,
                            cosines.as_mut_ptr(),
                            1,
                            k as isize,
                            false,
                            rows.as_ptr(),
                            1,
                            D as isize,
                            rows.as_ptr(),
                            D as isize,
                            1,
                            0.0,
                            1.0,
                            false,
                            false,
                            false,
                            gemm::Parallelism::Rayon(0),
                        );
                    }
                })
            },
        );
    }
    group.finish();
}

const DATA: [(&str, &LazyLock<Array2<f32>>); 2] =
    [("uniform", &UNIFORM), ("clustered", &CLUSTERED)];

/// Twenty-five iterations of spherical k-means, from the first rows as `mixture.py` lets faiss start.
pub fn kmeans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kmeans");
    group
        .throughput(Throughput::Elements((25 * N) as u64))
        .sample_size(10);
    for ((name, rows), k) in DATA
        .into_iter()
        .flat_map(|data| [64, 256].map(|k| (data, k)))
    {
        let id = format!("{name}/n={N}/d={D}/k={k}");
        group.bench_function(BenchmarkId::from_parameter(id), |bencher| {
            let observations = InMemory::new(rows.view(), None).expect("unit rows");
            let params = SphericalKMeans::params(k)
                .init_method(KMeansInit::Precomputed(
                    rows.slice(s![..k, ..]).mapv(f64::from),
                ))
                .tolerance(0.0)
                .max_n_iterations(25)
                .check()
                .expect("valid settings");
            let fit = || params.fit_observations(&observations).expect("a fit");
            bencher.iter(fit)
        });
    }
    group.finish();
}

/// Ten EM iterations on data with clusters, from a start at the first rows: twelve passes in all.
pub fn em(criterion: &mut Criterion) {
    const PASSES: usize = 12;
    let mut group = criterion.benchmark_group("em");
    group
        .throughput(Throughput::Elements((PASSES * N) as u64))
        .sample_size(10);
    for k in [64, 256] {
        group.bench_function(
            BenchmarkId::from_parameter(format!("n={N}/d={D}/k={k}")),
            |bencher| {
                let rows = &*CLUSTERED;
                let observations = InMemory::new(rows.view(), None).expect("unit rows");
                let params = VonMisesFisherMixture::params(k)
                    .init_method(InitMethod::Means(rows.slice(s![..k, ..]).mapv(f64::from)))
                    .n_runs(1)
                    .tolerance(0.0)
                    .max_n_iterations(PASSES - 2)
                    .check()
                    .expect("valid settings");
                bencher.iter(|| params.fit_observations(&observations).expect("a fit"))
            },
        );
    }
    group.finish();
}

/// Ten iterations of linfa-clustering's k-means, which measures Euclidean distances, on a tenth of the rows, and ours.
pub fn linfa(criterion: &mut Criterion) {
    const ITERATIONS: usize = 10;
    let (n, k) = (N / 10, 64);
    let mut group = criterion.benchmark_group("linfa");
    group
        .throughput(Throughput::Elements((ITERATIONS * n) as u64))
        .sample_size(10);
    let tenth = || UNIFORM.slice(s![..n, ..]).to_owned();
    group.bench_function(
        BenchmarkId::new("linfa-clustering", format!("n={n}/d={D}/k={k}")),
        |bencher| {
            let rows = tenth();
            let start = rows.slice(s![..k, ..]).to_owned();
            let dataset = DatasetBase::from(rows);
            let params = linfa_clustering::KMeans::params(k)
                .init_method(linfa_clustering::KMeansInit::Precomputed(start))
                .n_runs(1)
                .tolerance(f32::MIN_POSITIVE)
                .max_n_iterations(ITERATIONS as u64);
            // Not having converged is an error there; the work is done all the same.
            bencher.iter(|| params.fit(&dataset).is_ok())
        },
    );
    group.bench_function(
        BenchmarkId::new("vmfmix", format!("n={n}/d={D}/k={k}")),
        |bencher| {
            let rows = tenth();
            let start = rows.slice(s![..k, ..]).mapv(f64::from);
            let dataset = DatasetBase::from(rows);
            let params = SphericalKMeans::params(k)
                .init_method(KMeansInit::Precomputed(start))
                .tolerance(0.0)
                .max_n_iterations(ITERATIONS);
            bencher.iter(|| params.fit(&dataset).expect("a fit"))
        },
    );
    group.finish();
}
