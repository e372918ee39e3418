//! Every setting changes what it should.

use linfa::traits::{Fit, FitWith};
use linfa::{DatasetBase, ParamGuard};
use ndarray::{Array1, Array2, ArrayView2, Axis, array, concatenate, s};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::mixture::metrics::{adjusted_rand_index, normalized_mutual_information};
use vmfmix::mixture::{
    Annealing, Assignment, Concentration, Criterion, EmptyComponent, InMemory, InitMethod,
    MixtureError, Observations, Scorer, VonMisesFisherMixture, VonMisesFisherMixtureParams,
    Warning,
};
use vmfmix::vmf::VonMisesFisher;
use vmfmix::vmf::concentration::{Prior, mean_resultant_length};

use super::mixture::synthetic;

type Params = VonMisesFisherMixtureParams<Xoshiro256Plus>;

fn fit(params: Params, x: &Array2<f32>) -> VonMisesFisherMixture {
    try_fit(params, x).unwrap()
}

fn try_fit(params: Params, x: &Array2<f32>) -> Result<VonMisesFisherMixture, MixtureError> {
    params.check()?.fit(&DatasetBase::from(x.clone()))
}

fn refusal(params: Params, x: &Array2<f32>) -> String {
    try_fit(params, x).unwrap_err().to_string()
}

fn problem() -> (Array2<f32>, Vec<usize>, Array2<f64>) {
    synthetic(24, &[30.0, 60.0, 90.0], &[300, 200, 100], 11)
}

#[test]
fn every_start_finds_components_that_are_apart() {
    let (x, labels, means) = problem();
    let fitted = fit(VonMisesFisherMixture::params(3), &x);
    for start in [
        InitMethod::SphericalKMeans,
        InitMethod::KMeansPlusPlus,
        InitMethod::RandomRows,
        InitMethod::RandomResponsibilities,
        InitMethod::Means(&means * 7.0),
        InitMethod::Labels(labels.clone()),
        InitMethod::Model(Box::new(fitted)),
    ] {
        let model = fit(
            VonMisesFisherMixture::params(3)
                .n_runs(6)
                .init_method(start.clone()),
            &x,
        );
        let found = model.assign(x.view()).unwrap().to_vec();
        assert!(
            normalized_mutual_information(&found, &labels) > 0.98,
            "{start:?}"
        );
    }
}

#[test]
fn given_starts_set_the_order_and_are_checked() {
    let (x, labels, means) = problem();
    let params = || VonMisesFisherMixture::params(3).n_runs(1);
    for start in [
        InitMethod::Means(means.clone()),
        InitMethod::Labels(labels.clone()),
    ] {
        let model = fit(params().init_method(start), &x);
        let cosines = (model.mean_directions() * &means).sum_axis(Axis(1));
        assert!(cosines.iter().all(|cosine| *cosine > 0.95), "{cosines}");
    }
    let refused = |start| refusal(params().init_method(start), &x);
    assert!(
        refused(InitMethod::Means(means.slice(s![..2, ..]).to_owned()))
            .starts_with("2 rows of the given means where 3")
    );
    assert!(
        refused(InitMethod::Means(array![[1.0], [1.0], [1.0]]))
            .starts_with("1 columns of the given means where 24")
    );
    assert!(refused(InitMethod::Means(means * 0.0)).starts_with("row 0 has no direction"));
    assert!(refused(InitMethod::Labels(vec![0; 5])).starts_with("5 given labels where 600"));
    assert!(
        refused(InitMethod::Labels(vec![3; 600]))
            .starts_with("4 components, as a label tells, where 3")
    );
}

