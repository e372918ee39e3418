//! Where the towers run, chosen by name.

use std::fmt;
use std::str::FromStr;

use super::EncoderError;

/// Where the towers run.
///
/// # Example
/// ```
/// use vmfmix::encoder::Device;
///
/// let device: Device = "cuda:1".parse()?;
/// assert_eq!(device, Device::Cuda(1));
/// assert_eq!(device.to_string(), "cuda:1");
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
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

impl Device {
    /// Opens the device.
    ///
    /// # Errors
    /// [`EncoderError::CudaNotCompiled`] and [`EncoderError::CudaUnavailable`] when CUDA was asked for and is not there.
    pub(super) fn open(self) -> Result<candle_core::Device, EncoderError> {
        match self {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Auto => Ok(open_cuda(0).unwrap_or(candle_core::Device::Cpu)),
            Device::Cuda(index) => open_cuda(index),
        }
    }

    /// The choice that an opened device amounts to: what `Auto` became.
    pub(super) fn of(opened: &candle_core::Device) -> Device {
        match opened.location() {
            candle_core::DeviceLocation::Cuda { gpu_id } => Device::Cuda(gpu_id),
            _ => Device::Cpu,
        }
    }
}

fn open_cuda(index: usize) -> Result<candle_core::Device, EncoderError> {
    if !candle_core::utils::cuda_is_available() {
        return Err(EncoderError::CudaNotCompiled);
    }
    candle_core::Device::new_cuda(index).map_err(|cause| EncoderError::CudaUnavailable {
        index,
        cause: Box::new(cause),
    })
}

impl FromStr for Device {
    type Err = EncoderError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let unknown = || EncoderError::DeviceName { got: name.into() };
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
        let message = Device::Cuda(0).open().unwrap_err().to_string();
        assert!(message.starts_with("this build has no CUDA; build it with --features cuda"));
        assert!(Device::Auto.open().unwrap().is_cpu());
    }
}
