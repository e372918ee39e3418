//! The estimator, as its users call it.

use linfa::traits::{Fit, Predict};
use linfa::{DatasetBase, ParamGuard};
use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use serde_json::Value;
use vmfmix::mixture::metrics::{
    adjusted_rand_index, cosine_silhouette, normalized_mutual_information,
};
use vmfmix::mixture::{InitMethod, MixtureError, VonMisesFisherMixture, Warning};
use vmfmix::vmf::VonMisesFisher;
use vmfmix::vmf::concentration::{mean_resultant_length, standard_error};

/// Points of vMF distributions with random means, and which each came from.
pub fn synthetic(
    d: usize,
    kappas: &[f64],
    sizes: &[usize],
    seed: u64,
) -> (Array2<f32>, Vec<usize>, Array2<f64>) {
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let uniform = VonMisesFisher::new(Array1::ones(d), 0.0).unwrap();
    let means = uniform.sample::<f64>(kappas.len(), &mut rng);
    let blocks: Vec<Array2<f32>> = kappas
        .iter()
        .zip(sizes)
        .zip(means.rows())
        .map(|((&kappa, &n), mean)| {
            VonMisesFisher::new(mean.to_owned(), kappa)
                .unwrap()
                .sample(n, &mut rng)
        })
        .collect();
    let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
    let labels = sizes
        .iter()
        .enumerate()
        .flat_map(|(k, &n)| vec![k; n])
        .collect();
    (concatenate(Axis(0), &views).unwrap(), labels, means)
}

fn fit(k: usize, x: &Array2<f32>) -> VonMisesFisherMixture {
    VonMisesFisherMixture::params(k)
        .check()
        .unwrap()
        .fit(&DatasetBase::from(x.clone()))
        .unwrap()
}

#[test]
fn recovers_three_components_in_512_dimensions_within_three_standard_errors() {
    let (d, kappas, sizes) = (512, [100.0, 300.0, 500.0], [300, 350, 350]);
    for seed in 0..5 {
        let (x, labels, means) = synthetic(d, &kappas, &sizes, seed);
        let model = fit(3, &x);
        assert!(model.convergence().converged);
        let predicted = model.predict(&x).to_vec();
        assert!(
            normalized_mutual_information(&predicted, &labels) > 1.0 - 1e-12,
            "seed {seed}"
        );
        let corrected = model.bias_corrected_concentrations();
        let errors = model.concentration_standard_errors();
        for truth in 0..3 {
            let n = sizes[truth] as f64;
            let cosines = model.mean_directions().dot(&means.row(truth));
            let (found, &cos) = cosines
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap();
            let deviation = (corrected[found] - kappas[truth]) / errors[found];
            assert!(
                deviation.abs() < 3.0,
                "seed {seed}: kappa {} off by {deviation} SE",
                kappas[truth]
            );
            let weight_error = (n / 1000.0 * (1.0 - n / 1000.0) / 1000.0).sqrt();
            assert!((model.weights()[found] - n / 1000.0).abs() < 3.0 * weight_error);
            // tan^2 of the angle between true and estimated mean is (1 - A^2) / (n A^2), as a scaled chi-square
            // with d - 1 degrees of freedom.
            let a = mean_resultant_length(d, kappas[truth]);
            let tan2 = (1.0 - cos * cos) / (cos * cos);
            let expected = (1.0 - a * a) / (n * a * a);
            let relative = (tan2 / expected - 1.0) / (2.0 / (d as f64 - 1.0)).sqrt();
            assert!(
                relative.abs() < 3.5,
                "seed {seed}: direction off by {relative} SE"
            );
        }
    }
}