#[test]
fn a_warm_start_begins_where_the_model_ended() {
    let (x, ..) = problem();
    let first = fit(
        VonMisesFisherMixture::params(3)
            .tolerance(0.0)
            .max_n_iterations(5)
            .n_runs(1),
        &x,
    );
    let start = InitMethod::Model(Box::new(first.clone()));
    let next = fit(
        VonMisesFisherMixture::params(3)
            .n_runs(1)
            .max_n_iterations(1)
            .init_method(start),
        &x,
    );
    assert!(next.log_likelihood() >= first.log_likelihood() - 1e-6);
    assert_eq!(next.convergence().n_iterations, 1);
    let start = InitMethod::Model(Box::new(first.clone()));
    let with_noise = VonMisesFisherMixture::params(3)
        .noise_component(true)
        .init_method(start.clone());
    assert!(
        refusal(with_noise.clone(), &x)
            .starts_with("0 noise components of the given model where 1")
    );
    assert!(
        refusal(VonMisesFisherMixture::params(4).init_method(start), &x)
            .starts_with("3 components of the given model where 4")
    );
    let batch = DatasetBase::from(x);
    assert!(
        with_noise
            .check()
            .unwrap()
            .fit_with(Some(first), &batch)
            .is_err()
    );
}

#[test]
fn concentrations_are_free_tied_or_fixed() {
    let (x, ..) = problem();
    let with = |concentration| {
        fit(
            VonMisesFisherMixture::params(3).concentration(concentration),
            &x,
        )
    };
    let (free, tied, fixed) = (
        with(Concentration::Free),
        with(Concentration::Tied),
        with(Concentration::Fixed(25.0)),
    );
    let spread = |model: &VonMisesFisherMixture| {
        let kappas = model.concentrations();
        kappas.fold(0.0_f64, |a, &b| a.max(b)) - kappas.fold(f64::INFINITY, |a, &b| a.min(b))
    };
    assert!(spread(&free) > 20.0);
    assert_eq!(spread(&tied), 0.0);
    assert!(tied.concentrations()[0] > 30.0 && tied.concentrations()[0] < 90.0);
    assert_eq!(fixed.concentrations(), &array![25.0, 25.0, 25.0]);
    assert_eq!(
        [&free, &tied, &fixed].map(VonMisesFisherMixture::n_parameters),
        [2 + 3 * 23 + 3, 2 + 3 * 23 + 1, 2 + 3 * 23]
    );
    assert!(
        free.log_likelihood() > tied.log_likelihood()
            && tied.log_likelihood() > fixed.log_likelihood()
    );
    assert!(
        refusal(
            VonMisesFisherMixture::params(3).concentration(Concentration::Fixed(-1.0)),
            &x
        )
        .starts_with("the setting `concentration` is -1")
    );
}

#[test]
fn hard_and_stochastic_assignments_are_each_whole() {
    // Components that overlap: sharing points out or not makes a difference.
    let (x, ..) = synthetic(8, &[5.0, 5.0, 5.0], &[300, 300, 300], 3);
    let with = |assignment| {
        fit(
            VonMisesFisherMixture::params(3)
                .assignment(assignment)
                .n_runs(2),
            &x,
        )
    };
    let (soft, hard, stochastic) = (
        with(Assignment::Soft),
        with(Assignment::Hard),
        with(Assignment::Stochastic),
    );
    // Whole points: masses are counts.
    for model in [&hard, &stochastic] {
        let counts = model.effective_sizes();
        assert!(counts.iter().all(|n| n.fract() == 0.0), "{counts}");
    }
    assert!(soft.effective_sizes().iter().any(|n| n.fract() != 0.0));
    // Hard assignments make components tighter than they are.
    assert!(hard.concentrations().sum() > soft.concentrations().sum());
    assert_ne!(stochastic.concentrations(), hard.concentrations());
    // The draws do not depend on threads or blocks.
    let again = fit(
        VonMisesFisherMixture::params(3)
            .assignment(Assignment::Stochastic)
            .n_runs(2)
            .n_threads(Some(1)),
        &x,
    );
    assert_eq!(again, stochastic);
}

