//! Samples against the exact distribution, and what small samples do to the estimate of the concentration.

use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use statrs::distribution::ContinuousCDF;
use vmfmix::vmf::VonMisesFisher;
use vmfmix::vmf::concentration::{bias_corrected, mean_resultant, standard_error};

/// A direction along no axis.
fn oblique(d: usize, kappa: f64) -> VonMisesFisher {
    let mean = Array1::from_shape_fn(d, |i| (i as f64 * 0.7 + 2.0).sin());
    VonMisesFisher::new(mean, kappa).unwrap()
}

#[test]
fn a_million_samples_follow_the_exact_distribution() {
    const N: usize = 1_000_000;
    const CHUNK: usize = 10_000;
    /// Every so many of the sorted cosines the distribution function is evaluated.
    const STRIDE: usize = 20;
    for d in [3, 64, 768] {
        for kappa in [0.0, 1.0, 50.0, 500.0, 1e5] {
            let vmf = oblique(d, kappa);
            let mut rows = Array2::<f64>::zeros((CHUNK, d));
            let mut resultant = Array1::<f64>::zeros(d);
            let mut cosines = Vec::with_capacity(N);
            for seed in 0..N / CHUNK {
                vmf.par_sample_into(rows.view_mut(), seed as u64);
                resultant += &rows.sum_axis(ndarray::Axis(0));
                cosines.extend(rows.dot(&vmf.mean()));
            }
            let n = N as f64;
            let a = mean_resultant(d, kappa);
            let mean = cosines.iter().sum::<f64>() / n;
            let deviation = (mean - a.value) / (a.derivative / n).sqrt();
            // E[r^2] = A^2 + (1 - A^2) / n, with the noise along the mean and the chance of the other directions.
            let square = resultant.dot(&resultant) / (n * n);
            let spread = a.complement * (1.0 + a.value);
            let noise = 4.0 * a.value.powi(2) * a.derivative / n
                + 2.0 * (spread / n).powi(2) / (d as f64 - 1.0);
            let resultant_deviation = (square - a.value.powi(2) - spread / n) / noise.sqrt();
            cosines.sort_unstable_by(f64::total_cmp);
            let radial = vmf.radial();
            let kolmogorov = (0..N)
                .step_by(STRIDE)
                .map(|i| (radial.cdf(cosines[i]) - i as f64 / n).abs())
                .fold(0.0, f64::max)
                + STRIDE as f64 / n;
            // The quantile at 1 - 0.001 of Kolmogorov's distribution.
            let critical = 1.9495 / n.sqrt();
            println!(
                "d = {d}, kappa = {kappa}: mean cosine {deviation:+.2} and mean resultant {resultant_deviation:+.2} standard errors off, Kolmogorov-Smirnov {:.2} of the critical value",
                kolmogorov / critical
            );
            assert!(
                deviation.abs() < 4.0 && resultant_deviation.abs() < 4.0,
                "d = {d}, kappa = {kappa}"
            );
            assert!(
                kolmogorov < critical,
                "d = {d}, kappa = {kappa}: {kolmogorov}"
            );
        }
    }
}

#[test]
fn parallel_samples_are_the_same_for_any_number_of_threads() {
    let vmf = oblique(16, 20.0);
    let draw = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut rows = Array2::<f32>::zeros((1000, 16));
        pool.install(|| vmf.par_sample_into(rows.view_mut(), 7));
        rows
    };
    assert_eq!(draw(1), draw(3));
}

/// The table of small-sample bias: points, concentration, bias of the likeliest in per cent.
#[test]
fn the_bias_of_small_samples_is_as_known_and_removed() {
    const SAMPLES: usize = 2000;
    let d = 768;
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    println!("kappa    n  likeliest  corrected  spread  standard error");
    for (kappa, n, expected) in [
        (300.0, 5, 98.0),
        (300.0, 20, 23.0),
        (300.0, 100, 4.0),
        (50.0, 100, 85.0),
    ] {
        let vmf = oblique(d, kappa);
        let mut rows = Array2::<f64>::zeros((n, d));
        let (mut likeliest, mut corrected) = (0.0, Vec::with_capacity(SAMPLES));
        for _ in 0..SAMPLES {
            vmf.sample_into(rows.view_mut(), &mut rng);
            let fitted = VonMisesFisher::fit(rows.view(), None).unwrap();
            likeliest += fitted.concentration() / SAMPLES as f64;
            corrected.push(bias_corrected(d, fitted.mean_resultant_length(), n as f64));
        }
        let mean = corrected.iter().sum::<f64>() / SAMPLES as f64;
        let variance =
            corrected.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (SAMPLES - 1) as f64;
        let spread = variance.sqrt();
        let predicted = standard_error(d, kappa, n as f64);
        println!(
            "{kappa:>5} {n:>4} {likeliest:>10.1} {mean:>10.1} {spread:>7.2} {predicted:>15.2}"
        );
        let bias = 100.0 * (likeliest / kappa - 1.0);
        assert!(
            (bias - expected).abs() < 1.5,
            "n = {n}, kappa = {kappa}: {bias}"
        );
        assert!(
            (mean / kappa - 1.0).abs() < 0.01,
            "n = {n}, kappa = {kappa}: {mean}"
        );
        assert!(
            (spread / predicted - 1.0).abs() < 0.15,
            "n = {n}, kappa = {kappa}: {spread} {predicted}"
        );
    }
}