/// Two overlapping components fitted again and again: how the estimates of a concentration really scatter.
#[test]
fn the_effective_size_of_an_overlapping_component_is_its_sum_of_squared_responsibilities() {
    const FITS: usize = 1000;
    let (d, kappa, n, angle) = (16, 20.0, 200, std::f64::consts::FRAC_PI_4);
    let mean = |angle: f64| {
        Array1::from_shape_fn(d, |i| {
            [angle.cos(), angle.sin()].get(i).copied().unwrap_or(0.0)
        })
    };
    let sides = [0.0, angle].map(|angle| VonMisesFisher::new(mean(angle), kappa).unwrap());
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let mut corrected = Vec::with_capacity(FITS);
    let (mut predicted, mut predicted_by_kish) = (0.0, 0.0);
    for _ in 0..FITS {
        let parts = sides.each_ref().map(|side| side.sample::<f64>(n, &mut rng));
        let rows = concatenate(Axis(0), &[parts[0].view(), parts[1].view()]).unwrap();
        let model: VonMisesFisherMixture = VonMisesFisherMixture::params(2)
            .n_runs(1)
            .tolerance(1e-9)
            .max_n_iterations(2000)
            .fit(&DatasetBase::from(rows))
            .unwrap();
        let cosines = model.mean_directions().dot(&mean(0.0));
        let first = usize::from(cosines[1] > cosines[0]);
        corrected.push(model.bias_corrected_concentrations()[first]);
        predicted += model.concentration_standard_errors()[first] / FITS as f64;
        let mass = model.weights()[first] * 2.0 * n as f64;
        let kish = mass * mass / model.effective_sizes()[first];
        predicted_by_kish += standard_error(d, corrected[corrected.len() - 1], kish) / FITS as f64;
    }
    let average = corrected.iter().sum::<f64>() / FITS as f64;
    let variance = corrected.iter().map(|x| (x - average).powi(2)).sum::<f64>() / (FITS - 1) as f64;
    let spread = variance.sqrt();
    println!(
        "kappa {average:.2}, spread {spread:.3}, predicted {predicted:.3}, by Kish's size {predicted_by_kish:.3}"
    );
    assert!((average / kappa - 1.0).abs() < 0.01);
    let short = |predicted: f64| 1.0 - predicted / spread;
    assert!(short(predicted).abs() < 0.15);
    assert!(short(predicted_by_kish) > 1.5 * short(predicted));
}

#[test]
fn the_likelihood_never_decreases() {
    let mut rng = Xoshiro256Plus::seed_from_u64(7);
    for problem in 0..200 {
        let (d, k) = (rng.gen_range(2..40), rng.gen_range(1..6));
        let kappas: Vec<f64> = (0..k).map(|_| rng.gen_range(1.0..60.0)).collect();
        let (x, ..) = synthetic(d, &kappas, &vec![60; k], problem);
        let params = VonMisesFisherMixture::params(k + 1)
            .n_runs(1)
            .tolerance(0.0)
            .max_n_iterations(40);
        let model = params
            .check()
            .unwrap()
            .fit(&DatasetBase::from(x.mapv(f64::from)))
            .unwrap();
        let trace = &model.convergence().log_likelihoods;
        assert_eq!(trace.len(), model.convergence().n_iterations);
        let restarted = model
            .convergence()
            .warnings
            .iter()
            .any(|w| matches!(w, Warning::Reseeded { .. }));
        assert!(
            restarted || trace.windows(2).all(|w| w[1] >= w[0] - 1e-12 * w[0].abs()),
            "{problem}: {trace:?}"
        );
    }
}

#[test]
fn one_and_two_and_four_threads_give_identical_models() {
    let (x, ..) = synthetic(32, &[20.0, 40.0], &[3000, 2500], 1);
    let model = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        serde_json::to_string(&pool.install(|| fit(3, &x))).unwrap()
    };
    assert_eq!(model(1), model(2));
    assert_eq!(model(1), model(4));
}

#[test]
fn records_in_f32_and_f64_and_any_layout_agree() {
    let (x, ..) = synthetic(64, &[80.0, 200.0], &[200, 300], 2);
    let single = fit(2, &x);
    let double = x.mapv(f64::from);
    let column_major = Array2::from_shape_vec(
        ndarray::ShapeBuilder::f(double.raw_dim()),
        double.t().iter().copied().collect(),
    )
    .unwrap();
    let params = VonMisesFisherMixture::params(2).check().unwrap();
    let f64_model = params.fit(&DatasetBase::from(double)).unwrap();
    let fortran = params.fit(&DatasetBase::from(column_major)).unwrap();
    assert!((single.log_likelihood() - f64_model.log_likelihood()).abs() < 1e-5);
    assert!((fortran.log_likelihood() - f64_model.log_likelihood()).abs() < 1e-9);
}