#[test]
fn annealing_delays_the_end_of_a_run() {
    let (x, labels, _) = problem();
    let annealing = Annealing {
        start: 0.05,
        n_iterations: 25,
    };
    let model = fit(
        VonMisesFisherMixture::params(3)
            .annealing(Some(annealing))
            .n_runs(1)
            .init_method(InitMethod::RandomRows),
        &x,
    );
    assert!(model.convergence().converged && model.convergence().n_iterations >= 25);
    assert!(adjusted_rand_index(&model.assign(x.view()).unwrap().to_vec(), &labels) > 0.95);
    let wrong = Annealing {
        start: 0.0,
        ..annealing
    };
    assert!(
        refusal(VonMisesFisherMixture::params(3).annealing(Some(wrong)), &x)
            .starts_with("the setting `annealing start` is 0")
    );
}

#[test]
fn noise_takes_up_what_fits_nowhere() {
    let (x, ..) = synthetic(24, &[60.0, 90.0], &[300, 300], 5);
    let uniform = VonMisesFisher::new(Array1::ones(24), 0.0).unwrap();
    let noise: Array2<f32> = uniform.sample(200, &mut Xoshiro256Plus::seed_from_u64(2));
    let all = concatenate(Axis(0), &[x.view(), noise.view()]).unwrap();
    let model = fit(VonMisesFisherMixture::params(2).noise_component(true), &all);
    assert_eq!(
        (model.n_components(), model.noise_component()),
        (3, Some(2))
    );
    assert_eq!(model.concentrations()[2], 0.0);
    assert!(
        (model.weights()[2] - 0.25).abs() < 0.03,
        "{}",
        model.weights()
    );
    let labels = model.assign(all.view()).unwrap();
    assert!(
        labels
            .slice(s![600..])
            .iter()
            .filter(|label| **label == 2)
            .count()
            > 190
    );
    assert_eq!(model.outlier_scores(noise.view()).unwrap()[0], 1.0);
    assert_eq!(model.n_parameters(), 2 + 2 * 23 + 2);
    let json = serde_json::to_string(&model).unwrap();
    assert_eq!(
        serde_json::from_str::<VonMisesFisherMixture>(&json).unwrap(),
        model
    );
}

#[test]
fn a_prior_pulls_concentrations_and_tames_duplicates() {
    let (x, ..) = problem();
    let prior = |strength, mean_resultant_length| {
        Some(Prior {
            strength,
            mean_resultant_length,
        })
    };
    let with = |prior| fit(VonMisesFisherMixture::params(1).prior(prior), &x).concentrations()[0];
    assert_eq!(with(None), with(prior(0.0, 0.9)));
    assert!(with(prior(1e9, 0.5)) > with(None) && with(prior(1e9, 0.01)) < with(None));
    let duplicates = Array2::from_elem((20, 3), 0.5_f32);
    let model = fit(
        VonMisesFisherMixture::params(1).prior(prior(1.0, 0.0)),
        &duplicates,
    );
    // A(kappa) = 20 / 21
    assert!((mean_resultant_length(3, model.concentrations()[0]) - 20.0 / 21.0).abs() < 1e-6);
    assert!(model.convergence().warnings.is_empty());
}

#[test]
fn the_cap_on_concentrations_holds() {
    let (x, ..) = problem();
    let model = fit(VonMisesFisherMixture::params(3).max_concentration(40.0), &x);
    assert!(model.concentrations().iter().all(|kappa| *kappa <= 40.0));
    let capped = |warning: &Warning| matches!(warning, Warning::ConcentrationCapped { .. });
    assert!(model.convergence().warnings.iter().any(capped));
}

#[test]
fn empty_components_are_reseeded_dropped_or_an_error() {
    let (x, ..) = problem();
    // A component that begins with no points.
    let labels = (0..x.nrows()).map(|i| i % 2).collect();
    let params = || {
        VonMisesFisherMixture::params(3)
            .n_runs(1)
            .init_method(InitMethod::Labels(labels))
    };
    let params = params();
    let model = fit(params.clone(), &x);
    assert_eq!(model.n_components(), 3);
    assert!(matches!(
        model.convergence().warnings[0],
        Warning::Reseeded {
            component: 2,
            iteration: 0
        }
    ));
    let model = fit(params.clone().empty_component(EmptyComponent::Drop), &x);
    assert_eq!(model.n_components(), 2);
    assert!(matches!(
        model.convergence().warnings[0],
        Warning::Dropped {
            component: 2,
            iteration: 0
        }
    ));
    assert!(
        refusal(params.empty_component(EmptyComponent::Error), &x)
            .starts_with("component 2 is empty at iteration 0")
    );
}

