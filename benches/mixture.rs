//! A sweep of EM and of spherical k-means over the data of `mixture.py`, and whole fits.

use criterion::{BenchmarkId, Criterion, Throughput};
use ndarray::{Array1, Array2, s};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::mixture::{Assignment, InMemory, Observations, Scorer};
use vmfmix::vmf::{VonMisesFisher, ln_normaliser_scaled};

const N: usize = 100_000;
const D: usize = 768;
const KAPPA: f64 = 300.0;

/// Directions without any structure: the hardest case, as no responsibility is negligible for long.
fn uniform() -> Array2<f32> {
    let uniform = VonMisesFisher::new(Array1::ones(D), 0.0).expect("a distribution");
    uniform.sample(N, &mut Xoshiro256Plus::seed_from_u64(0))
}

/// One EM iteration's pass over the data, soft and hard.
pub fn sweep(criterion: &mut Criterion) {
    let rows = uniform();
    let observations = InMemory::new(rows.view(), None).expect("unit rows");
    let mut group = criterion.benchmark_group("sweep");
    group
        .throughput(Throughput::Elements(N as u64))
        .sample_size(10);
    for k in [64, 256] {
        let scorer = Scorer {
            mean_directions: rows.slice(s![..k, ..]).mapv(f64::from),
            concentrations: Array1::from_elem(k, KAPPA),
            offsets: Array1::from_elem(k, -(k as f64).ln() - ln_normaliser_scaled(D, KAPPA)),
            inverse_temperature: 1.0,
            seed: 0,
        };
        for assignment in [Assignment::Soft, Assignment::Hard] {
            let id = BenchmarkId::from_parameter(format!("{assignment:?}/n={N}/d={D}/k={k}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| observations.sweep(&scorer, assignment).expect("a sweep"))
            });
        }
    }
    group.finish();
}

/// The matrix product that a sweep cannot do without, whole and on all threads: half the work of a soft sweep.
pub fn product(criterion: &mut Criterion) {
    let rows = uniform();
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
