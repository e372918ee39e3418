//! One distribution: nanoseconds a normaliser and a solved concentration, samples a second, all on one core.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::vmf::{VonMisesFisher, concentration, ln_normaliser, ln_sphere_area};

const DIMENSIONS: [usize; 3] = [3, 64, 768];

/// `ln C_d(kappa)` against the surface measure at a thousand concentrations from 1 to 1e4.
pub fn normaliser(criterion: &mut Criterion) {
    let kappas: Vec<f64> = (0..1000).map(|i| 10_f64.powf(i as f64 / 250.0)).collect();
    let mut group = criterion.benchmark_group("ln_normaliser");
    group.throughput(Throughput::Elements(kappas.len() as u64));
    for d in DIMENSIONS {
        group.bench_function(BenchmarkId::from_parameter(format!("d={d}")), |bencher| {
            bencher.iter(|| {
                let area = ln_sphere_area(black_box(d));
                kappas
                    .iter()
                    .map(|&kappa| -ln_normaliser(d, kappa) - area)
                    .sum::<f64>()
            })
        });
    }
    group.finish();
}

/// `A_d(kappa) = r` at a thousand mean resultant lengths between 0 and 1.
pub fn solve(criterion: &mut Criterion) {
    let lengths: Vec<f64> = (1..=1000).map(|i| i as f64 / 1001.0).collect();
    let mut group = criterion.benchmark_group("solve");
    group.throughput(Throughput::Elements(lengths.len() as u64));
    for d in DIMENSIONS {
        group.bench_function(BenchmarkId::from_parameter(format!("d={d}")), |bencher| {
            bencher.iter(|| {
                lengths
                    .iter()
                    .map(|&r| concentration::solve(black_box(d), r))
                    .sum::<f64>()
            })
        });
    }
    group.finish();
}

/// A thousand samples at concentration 500, into a buffer in `f32`.
pub fn sample(criterion: &mut Criterion) {
    const N: usize = 1000;
    let mut group = criterion.benchmark_group("sample");
    group.throughput(Throughput::Elements(N as u64));
    for d in DIMENSIONS {
        let vmf = VonMisesFisher::new(Array1::ones(d), 500.0).expect("a distribution");
        let mut rows = Array2::<f32>::zeros((N, d));
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        group.bench_function(
            BenchmarkId::from_parameter(format!("d={d}/kappa=500")),
            |bencher| bencher.iter(|| vmf.sample_into(rows.view_mut(), &mut rng)),
        );
    }
    group.finish();
}