#[test]
fn a_least_weight_thins_out_the_components() {
    let (x, ..) = problem();
    let params = VonMisesFisherMixture::params(8)
        .min_weight(0.1)
        .empty_component(EmptyComponent::Drop);
    let model = fit(params, &x);
    assert!(model.n_components() < 8);
    assert!(
        model.weights().iter().all(|weight| *weight > 0.09),
        "{}",
        model.weights()
    );
}

#[test]
fn block_size_changes_rounding_and_nothing_else() {
    let (x, ..) = problem();
    let with = |rows| fit(VonMisesFisherMixture::params(3).block_size(rows), &x);
    assert!((with(7).log_likelihood() - with(256).log_likelihood()).abs() < 1e-5);
    assert!(
        refusal(VonMisesFisherMixture::params(3).block_size(0), &x)
            .starts_with("the block size and the number of threads")
    );
}

#[test]
fn runs_iterations_and_tolerance_are_obeyed() {
    let (x, ..) = synthetic(8, &[4.0; 6], &[100; 6], 9);
    let with = |n_runs| fit(VonMisesFisherMixture::params(6).n_runs(n_runs), &x).log_likelihood();
    assert!(with(8) >= with(1));
    let short = fit(VonMisesFisherMixture::params(6).max_n_iterations(2), &x);
    assert_eq!(short.convergence().n_iterations, 2);
    assert!(matches!(
        short.convergence().warnings[..],
        [Warning::NotConverged {
            n_iterations: 2,
            ..
        }]
    ));
    let loose = fit(
        VonMisesFisherMixture::params(6).tolerance(0.1).n_runs(1),
        &x,
    );
    let tight = fit(
        VonMisesFisherMixture::params(6).tolerance(1e-8).n_runs(1),
        &x,
    );
    assert!(loose.convergence().n_iterations < tight.convergence().n_iterations);
}

#[test]
fn online_em_over_fifty_batches_comes_close_to_the_batch() {
    let (x, ..) = synthetic(64, &[100.0, 150.0, 200.0, 250.0, 300.0], &[4000; 5], 21);
    let batch = fit(VonMisesFisherMixture::params(5), &x);
    // Rows in a random order, as they would come in.
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    rand::seq::SliceRandom::shuffle(&mut order[..], &mut Xoshiro256Plus::seed_from_u64(4));
    let params = VonMisesFisherMixture::params(5).check().unwrap();
    let mut model = None;
    for rows in order.chunks(x.nrows() / 50) {
        model = Some(
            params
                .fit_with(model, &DatasetBase::from(x.select(Axis(0), rows)))
                .unwrap(),
        );
    }
    let model = model.unwrap();
    assert_eq!(model.convergence().n_batches, 49);
    let (online, whole) = (
        model.score(x.view()).unwrap(),
        batch.score(x.view()).unwrap(),
    );
    println!(
        "online {online}, batch {whole}: {:.3} % off",
        100.0 * (1.0 - online / whole)
    );
    assert!((online / whole - 1.0).abs() < 0.005);
}

