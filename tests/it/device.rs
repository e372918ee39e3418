//! Points on a device are swept as points in memory are. Without a GPU the device is the processor by candle's operations;
//! what needs a GPU is in `cuda.rs`.

use ndarray::Array1;
use vmfmix::device::Device;
use vmfmix::mixture::{
    Assignment, InMemory, Observations, OnDevice, Scorer, VonMisesFisherMixture,
};

use crate::observations::{clustered, difference, scorer};

#[test]
fn a_sweep_on_a_device_is_that_in_memory() {
    let rows = clustered(5000, 24, 6, 0.7);
    let weights: Array1<f32> = (0..5000).map(|i| (i % 3) as f32).collect();
    let points = InMemory::new(rows.view(), Some(weights.view())).unwrap();
    let on_device = InMemory::new(rows.view(), Some(weights.view())).unwrap();
    let on_device = OnDevice::new(on_device, Device::Cpu).unwrap();
    assert_eq!(on_device.n_resident(), 5000);
    for (concentration, inverse_temperature, limit) in [
        (20.0, 1.0, 1e-7),
        (20.0, 0.4, 1e-7),
        (3000.0, 1.0, 1e-11),
        // Off by so many nats for each point at once is one part in 1e14.
        (1e9, 1.0, 1e-5),
    ] {
        let scorer = Scorer {
            inverse_temperature,
            ..scorer(&rows, 6, concentration)
        };
        for assignment in [Assignment::Soft, Assignment::Hard, Assignment::Stochastic] {
            let expected = points.sweep(&scorer, assignment).unwrap();
            let got = on_device.sweep(&scorer, assignment).unwrap();
            let difference = difference(&expected, &got);
            assert!(
                difference < limit,
                "{assignment:?}, {concentration}: {difference:e}"
            );
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
fn a_fit_asked_for_on_a_gpu_never_falls_back() {
    let rows = clustered(100, 8, 2, 0.5);
    let params = VonMisesFisherMixture::params(2).device(Device::Cuda(99));
    let error = params.fit(&linfa::DatasetBase::from(rows)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("use the device cpu"), "{message}");
}
