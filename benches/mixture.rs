//! A sweep of EM and of spherical k-means over the data of `mixture.py`, and whole fits.

use std::sync::LazyLock;

use criterion::{BenchmarkId, Criterion, Throughput};
use linfa::ParamGuard;
use ndarray::{Array1, Array2, Axis, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::mixture::{Assignment, InMemory, KMeansInit, Observations, Scorer, SphericalKMeans};
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