#[test]
fn points_are_scored_drawn_and_described() {
    let (x, ..) = problem();
    let model = fit(VonMisesFisherMixture::params(3), &x);
    let (drawn, labels) = model.sample(3000, &mut Xoshiro256Plus::seed_from_u64(1));
    let share = labels.iter().filter(|label| **label == 0).count() as f64 / 3000.0;
    assert!((share - model.weights()[0]).abs() < 0.04);
    // Points of the model lie evenly within their components.
    let scores = model.outlier_scores(drawn.view()).unwrap();
    assert!(
        (scores.mean().unwrap() - 0.5).abs() < 0.03,
        "{}",
        scores.mean().unwrap()
    );
    // Away from all of them.
    let opposite = -model
        .mean_directions()
        .sum_axis(Axis(0))
        .insert_axis(Axis(0));
    assert!(model.outlier_scores(opposite.view()).unwrap()[0] > 0.999);
    let entropies = model.entropies(x.view()).unwrap();
    assert!(entropies.iter().all(|h| (0.0..=3.0_f64.ln()).contains(h)));
    let (bic, icl) = (model.bic(x.view()).unwrap(), model.icl(x.view()).unwrap());
    assert!((icl - bic - 2.0 * entropies.sum()).abs() < 1e-6);
}

#[test]
fn merging_undoes_a_split() {
    // Two of the four components are halves of one.
    let (x, ..) = problem();
    let model = fit(VonMisesFisherMixture::params(3), &x);
    let mut json = serde_json::to_value(&model).unwrap();
    let weights: Vec<f64> = serde_json::from_value(json["weights"].clone()).unwrap();
    json["n_components"] = 4.into();
    json["weights"] =
        serde_json::json!([weights[0] / 2.0, weights[1], weights[2], weights[0] / 2.0]);
    for list in ["mean_directions", "concentrations", "effective_sizes"] {
        let first = json[list][0].clone();
        json[list].as_array_mut().unwrap().push(first);
    }
    let split: VonMisesFisherMixture = serde_json::from_value(json).unwrap();
    let hierarchy = split.hierarchy();
    assert_eq!(hierarchy.len(), 3);
    assert_eq!((hierarchy[0].left, hierarchy[0].right), (0, 3));
    assert!(hierarchy[0].cost.abs() < 1e-12 && hierarchy[1].cost > 0.1);
    assert!((hierarchy[2].weight - 1.0).abs() < 1e-12);
    for merged in [split.reduce(3), split.merge(0, 3)] {
        assert!(
            (merged.weights() - model.weights())
                .iter()
                .all(|x| x.abs() < 1e-12)
        );
        assert!((merged.concentrations()[0] / model.concentrations()[0] - 1.0).abs() < 1e-9);
        assert!((merged.score(x.view()).unwrap() - model.score(x.view()).unwrap()).abs() < 1e-6);
    }
    // What is lost bounds how much the likelihood falls, up to the fit being one of these points.
    let reduced = model.reduce(2);
    assert_eq!(reduced.n_components(), 2);
    assert!(reduced.score(x.view()).unwrap() < model.score(x.view()).unwrap());
}

#[test]
fn a_selection_finds_the_number_of_components() {
    let (x, ..) = problem();
    let (train, test): (Vec<_>, Vec<_>) = (0..x.nrows()).partition(|i| i % 5 != 0);
    let (train, test) = (x.select(Axis(0), &train), x.select(Axis(0), &test));
    let params = VonMisesFisherMixture::params(1).n_runs(2);
    for criterion in [
        Criterion::Bic,
        Criterion::Aic,
        Criterion::Icl,
        Criterion::HeldOut,
        Criterion::Silhouette,
    ] {
        let selection = params
            .select(1..=6, train.view(), Some(test.view()), criterion)
            .unwrap();
        assert_eq!(selection.candidates.len(), 6);
        let chosen = selection.model.n_components();
        assert!(
            chosen == 3 || (criterion == Criterion::Aic && chosen >= 3),
            "{criterion:?}: {chosen}"
        );
        assert!(selection.candidates[0].silhouette.is_none());
        let frame = vmfmix::polars::prelude::DataFrame::try_from(&selection).unwrap();
        assert_eq!(frame.shape(), (6, 11));
    }
    let held_out: Option<ArrayView2<'_, f32>> = None;
    let error = params
        .select(1..=2, train.view(), held_out, Criterion::HeldOut)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no points are held out to choose by")
    );
    let folds = params
        .clone()
        .n_components(3)
        .cross_validate(x.view(), 5)
        .unwrap();
    assert_eq!(folds.len(), 5);
    let fitted = fit(params.clone().n_components(3), &x).log_likelihood();
    assert!(
        folds
            .iter()
            .all(|fold| *fold < fitted + 1.0 && *fold > fitted - 3.0),
        "{folds} {fitted}"
    );
    assert!(
        params
            .clone()
            .n_components(3)
            .stability(x.view(), 4)
            .unwrap()
            > 0.95
    );
    assert!(params.n_components(3).cross_validate(x.view(), 1).is_err());
}

