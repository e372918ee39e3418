//! The von Mises-Fisher distribution against mpmath (`tests/fixtures/make_vmf.py`), and where others are wrong.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView1, array};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use statrs::distribution::{Beta, Continuous, ContinuousCDF};
use vmfmix::vmf::bessel::{
    Ratio, ln_bessel_i, ln_bessel_i_scaled, ln_hyp0f1, ln_hyp0f1_scaled, ratio,
};
use vmfmix::vmf::concentration::{confidence_interval, mean_resultant, solve, solve_complement};
use vmfmix::vmf::{VonMisesFisher, ln_normaliser, ln_normaliser_scaled, ln_sphere_area};

/// Largest error of any function at any dimension and concentration.
const TOLERANCE: f64 = 1e-13;

/// A row of the table.
struct Reference {
    d: usize,
    kappa: f64,
    values: BTreeMap<&'static str, f64>,
}

fn references() -> Vec<Reference> {
    let mut lines = include_str!("../fixtures/vmf.csv").lines();
    let names: Vec<_> = lines.next().unwrap().split(',').collect();
    let reference = |line: &'static str| {
        let numbers = line.split(',').map(|number| number.parse::<f64>().unwrap());
        let values: BTreeMap<_, _> = names.iter().copied().zip(numbers).collect();
        Reference {
            d: values["d"] as usize,
            kappa: values["kappa"],
            values,
        }
    };
    lines.map(reference).collect()
}

/// Around an axis of the space.
fn around(axis: usize, d: usize, kappa: f64) -> VonMisesFisher {
    let mean = Array1::from_shape_fn(d, |i| if i == axis { 1.0 } else { 0.0 });
    VonMisesFisher::new(mean, kappa).unwrap()
}

fn relative(got: f64, expected: f64) -> f64 {
    if got == expected {
        return 0.0;
    }
    (got / expected - 1.0).abs()
}

/// Relative; absolute below one, for what passes zero.
fn mixed(got: f64, expected: f64) -> f64 {
    if got == expected {
        return 0.0;
    }
    (got - expected).abs() / expected.abs().max(1.0)
}

#[test]
fn agrees_with_mpmath_in_every_dimension_and_concentration() {
    let mut worst: BTreeMap<usize, BTreeMap<&str, f64>> = BTreeMap::new();
    let rows = references();
    assert_eq!(rows.len(), 22 * 23);
    for Reference { d, kappa, values } in rows {
        let (v, a) = (d as f64 / 2.0 - 1.0, mean_resultant(d, kappa));
        let vmf = around(0, d, kappa);
        let (far, near) = (
            around(1, d, kappa * 1.5),
            around(0, d, kappa * (1025.0 / 1024.0)),
        );
        let solved = match values["r"] {
            r if r >= 0.0 => solve(d, r),
            complement => solve_complement(d, -complement),
        };
        let errors = [
            ("ln I", mixed(ln_bessel_i(v, kappa), values["ln_i"])),
            (
                "ln C",
                mixed(-ln_normaliser(d, kappa) - ln_sphere_area(d), values["ln_c"]),
            ),
            ("L", relative(ln_normaliser(d, kappa), values["l"])),
            (
                "L - kappa",
                mixed(ln_normaliser_scaled(d, kappa), values["l_minus_kappa"]),
            ),
            ("A", relative(a.value, values["a"])),
            ("1 - A", relative(a.complement, values["complement"])),
            ("A'", relative(a.derivative, values["da"])),
            ("kappa", relative(solved, values["solved"])),
            ("entropy", mixed(vmf.entropy(), values["entropy"])),
            (
                "KL far",
                relative(vmf.kl_divergence(&far), values["kl_far"]),
            ),
            (
                "KL near",
                relative(vmf.kl_divergence(&near), values["kl_near"]),
            ),
            (
                "B far",
                relative(
                    vmf.bhattacharyya_distance(&far),
                    values["bhattacharyya_far"],
                ),
            ),
            (
                "B near",
                relative(
                    vmf.bhattacharyya_distance(&near),
                    values["bhattacharyya_near"],
                ),
            ),
        ];
        for (name, error) in errors {
            let worst = worst.entry(d).or_default().entry(name).or_default();
            *worst = worst.max(error);
            assert!(
                error <= TOLERANCE,
                "{name} at d = {d}, kappa = {kappa}: {error:.1e}"
            );
        }
    }
    let names: Vec<_> = worst[&2].keys().copied().collect();
    println!(
        "worst error\n     d{}",
        names
            .iter()
            .map(|name| format!("{name:>10}"))
            .collect::<String>()
    );
    for (d, errors) in &worst {
        println!(
            "{d:>6}{}",
            errors
                .values()
                .map(|error| format!("{error:>10.1e}"))
                .collect::<String>()
        );
    }
}

