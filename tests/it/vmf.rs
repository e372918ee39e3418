//! The normaliser and the mean resultant length against mpmath (`tests/fixtures/make_vmf.py`).

use vmfmix::vmf::concentration::{mean_resultant_length, solve};
use vmfmix::vmf::{ln_normaliser, ln_normaliser_scaled};

/// Relative, or absolute below one.
fn error(got: f64, expected: f64) -> f64 {
    (got - expected).abs() / expected.abs().max(1.0)
}

#[test]
fn agrees_with_mpmath_in_every_dimension_and_concentration() {
    let table = include_str!("../fixtures/vmf.csv");
    let mut worst = [
        (0.0, String::new()),
        (0.0, String::new()),
        (0.0, String::new()),
    ];
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let values: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        let [d, kappa, l, l_minus_kappa, a, _] = values[..] else {
            panic!("six columns: {line}")
        };
        let d = d as usize;
        let errors = [
            error(ln_normaliser(d, kappa), l),
            error(ln_normaliser_scaled(d, kappa), l_minus_kappa),
            if a > 0.0 {
                (mean_resultant_length(d, kappa) / a - 1.0).abs()
            } else {
                0.0
            },
        ];
        for (worst, error) in worst.iter_mut().zip(errors) {
            if error > worst.0 {
                *worst = (error, format!("d = {d}, kappa = {kappa}"));
            }
        }
        rows += 1;
    }
    println!("worst errors over {rows} rows: {worst:?}");
    assert_eq!(rows, 22 * 23);
    assert!(worst.iter().all(|(error, _)| *error <= 1e-13), "{worst:?}");
}

#[test]
fn solves_for_the_concentration_of_a_known_mean_resultant_length() {
    // mpmath: A_768(300) and A_512(100), 20 digits.
    for (d, kappa) in [
        (768, 300.0),
        (512, 100.0),
        (3, 50.0),
        (2, 1.0),
        (32768, 1000.0),
    ] {
        let r = mean_resultant_length(d, kappa);
        assert!(
            (solve(d, r) / kappa - 1.0).abs() < 1e-12,
            "d = {d}, kappa = {kappa}"
        );
    }
}