/// Banerjee et al. (2005), table 1: `big-mix`.
#[test]
fn big_mix_is_found_from_every_seed() {
    let (d, n) = (1000, 5000);
    let (kappas, weights) = (
        [650.98, 266.83, 267.83, 612.88],
        [0.251, 0.238, 0.252, 0.259],
    );
    let mut cosines_found = Vec::new();
    for seed in 0..10 {
        let sizes = weights.map(|w: f64| (w * n as f64).round() as usize);
        let (x, labels, means) = synthetic(d, &kappas, &sizes, 100 + seed);
        let rng = Xoshiro256Plus::seed_from_u64(seed);
        let params = VonMisesFisherMixture::params_with_rng(4, rng).n_runs(6);
        let model = fit(params, &x);
        let found = model.assign(x.view()).unwrap().to_vec();
        let nmi = normalized_mutual_information(&found, &labels);
        assert!(nmi >= 0.999, "seed {seed}: NMI {nmi}");
        for (truth, (&kappa, &size)) in kappas.iter().zip(&sizes).enumerate() {
            let cosines = model.mean_directions().dot(&means.row(truth));
            let (component, cosine) = (0..4)
                .map(|k| (k, cosines[k]))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap();
            // tan^2 of the angle is (1 - A^2) / (n A^2) times a chi-square of d - 1 degrees of freedom over these.
            let a = mean_resultant_length(d, kappa);
            let expected = (1.0 - a * a) / (size as f64 * a * a);
            let tangent = (1.0 - cosine * cosine) / (cosine * cosine);
            let deviation = (tangent / expected - 1.0) / (2.0 / (d as f64 - 1.0)).sqrt();
            assert!(
                deviation < 4.0,
                "seed {seed}: cosine {cosine}, {deviation} standard errors off"
            );
            cosines_found.push(cosine);
            // SE = 1 / sqrt(n A'), against the estimate without bias; five of them for forty comparisons.
            let error = (model.bias_corrected_concentrations()[component] - kappa).abs();
            let standard = vmfmix::vmf::concentration::standard_error(d, kappa, size as f64);
            assert!(
                error < 4.0 * standard,
                "seed {seed}: kappa off by {error}, SE {standard}"
            );
            // Paper and numerics: the likeliest concentration itself is at most 2 % off here.
            assert!((model.concentrations()[component] / kappa - 1.0).abs() < 0.02);
        }
    }
    let least = cosines_found.iter().copied().fold(1.0, f64::min);
    let mean = cosines_found.iter().sum::<f64>() / cosines_found.len() as f64;
    println!("cosines to the true means: least {least:.4}, mean {mean:.4}");
    assert!(least > 0.992 && mean > 0.995);
}

