//! Points on a device are swept as points in memory are. Without a GPU the device is the processor by candle's operations;
//! what needs a GPU is in `cuda.rs`.

use ndarray::{Array1, Array2, Axis};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::device::Device;
use vmfmix::mixture::{
    Assignment, InMemory, InitMethod, Observations, OnDevice, Scorer, SphericalKMeans, Statistics,
    VonMisesFisherMixture,
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

#[test]
fn a_sweep_on_a_device_is_that_in_memory() {
    let rows = clustered(5000, 24, 6, 0.7);
    let weights: Array1<f32> = (0..5000).map(|i| (i % 3) as f32).collect();
    for sample_weights in [None, Some(weights.view())] {
        let points = InMemory::new(rows.view(), sample_weights).unwrap();
        let on_device = InMemory::new(rows.view(), sample_weights).unwrap();
        let on_device = OnDevice::new(on_device, Device::Cpu).unwrap();
        assert_eq!(on_device.n_resident(), 5000);
        for (concentration, inverse_temperature) in [(20.0, 1.0), (20.0, 0.4), (3000.0, 1.0)] {
            let scorer = Scorer {
                inverse_temperature,
                ..scorer(&rows, 6, concentration)
            };
            for assignment in [Assignment::Soft, Assignment::Hard, Assignment::Stochastic] {
                let expected = points.sweep(&scorer, assignment).unwrap();
                let got = on_device.sweep(&scorer, assignment).unwrap();
                let difference = difference(&expected, &got);
                assert!(
                    difference < 1e-7,
                    "{assignment:?}, {concentration}: {difference:e}"
                );
            }
        }
    }
}

#[test]
fn rows_in_double_and_rows_that_do_not_fit_are_swept_alike() {
    let rows = clustered(9000, 16, 4, 0.7);
    let wide = rows.mapv(f64::from);
    let scorer = scorer(&rows, 4, 50.0);
    let points = InMemory::new(wide.view(), None).unwrap();
    let expected = points.sweep(&scorer, Assignment::Soft).unwrap();
    let resident = OnDevice::new(InMemory::new(wide.view(), None).unwrap(), Device::Cpu).unwrap();
    let all = resident.sweep(&scorer, Assignment::Soft).unwrap();
    assert!(difference(&expected, &all) < 1e-13);
    let sent = InMemory::new(wide.view(), None).unwrap();
    let sent = OnDevice::within(sent, Device::Cpu, 0).unwrap();
    assert_eq!(sent.n_resident(), 0);
    assert_eq!(sent.sweep(&scorer, Assignment::Soft).unwrap(), all);
    assert_eq!(sent.device(), Device::Cpu);
}

#[test]
fn fits_on_a_device_are_those_in_memory() {
    let rows = clustered(3000, 32, 5, 0.6);
    let on_device = InMemory::new(rows.view(), None).unwrap();
    let on_device = OnDevice::new(on_device, Device::Cpu).unwrap();
    let points = InMemory::new(rows.view(), None).unwrap();
    for init_method in [InitMethod::SphericalKMeans, InitMethod::RandomRows] {
        let params = VonMisesFisherMixture::params(5).init_method(init_method);
        let expected = params.fit_observations(&points).unwrap();
        let got = params.fit_observations(&on_device).unwrap();
        let difference = (expected.log_likelihood() - got.log_likelihood()).abs();
        assert!(difference < 1e-6, "{difference:e}");
        let cosines = (expected.mean_directions() * got.mean_directions()).sum_axis(Axis(1));
        assert!(
            cosines.iter().all(|cosine| *cosine > 1.0 - 1e-9),
            "{cosines}"
        );
    }
    let params = linfa::ParamGuard::check(SphericalKMeans::params(5)).unwrap();
    let expected = params.fit_observations(&points).unwrap();
    let got = params.fit_observations(&on_device).unwrap();
    assert_eq!(expected.masses(), got.masses());
}

#[test]
fn a_fit_asked_for_on_a_gpu_never_falls_back() {
    let rows = clustered(100, 8, 2, 0.5);
    let params = VonMisesFisherMixture::params(2).device(Device::Cuda(99));
    let error = params.fit(&linfa::DatasetBase::from(rows)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("use the device cpu"), "{message}");
}