#[test]
fn rows_of_any_length_are_directions() {
    let (x, ..) = synthetic(16, &[30.0, 60.0], &[100, 100], 3);
    let mut scaled = x.clone();
    for (i, mut row) in scaled.rows_mut().into_iter().enumerate() {
        row *= [1.0, 1e-30, 1e30, 3.0][i % 4];
    }
    let (plain, odd) = (fit(2, &x), fit(2, &scaled));
    assert!((plain.log_likelihood() - odd.log_likelihood()).abs() < 1e-5);
}

#[test]
fn refuses_what_has_no_answer() {
    let x = array![[1.0, 0.0], [0.0, 1.0]];
    let fit = |k, x: Array2<f64>| {
        VonMisesFisherMixture::params(k)
            .check()?
            .fit(&DatasetBase::from(x))
    };
    let message =
        |result: Result<VonMisesFisherMixture, MixtureError>| result.unwrap_err().to_string();
    assert!(message(fit(0, x.clone())).starts_with("the number of components is 0"));
    assert!(message(fit(3, x.clone())).starts_with("3 components cannot be fitted to 2 points"));
    assert!(message(fit(1, array![[1.0, 0.0], [0.0, 0.0]])).starts_with("row 1 has no direction"));
    assert!(
        message(fit(1, array![[f64::NAN, 0.0], [0.0, 1.0]])).starts_with("row 0 has no direction")
    );
    assert!(message(fit(1, array![[1.0], [2.0]])).starts_with("the points have dimension 1"));
    let model = fit(1, x).unwrap();
    let other = model
        .predict_proba(array![[1.0, 0.0, 0.0]].view())
        .unwrap_err()
        .to_string();
    assert!(other.starts_with("the points have dimension 3 but the model has 2"));
}

#[test]
fn degenerate_points_give_a_sane_model() {
    let cases = [
        array![[1.0, 0.0, 0.0]],
        Array2::from_elem((20, 3), 0.5),
        array![[1.0, 0.0], [-1.0, 0.0]],
        concatenate![Axis(0), Array2::from_elem((9, 2), 1.0), array![[-1.0, 0.3]]],
    ];
    for x in cases {
        for k in 1..=x.nrows().min(3) {
            let params = VonMisesFisherMixture::params(k).check().unwrap();
            let model = params.fit(&DatasetBase::from(x.clone())).unwrap();
            let numbers = model
                .weights()
                .iter()
                .chain(model.mean_directions())
                .chain(model.concentrations());
            assert!(numbers.copied().all(f64::is_finite), "k = {k}: {model:?}");
            let proba = model.predict_proba(x.view()).unwrap();
            assert!(
                proba
                    .rows()
                    .into_iter()
                    .all(|row| (row.sum() - 1.0).abs() < 1e-12)
            );
        }
    }
    let duplicates = Array2::from_elem((20, 3), 0.5);
    let model = VonMisesFisherMixture::params(1)
        .check()
        .unwrap()
        .fit(&DatasetBase::from(duplicates))
        .unwrap();
    assert!(matches!(
        model.convergence().warnings[..],
        [Warning::ConcentrationCapped { component: 0, .. }]
    ));
}

#[test]
fn a_weight_of_two_is_a_row_twice() {
    let (x, ..) = synthetic(8, &[10.0], &[50], 4);
    let weights = Array1::from_shape_fn(50, |i| if i < 20 { 2.0 } else { 1.0 });
    let twice = concatenate![Axis(0), x, x.slice(s![..20, ..])];
    let params = VonMisesFisherMixture::params(1).check().unwrap();
    let weighted = params
        .fit(&DatasetBase::from(x.mapv(f64::from)).with_weights(weights))
        .unwrap();
    let doubled = params
        .fit(&DatasetBase::from(twice.mapv(f64::from)))
        .unwrap();
    assert!((weighted.concentrations()[0] / doubled.concentrations()[0] - 1.0).abs() < 1e-12);
    assert!((weighted.effective_sizes()[0] - 70.0).abs() < 1e-9);
}

