//! Where the heavy work is done, chosen by name: shared by the encoders and the mixtures.

use std::fmt;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
pub(crate) mod launch;

/// Where the heavy work is done: the towers of an encoder, the sweeps of a fit.
///
/// # Example
/// ```
/// use vmfmix::device::Device;
///
/// let device: Device = "cuda:1".parse()?;
/// assert_eq!(device, Device::Cuda(1));
/// assert_eq!(device.to_string(), "cuda:1");
/// assert!(Device::Auto.resolve().is_ok());
/// # Ok::<(), vmfmix::device::DeviceError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first CUDA device if this build has CUDA and finds one, otherwise the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device with this number. Never falls back to the processor.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A name that cannot be parsed.
    #[error("there is no device called \"{got}\"; use auto, cpu, cuda or cuda:<number>")]
    Name {
        /// What was asked for.
        got: String,
    },
    /// CUDA was asked for, but this build has none.
    #[error("this build has no CUDA; build it with --features cuda, or use the device cpu")]
    NotCompiled,
    /// CUDA was asked for and is compiled in, but cannot be used.
    #[error(
        "CUDA device {index} cannot be used ({cause}); check nvidia-smi, or use the device cpu"
    )]
    Unavailable {
        /// The number of the device.
        index: usize,
        /// What the driver reported.
        cause: Box<candle_core::Error>,
    },
}

impl Device {
    /// What this choice amounts to here: never [`Auto`](Self::Auto). A CUDA device is opened to find out.
    ///
    /// # Errors
    /// [`DeviceError::NotCompiled`] and [`DeviceError::Unavailable`] when CUDA was asked for and is not there.
    pub fn resolve(self) -> Result<Device, DeviceError> {
        match self {
            Device::Cpu => Ok(Device::Cpu),
            _ => self.open().map(|opened| Device::of(&opened)),
        }
    }

    /// What the hardware is called, as "NVIDIA H100 80GB HBM3"; `None` for the processor.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn hardware(self) -> Result<Option<String>, DeviceError> {
        Ok(match self.open()? {
            #[cfg(feature = "cuda")]
            candle_core::Device::Cuda(device) => cuda::name(&device),
            _ => None,
        })
    }

    /// Opens the device.
    pub(crate) fn open(self) -> Result<candle_core::Device, DeviceError> {
        match self {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Auto => Ok(open_cuda(0).unwrap_or(candle_core::Device::Cpu)),
            Device::Cuda(index) => open_cuda(index),
        }
    }

    /// The choice that an opened device amounts to: what `Auto` became.
    pub(crate) fn of(opened: &candle_core::Device) -> Device {
        match opened.location() {
            candle_core::DeviceLocation::Cuda { gpu_id } => Device::Cuda(gpu_id),
            _ => Device::Cpu,
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_index: usize) -> Result<candle_core::Device, DeviceError> {
    Err(DeviceError::NotCompiled)
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<candle_core::Device, DeviceError> {
    cuda::open(index).map_err(|cause| DeviceError::Unavailable {
        index,
        cause: Box::new(cause),
    })
}

/// Bytes that are free on a device; `None` where nothing is known, as for the processor.
pub(crate) fn free_memory(device: &candle_core::Device) -> Option<usize> {
    match device {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => cuda::free_memory(device),
        _ => None,
    }
}

/// Whether the device had no memory left, so that less at once may fit.
///
/// The driver's error has no type here: candle boxes it, and builds without CUDA do not know it.
pub(crate) fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let text = error.to_string();
    let signs = ["OUT_OF_MEMORY", "out of memory", "ALLOC_FAILED"];
    signs.iter().any(|sign| text.contains(sign))
}

/// Held while products of `f32` are taken on a device: either all of them are in full, or all by TF32, since that is one
/// switch for the whole program.
pub(crate) enum Products {
    /// In full, beside any others in full.
    Full {
        _guard: RwLockReadGuard<'static, ()>,
    },
    /// By TF32: factors lose all but ten bits after the first.
    Tf32 {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

static SWITCH: RwLock<()> = RwLock::new(());

impl Products {
    /// Waits until no others of the other kind are taken.
    pub(crate) fn begin(tf32: bool) -> Products {
        if tf32 {
            let guard = SWITCH.write().unwrap_or_else(PoisonError::into_inner);
            candle_core::cuda::set_gemm_reduced_precision_f32(true);
            Products::Tf32 { _guard: guard }
        } else {
            let guard = SWITCH.read().unwrap_or_else(PoisonError::into_inner);
            Products::Full { _guard: guard }
        }
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        if let Products::Tf32 { .. } = self {
            candle_core::cuda::set_gemm_reduced_precision_f32(false);
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let unknown = || DeviceError::Name { got: name.into() };
        match name {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda(0)),
            _ => {
                let number = name.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Device::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(0) => f.write_str("cuda"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went_in() {
        for name in ["auto", "cpu", "cuda", "cuda:1"] {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn rejects_an_unknown_device() {
        for name in ["gpu", "cuda:", "cuda:-1", ""] {
            let message = name.parse::<Device>().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("there is no device called \"{name}\"")),
                "{message}"
            );
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn says_that_this_build_has_no_cuda() {
        let message = Device::Cuda(0).resolve().unwrap_err().to_string();
        assert!(message.starts_with("this build has no CUDA; build it with --features cuda"));
        assert_eq!(Device::Auto.resolve().unwrap(), Device::Cpu);
        assert_eq!(Device::Auto.hardware().unwrap(), None);
    }
}