/// The example of movMF's manual: fifty points of two distributions on the circle.
#[test]
fn small_mix_is_found() {
    let means = [array![-0.251, -0.968], array![0.399, 0.917]];
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let parts: Vec<Array2<f64>> = means
        .iter()
        .zip([24, 26])
        .map(|(mean, n)| {
            VonMisesFisher::new(mean.clone(), 4.0)
                .unwrap()
                .sample(n, &mut rng)
        })
        .collect();
    let x = concatenate(Axis(0), &[parts[0].view(), parts[1].view()]).unwrap();
    let model = VonMisesFisherMixture::params(2)
        .check()
        .unwrap()
        .fit(&DatasetBase::from(x))
        .unwrap();
    for (mean, n) in means.iter().zip([24.0, 26.0]) {
        let cosines = model.mean_directions().dot(mean);
        let k = usize::from(cosines[1] > cosines[0]);
        assert!(cosines[k] > 0.96, "{cosines}");
        let standard = vmfmix::vmf::concentration::standard_error(2, 4.0, n);
        assert!((model.bias_corrected_concentrations()[k] - 4.0).abs() < 3.0 * standard);
        assert!((model.weights()[k] - n / 50.0).abs() < 0.15);
    }
}

/// The kernel's two ways of summing, and the plain formula.
#[test]
fn sums_over_few_or_all_components_are_those_of_the_plain_loop() {
    let (x, ..) = synthetic(20, &[8.0, 8.0, 8.0], &[200, 200, 200], 13);
    for kappa in [1.0, 20.0, 400.0] {
        let k = 40;
        let scorer = Scorer {
            mean_directions: x.slice(s![..k, ..]).mapv(f64::from),
            concentrations: Array1::from_elem(k, kappa),
            offsets: Array1::from_shape_fn(k, |i| (i as f64).sin()),
            inverse_temperature: 1.0,
            seed: 0,
        };
        let weights = Array1::from_shape_fn(x.nrows(), |i| (i % 3) as f32);
        let observations = InMemory::new(x.view(), Some(weights.view())).unwrap();
        let swept = observations.sweep(&scorer, Assignment::Soft).unwrap();
        let mut resultants = Array2::<f64>::zeros((k, 20));
        let (mut masses, mut log_likelihood) = (Array1::<f64>::zeros(k), 0.0);
        for (row, &weight) in x.rows().into_iter().zip(&weights) {
            let row = row.mapv(f64::from);
            let row = &row / row.dot(&row).sqrt();
            let logits = (scorer.mean_directions.dot(&row) - 1.0) * kappa + &scorer.offsets;
            let most = logits.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let sum = logits.mapv(|l| (l - most).exp()).sum();
            log_likelihood += f64::from(weight) * (most + sum.ln());
            for (component, logit) in logits.iter().enumerate() {
                let share = f64::from(weight) * (logit - most).exp() / sum;
                masses[component] += share;
                resultants.row_mut(component).scaled_add(share, &row);
            }
        }
        assert!(
            (swept.log_likelihood / log_likelihood - 1.0).abs() < 1e-6,
            "{kappa}"
        );
        assert!(
            (&swept.masses - &masses).iter().all(|e| e.abs() < 1e-3),
            "{kappa}"
        );
        assert!(
            (&swept.resultants - &resultants)
                .iter()
                .all(|e| e.abs() < 1e-3),
            "{kappa}"
        );
    }
}

#[test]
fn single_and_double_precision_agree_up_to_a_concentration_of_ten_thousand() {
    for kappa in [100.0, 1e3, 1e4] {
        let (x, ..) = synthetic(256, &[kappa; 4], &[400; 4], 17);
        let double = x.mapv(f64::from);
        let params = VonMisesFisherMixture::params(4).check().unwrap();
        let single = params.fit(&DatasetBase::from(x)).unwrap();
        let double = params.fit(&DatasetBase::from(double)).unwrap();
        let gap = (single.log_likelihood() - double.log_likelihood()).abs();
        println!("kappa = {kappa}: {gap:.1e}");
        assert!(gap < 1e-5, "kappa = {kappa}: {gap}");
    }
}