#[test]
fn a_saved_model_reads_back_as_it_was() {
    let (x, ..) = synthetic(8, &[10.0, 30.0], &[50, 50], 5);
    let model = fit(2, &x);
    let json = serde_json::to_string(&model).unwrap();
    assert_eq!(
        serde_json::from_str::<VonMisesFisherMixture>(&json).unwrap(),
        model
    );
    let broken = json.replacen("\"n_components\":2", "\"n_components\":3", 1);
    let error = serde_json::from_str::<VonMisesFisherMixture>(&broken)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`weights` has 2 entries where 3 are needed"),
        "{error}"
    );
}

#[test]
fn metrics_agree_with_scikit_learn() {
    // scikit-learn 1.9.1: normalized_mutual_info_score, adjusted_rand_score, silhouette_score(metric="cosine").
    let (a, b) = ([0, 0, 1, 1, 2, 2, 2], [1, 1, 0, 0, 0, 2, 2]);
    assert!((normalized_mutual_information(&a, &b) - 0.7471790950662619).abs() < 1e-12);
    assert!((adjusted_rand_index(&a, &b) - 0.475).abs() < 1e-12);
    let x = array![[1.0, 0.0], [0.9, 0.1], [0.0, 2.0], [0.1, 1.0], [-1.0, 0.2]];
    assert!(
        (cosine_silhouette(x.view(), &[0, 0, 1, 1, 2])
            .unwrap()
            .unwrap()
            - 0.7948489871109391)
            .abs()
            < 1e-12
    );
    assert_eq!(cosine_silhouette(x.view(), &[0; 5]).unwrap(), None);
}

#[test]
fn a_collapsed_fit_is_the_likeliest_single_distribution() {
    let (points, ..) = synthetic(16, &[40.0, 60.0, 80.0], &[300, 200, 100], 5);
    let points = points.mapv(f64::from);
    let dataset = DatasetBase::from(points.clone());
    let mixture = VonMisesFisherMixture::params(3).fit(&dataset).unwrap();
    let one = VonMisesFisherMixture::params(1).fit(&dataset).unwrap();
    let collapsed = mixture.collapse();
    assert_eq!(collapsed.n_components(), 1);
    let score = |model: &VonMisesFisherMixture| model.score(points.view()).unwrap();
    assert!((score(&collapsed) - score(&one)).abs() < 1e-12);
}

/// One EM step under sample weights from 1e-12 to 1e12, against mpmath (`tests/torture/weighted.py`).
#[test]
fn sample_weights_of_any_size_give_the_step_of_fifty_digits() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/weights.json");
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let numbers = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
    let matrix = |value: &Value| {
        let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    };
    let rows = matrix(&fixture["rows"]).mapv(|x| x as f32);
    let start: VonMisesFisherMixture = serde_json::from_value(fixture["start"].clone()).unwrap();
    let near = |got: f64, expected: f64| (got - expected).abs() < 1e-8 * expected.abs().max(1.0);
    for case in fixture["cases"].as_array().unwrap() {
        let weights: Array1<f32> = numbers(&case["weights"])
            .into_iter()
            .map(|w| w as f32)
            .collect();
        let data = DatasetBase::from(rows.view()).with_weights(weights);
        let model = VonMisesFisherMixture::params(start.n_components())
            .init_method(InitMethod::Model(Box::new(start.clone())))
            .n_runs(1)
            .max_n_iterations(1)
            .fit(&data)
            .unwrap();
        let name = &case["name"];
        assert!(
            near(
                model.log_likelihood(),
                case["log_likelihood_after"].as_f64().unwrap()
            ),
            "{name}"
        );
        let after = &case["after"];
        let pairs = [
            (model.weights().to_vec(), numbers(&after["weights"])),
            (
                model.concentrations().to_vec(),
                numbers(&after["concentrations"]),
            ),
            (
                model.mean_directions().iter().copied().collect(),
                matrix(&after["mean_directions"])
                    .into_raw_vec_and_offset()
                    .0,
            ),
        ];
        for (got, expected) in pairs {
            assert!(
                got.iter().zip(&expected).all(|(&a, &b)| near(a, b)),
                "{name}: {got:?} {expected:?}"
            );
        }
    }
}
