//! What a GPU does, as a table: products, sweeps, images, texts and files. `device.py` prints the same of PyTorch, and makes
//! the checkpoints and files that are read here.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::cuda_backend::cudarc::driver::result::{self, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::CUmemPool_attribute;
use candle_core::{DType, Device as CandleDevice, Tensor};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use vmfmix::device::Device;
use vmfmix::encoder::{
    self, BatchOptions, Encoder, ImageSource, Picture, Placement, Precision, embed_images,
    embed_texts,
};
use vmfmix::mixture::{Assignment, InMemory, Observations, OnDevice, Scorer};
use vmfmix::progress::Silent;

const GPU: Device = Device::Cuda(0);

/// Items that the towers see at once.
const BATCH: usize = 256;

fn main() {
    match GPU.hardware() {
        Ok(Some(name)) => println!("vmfmix on {name}\n\n| | | | |\n|---|---|---|---|"),
        Ok(None) => return,
        Err(error) => return eprintln!("device: left out; {error}"),
    }
    let rates = products();
    sweeps(rates);
    match std::env::var_os("VMFMIX_BENCH_FILES").map(PathBuf::from) {
        Some(folder) => encoders(&folder),
        None => {
            eprintln!("encoders: left out; run device.py and set VMFMIX_BENCH_FILES to its folder")
        }
    }
}

/// The middle one of some times, the first call left out.
fn median(repeats: usize, mut work: impl FnMut()) -> Duration {
    work();
    let mut times: Vec<Duration> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[repeats / 2]
}

fn row(what: &str, value: f64, unit: &str, note: &str) {
    println!("| {what} | {value:.1} | {unit} | {note} |");
}

/// Rates of large products in f32 and by TF32, in floating-point operations a second.
fn products() -> [f64; 2] {
    let device = CandleDevice::new_cuda(0).expect("a GPU");
    let n = 8192;
    let rate = |dtype: DType, tf32: bool| {
        candle_core::cuda::set_gemm_reduced_precision_f32(tf32);
        let [a, b] = [(); 2].map(|()| {
            let values = Tensor::randn(0_f32, 1.0, (n, n), &device).expect("memory");
            values.to_dtype(dtype).expect("memory")
        });
        let time = median(7, || {
            black_box(a.matmul(&b).expect("a product"));
            device.synchronize().expect("a device");
        });
        candle_core::cuda::set_gemm_reduced_precision_f32(false);
        2.0 * (n as f64).powi(3) / time.as_secs_f64()
    };
    let rates = [rate(DType::F32, false), rate(DType::F32, true)];
    row("product, f32", rates[0] / 1e12, "TFLOP/s", "");
    row("product, TF32", rates[1] / 1e12, "TFLOP/s", "");
    row(
        "product, bf16",
        rate(DType::BF16, false) / 1e12,
        "TFLOP/s",
        "",
    );
    rates
}

/// Sweeps over a million unit vectors, and what share of the rate of products they reach.
fn sweeps(rates: [f64; 2]) {
    let (n, d) = (1_000_000, 768);
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let rows = Array2::from_shape_simple_fn((n, d), || rng.r#gen::<f32>() - 0.5);
    let points = || InMemory::new(rows.view(), None).expect("directions");
    for k in [256, 4096] {
        let means = Array2::from_shape_simple_fn((k, d), || rng.r#gen::<f64>() - 0.5);
        let lengths = means.map_axis(ndarray::Axis(1), |mean| mean.dot(&mean).sqrt());
        let scorer = Scorer {
            mean_directions: means / lengths.insert_axis(ndarray::Axis(1)),
            concentrations: Array1::from_elem(k, 100.0),
            offsets: Array1::zeros(k),
            inverse_temperature: 1.0,
            seed: 0,
        };
        for (name, tf32, rate) in [("f32", false, rates[0]), ("TF32", true, rates[1])] {
            let on_gpu = OnDevice::new(points(), GPU).expect("a GPU").tf32(tf32);
            for (kind, assignment) in [("soft", Assignment::Soft), ("hard", Assignment::Hard)] {
                let time = median(3, || {
                    black_box(on_gpu.sweep(&scorer, assignment).expect("a sweep"));
                });
                let share = 4.0 * (n * d * k) as f64 / time.as_secs_f64() / rate;
                row(
                    &format!("{kind} sweep, K = {k}, {name}"),
                    n as f64 / time.as_secs_f64() / 1e6,
                    "million points/s",
                    &format!("{:.0} % of the products' rate", 100.0 * share),
                );
            }
        }
    }
}

fn encoders(folder: &Path) {
    let captions = std::fs::read_to_string(folder.join("captions.txt")).expect("captions");
    let captions: Vec<_> = captions.lines().map(Some).collect();
    let paths: Vec<PathBuf> = std::fs::read_dir(folder.join("jpegs"))
        .expect("a folder of pictures")
        .map(|entry| entry.expect("a picture").path())
        .collect();
    let sources: Vec<_> = paths.iter().map(|p| Some(ImageSource::Path(p))).collect();
    let options = BatchOptions {
        batch_size: NonZeroUsize::new(BATCH),
        ..BatchOptions::default()
    };
    let bytes = (0..3 * 224 * 224).map(|i| (i * 31 % 251) as u8).collect();
    let pictures = vec![Picture::from_rgb(224, 224, bytes).expect("a picture"); BATCH];
    for name in ["vit-b-32", "vit-l-14"] {
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let model = folder.join(name);
            let placement = Placement {
                device: GPU,
                precision,
            };
            let encoder =
                encoder::load(model.to_str().expect("a name"), placement).expect("a model");
            let time = |what: &str, count: usize, repeats, work: &mut dyn FnMut(&dyn Encoder)| {
                let mut time = Duration::ZERO;
                let bytes = peak(|| time = median(repeats, || work(&*encoder)));
                row(
                    &format!("{name}, {what}, {precision}"),
                    count as f64 / time.as_secs_f64(),
                    "a second",
                    &format!("{} MB beyond the weights", bytes / 1_000_000),
                );
            };
            time("images", BATCH, 7, &mut |encoder| {
                black_box(encoder.embed_images(&pictures).expect("embeddings"));
            });
            time("texts", captions.len(), 3, &mut |encoder| {
                black_box(embed_texts(encoder, &captions, &options, &Silent).expect("embeddings"));
            });
            if precision == Precision::Bf16 {
                time("JPEG files", sources.len(), 3, &mut |encoder| {
                    black_box(
                        embed_images(encoder, &sources, &options, &Silent).expect("embeddings"),
                    );
                });
            }
        }
    }
}

/// The most bytes that the work needs on the GPU beyond those that are taken before it.
fn peak(work: impl FnOnce()) -> u64 {
    let device = CandleDevice::new_cuda(0).expect("a GPU");
    let stream = device.as_cuda_device().expect("a GPU").cuda_stream();
    let context = stream.context();
    context.bind_to_thread().expect("a GPU");
    // SAFETY: the pool is that of a living device, and both attributes are numbers of 64 bits.
    let (read, reset) = unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).expect("a pool");
        let read = move |attribute| {
            let mut value = 0_u64;
            mem_pool::get_attribute(pool, attribute, (&raw mut value).cast()).expect("a number");
            value
        };
        let reset = move |attribute| {
            let mut zero = 0_u64;
            mem_pool::set_attribute(pool, attribute, (&raw mut zero).cast()).expect("a reset");
        };
        (read, reset)
    };
    let before = read(CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
    reset(CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH);
    work();
    read(CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH).saturating_sub(before)
}