#[test]
fn weights_of_two_are_rows_twice_for_a_mixture() {
    let (x, ..) = synthetic(16, &[20.0, 30.0, 40.0], &[200; 3], 23);
    let x = x.mapv(f64::from);
    let start = x.slice(s![..;200, ..]).to_owned();
    let params = VonMisesFisherMixture::params(3)
        .n_runs(1)
        .tolerance(1e-13)
        .max_n_iterations(500)
        .init_method(InitMethod::Means(start));
    let params = params.check().unwrap();
    let weights = Array1::from_elem(x.nrows(), 2.0);
    let twice = concatenate(Axis(0), &[x.view(), x.view()]).unwrap();
    let weighted = params
        .fit(&DatasetBase::from(x).with_weights(weights))
        .unwrap();
    let doubled = params.fit(&DatasetBase::from(twice)).unwrap();
    assert!(
        (weighted.log_likelihood() - doubled.log_likelihood()).abs()
            < 1e-12 * doubled.log_likelihood().abs().max(1.0)
    );
    assert!(
        (weighted.concentrations() - doubled.concentrations())
            .iter()
            .all(|e| e.abs() < 1e-5)
    );
}

#[test]
fn degenerate_data_gives_an_error_or_a_sane_model() {
    let mut rng = Xoshiro256Plus::seed_from_u64(3);
    let uniform = |d: usize, n, rng: &mut Xoshiro256Plus| {
        VonMisesFisher::new(Array1::ones(d), 0.0)
            .unwrap()
            .sample::<f32>(n, rng)
    };
    let mut line = Array2::<f32>::zeros((50, 6));
    line.column_mut(0).fill(1.0);
    line.column_mut(1).assign(&Array1::linspace(-1.0, 1.0, 50));
    let padded = uniform(12, 60, &mut rng);
    let cases = [
        Array2::zeros((0, 5)),
        uniform(5, 1, &mut rng),
        uniform(2, 100, &mut rng),
        uniform(4096, 30, &mut rng),
        uniform(3, 40, &mut rng) * 1e-30,
        uniform(3, 40, &mut rng) * 1e30,
        uniform(3, 40, &mut rng) * 1e-42,
        line,
        padded.slice(s![..;2, 3..;3]).to_owned(),
    ];
    for x in cases {
        for k in [1, 2, 7] {
            for concentration in [Concentration::Free, Concentration::Tied] {
                let params = VonMisesFisherMixture::params(k)
                    .concentration(concentration)
                    .noise_component(k == 2);
                match try_fit(params, &x) {
                    Ok(model) => {
                        let numbers = model
                            .weights()
                            .iter()
                            .chain(model.mean_directions())
                            .chain(model.concentrations());
                        assert!(
                            numbers.copied().all(f64::is_finite),
                            "{:?}, k = {k}: {model:?}",
                            x.dim()
                        );
                        assert!(
                            model
                                .score_samples(x.view())
                                .unwrap()
                                .iter()
                                .all(|ln| ln.is_finite())
                        );
                        assert!(
                            model
                                .outlier_scores(x.view())
                                .unwrap()
                                .iter()
                                .all(|s| (0.0..=1.0).contains(s))
                        );
                        assert_eq!(model.reduce(1).n_components(), 1 + usize::from(k == 2));
                    }
                    Err(error) => assert!(x.nrows() < k, "{:?}, k = {k}: {error}", x.dim()),
                }
            }
        }
    }
    // A view that is not contiguous, in either order.
    let view = padded.slice(s![..;2, ..;-1]);
    let dataset = DatasetBase::from(view);
    VonMisesFisherMixture::params(2)
        .check()
        .unwrap()
        .fit(&dataset)
        .unwrap();
    let weights = Array1::from_shape_fn(60, |i| if i < 30 { 0.0 } else { 1.0 });
    let weighted = DatasetBase::from(padded.clone()).with_weights(weights);
    let model = VonMisesFisherMixture::params(2)
        .check()
        .unwrap()
        .fit(&weighted)
        .unwrap();
    assert!(model.effective_sizes().sum() <= 30.0);
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut broken = padded.clone();
        broken[[7, 3]] = value;
        let message = refusal(VonMisesFisherMixture::params(2), &broken);
        assert_eq!(
            message,
            format!("row 7 has no direction: its length is {name}; leave it out or repair it")
        );
    }
}