/// The largest difference of any function between two points a rounding apart, what the rounding itself makes aside.
fn jump(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (v, x) = to;
    // Where ln I passes zero, what is left of it is what one unit in the last place of v and x makes.
    let conditioning = f64::EPSILON * (v * (v / x).asinh() + v.hypot(x));
    let apart = |f: fn(f64, f64) -> f64| mixed(f(from.0, from.1), f(v, x));
    let (before, after) = (Ratio::new(from.0, from.1), Ratio::new(v, x));
    [
        apart(ln_hyp0f1),
        apart(ln_hyp0f1_scaled),
        apart(ln_bessel_i) - conditioning,
        apart(ln_bessel_i_scaled) - conditioning,
        relative(before.value, after.value),
        relative(before.complement, after.complement),
        relative(before.derivative, after.derivative),
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

#[test]
fn is_continuous_across_the_borders_of_its_regimes() {
    const POINTS: usize = 100_000;
    let worst = |border: String, jump_at: &dyn Fn(f64) -> f64| {
        let jumps = (0..POINTS).map(|i| jump_at(i as f64 / (POINTS - 1) as f64));
        let worst = jumps.fold(0.0, f64::max);
        println!("{border:<20} {worst:.1e}");
        worst
    };
    let along_x =
        |v: f64, x: f64| jump((v, x * (1.0 - f64::EPSILON)), (v, x * (1.0 + f64::EPSILON)));
    let mut jumps = vec![
        worst("x^2 = 4 (v + 1)".to_owned(), &|share| {
            let v = 16384_f64.powf(share) - 1.0;
            along_x(v, 2.0 * (v + 1.0).sqrt())
        }),
        worst("x = max(40, v^2)".to_owned(), &|share| {
            let v = 24.0 * share;
            along_x(v, 40_f64.max(v * v))
        }),
    ];
    // Where the order is raised by one step less, and where the expansion has fewer terms.
    for v in (1..=24).chain([70, 200, 1000]).map(f64::from) {
        jumps.push(worst(format!("v = {v}"), &|share| {
            let x = 10_f64.powf(15.0 * share - 3.0);
            jump((v.next_down(), x), (v, x))
        }));
    }
    assert!(jumps.iter().all(|jump| *jump <= TOLERANCE), "{jumps:?}");
}

/// What `scipy.special.ive` underflows on, which makes `scipy.stats.vonmises_fisher.logpdf` infinite and `entropy` NaN.
#[test]
fn has_a_density_where_scipy_has_none() {
    for (d, kappa) in [
        (512, 12.5),
        (768, 20.0),
        (768, 50.0),
        (1024, 100.0),
        (1536, 300.0),
        (768, 1e10),
    ] {
        let vmf = around(0, d, kappa);
        let reference = references()
            .into_iter()
            .find(|row| (row.d, row.kappa) == (d, kappa))
            .unwrap();
        let at_the_mean = -reference.values["l_minus_kappa"] - ln_sphere_area(d);
        assert!(mixed(vmf.ln_pdf(vmf.mean()), at_the_mean) < TOLERANCE);
        assert!(mixed(vmf.entropy(), reference.values["entropy"]) < TOLERANCE);
    }
}

/// `scipy.stats.vonmises_fisher.fit` says 1e-8 from 67 dimensions on; sklears stops at 100.
#[test]
fn fits_a_concentration_where_scipy_and_sklears_do_not() {
    for d in [66, 67, 768] {
        // Two unit vectors of which the mean has length r.
        let r = 0.8_f64;
        let mut rows = Array2::zeros((2, d));
        rows.column_mut(0).fill(r);
        rows.column_mut(1)
            .assign(&array![(1.0 - r * r).sqrt(), -(1.0 - r * r).sqrt()]);
        let fitted = VonMisesFisher::fit(rows.view(), None).unwrap();
        assert!((fitted.mean_resultant_length() - r).abs() < 1e-15);
        assert!(fitted.concentration() > 100.0, "{}", fitted.concentration());
    }
}

/// movMF's normaliser jumps by 0.04 nats where its logarithm passes 1399, which breaks the rise of EM.
#[test]
fn does_not_jump_where_movmf_does() {
    for d in [256, 768, 2048] {
        for kappa in (2600..3600).map(|x| f64::from(x) / 2.0) {
            let rise = ln_normaliser(d, kappa + 0.25) - ln_normaliser(d, kappa - 0.25);
            let middle = mean_resultant(d, kappa);
            assert!(
                (rise - 0.5 * middle.value).abs() < 1e-6,
                "d = {d}, kappa = {kappa}"
            );
        }
    }
}

/// spherecluster is off by 0.22 nats, rustcluster by 6.05 at this point.
#[test]
fn is_right_where_spherecluster_and_rustcluster_are_off() {
    let reference = references()
        .into_iter()
        .find(|row| (row.d, row.kappa) == (768, 500.0))
        .unwrap();
    let ln_c = -ln_normaliser(768, 500.0) - ln_sphere_area(768);
    assert!(relative(ln_c, reference.values["ln_c"]) < TOLERANCE);
}

#[test]
fn has_the_special_cases_of_the_circle_and_the_sphere() {
    for kappa in [1e-9_f64, 0.3, 2.0, 40.0, 700.0] {
        // Fisher's normaliser kappa / (4 pi sinh kappa) in three dimensions, von Mises' 1 / (2 pi I_0) in two.
        let sinh = kappa + (-(-2.0 * kappa).exp_m1()).ln() - 2.0_f64.ln();
        let fisher = kappa.ln() - (4.0 * std::f64::consts::PI).ln() - sinh;
        let vmf = around(2, 3, kappa);
        assert!(
            mixed(vmf.ln_pdf(vmf.mean()), fisher + kappa) < 1e-14 * kappa.max(20.0),
            "{kappa}"
        );
        let von_mises = around(0, 2, kappa).radial().ln_pdf(0.5);
        // Two angles have the same cosine; dt = sin theta d theta.
        let expected = 2.0_f64.ln() + kappa * 0.5
            - ln_bessel_i(0.0, kappa)
            - (2.0 * std::f64::consts::PI).ln()
            - 0.75_f64.sqrt().ln();
        assert!(
            mixed(von_mises, expected) < 1e-12,
            "{kappa}: {von_mises} {expected}"
        );
        // Langevin's function.
        if kappa > 0.1 {
            assert!(
                relative(ratio(0.5, kappa), 1.0 / kappa.tanh() - 1.0 / kappa)
                    < 1e-14 / kappa.min(1.0)
            );
        }
    }
}

#[test]
fn survives_json_and_refuses_what_is_no_distribution() {
    let vmf = VonMisesFisher::new(array![0.1, 0.7, -0.3], 12.5).unwrap();
    let text = serde_json::to_string(&vmf).unwrap();
    assert_eq!(serde_json::from_str::<VonMisesFisher>(&text).unwrap(), vmf);
    let error =
        serde_json::from_str::<VonMisesFisher>(r#"{"mean_direction":[1,0],"concentration":-1}"#);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("the concentration is -1")
    );
}

#[test]
fn the_published_approximations_are_as_good_as_their_papers_say() {
    use vmfmix::vmf::approximations::{banerjee_2005, song_2012, sra_2012, tanabe_2007};
    type Approximation = (&'static str, fn(usize, f64) -> f64);
    let approximations: [Approximation; 4] = [
        ("Banerjee 2005", banerjee_2005),
        ("Tanabe 2007", tanabe_2007),
        ("Sra 2012", sra_2012),
        ("Song 2012", song_2012),
    ];
    for (d, bounds) in [
        (3, [5e-2, 6e-2, 1e-4, 1e-9]),
        (768, [3e-4, 3e-4, 1e-10, 1e-12]),
    ] {
        for ((name, approximation), bound) in approximations.into_iter().zip(bounds) {
            let lengths = (1..1000).map(|i| f64::from(i) / 1000.0);
            let worst = lengths
                .map(|r| relative(approximation(d, r), solve(d, r)))
                .fold(0.0, f64::max);
            println!("{name} at d = {d}: {worst:.1e}");
            assert!(worst < bound, "{name} at d = {d}: {worst}");
        }
    }
}

#[test]
fn the_cosine_has_the_distributions_known_in_closed_form() {
    // Uniform directions: (1 + t) / 2 is beta distributed.
    for d in [2, 3, 10, 768] {
        let shape = (d as f64 - 1.0) / 2.0;
        let beta = Beta::new(shape, shape).unwrap();
        let radial = around(0, d, 0.0).radial();
        for t in [-0.9, -0.1, 0.0, 0.02, 0.5] {
            assert!(
                (radial.cdf(t) - beta.cdf((1.0 + t) / 2.0)).abs() < 1e-11,
                "d = {d}, t = {t}"
            );
        }
    }
    // On the sphere: sf(t) = (e^kappa - e^(kappa t)) / (e^kappa - e^-kappa).
    for kappa in [0.01_f64, 1.0, 30.0, 1e4, 1e8] {
        let radial = around(0, 3, kappa).radial();
        for p in [1e-12, 0.01, 0.5, 0.99] {
            let angle = radial.angle(p);
            let closed =
                (-2.0 * kappa * (angle / 2.0).sin().powi(2)).exp_m1() / (-2.0 * kappa).exp_m1();
            assert!(
                relative(closed, p) < 1e-12,
                "kappa = {kappa}, p = {p}: {closed}"
            );
        }
    }
}

#[test]
fn quantiles_invert_the_distribution_in_both_tails() {
    for (d, kappa) in [
        (2, 0.5),
        (2, 1e6),
        (5, 3.0),
        (64, 1e3),
        (768, 20.0),
        (768, 1e5),
        (32768, 1e4),
    ] {
        let radial = around(0, d, kappa).radial();
        for p in [1e-9, 1e-3, 0.3, 0.5, 0.9, 1.0 - 1e-6] {
            assert!(
                relative(radial.angle_cdf(radial.angle(p)), p) < 1e-10,
                "d = {d}, kappa = {kappa}, p = {p}"
            );
        }
        assert_eq!((radial.cdf(-1.0), radial.cdf(1.0)), (0.0, 1.0));
    }
}

#[test]
fn a_confidence_interval_holds_the_concentration_as_often_as_it_says() {
    const SAMPLES: usize = 2000;
    let (d, kappa, n) = (64, 50.0, 40);
    let vmf = around(0, d, kappa);
    let mut rng = Xoshiro256Plus::seed_from_u64(5);
    let inside = (0..SAMPLES).filter(|_| {
        let fitted = VonMisesFisher::fit(vmf.sample::<f64>(n, &mut rng).view(), None).unwrap();
        let (low, high) = confidence_interval(d, fitted.mean_resultant_length(), n as f64, 0.9);
        low <= kappa && kappa <= high
    });
    let coverage = inside.count() as f64 / SAMPLES as f64;
    println!("coverage of the 90 % interval: {coverage}");
    assert!((coverage - 0.9).abs() < 0.025, "{coverage}");
}

proptest! {
    #[test]
    fn densities_turn_with_the_sphere(seed in 0_u64..1000, d in 2_usize..40, kappa in 0.0..1e3) {
        let draw = |seed| around(0, d, 0.0).sample::<f64>(3, &mut Xoshiro256Plus::seed_from_u64(seed));
        let points = draw(seed);
        // A reflection turns both the mean and the point.
        let mirror = points.row(2);
        let turn = |x: ArrayView1<'_, f64>| &x - &(&mirror * (2.0 * mirror.dot(&x)));
        let density = |mean: Array1<f64>, x: Array1<f64>| {
            VonMisesFisher::new(mean, kappa).unwrap().ln_pdf(x.view())
        };
        let before = density(points.row(0).to_owned(), points.row(1).to_owned());
        let after = density(turn(points.row(0)), turn(points.row(1)));
        prop_assert!((before - after).abs() < 1e-13 * kappa.max(100.0));
    }
}
