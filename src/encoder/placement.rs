//! Where an encoder runs, and how exactly.

use std::fmt;
use std::str::FromStr;

use candle_core::DType;

use super::EncoderError;
use crate::device::Device;

/// In what the products of matrices are taken. Norms, weights of attention, activations, sums of residuals, convolutions of
/// ResNets and embeddings are in `f32` all the same.
///
/// Half precision is for GPUs, where it is several times as fast: cosines between its embeddings and those of `f32` are
/// above 0.9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision with ten bits after the first, and numbers up to 65,504.
    F16,
    /// Half precision with seven bits after the first, and numbers as large as in `f32`.
    Bf16,
}

/// A device and a precision; a [`Device`] alone stands for it in `f32`.
///
/// # Example
/// ```
/// use vmfmix::encoder::{Device, Placement, Precision};
///
/// assert_eq!(Placement::from(Device::Cpu).precision, Precision::F32);
/// let placement = Placement { device: Device::Cuda(0), precision: "bf16".parse()? };
/// assert_eq!(placement.precision, Precision::Bf16);
/// # Ok::<(), vmfmix::encoder::EncoderError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// Where the towers run.
    pub device: Device,
    /// In what their products are taken.
    pub precision: Precision,
}

/// An opened device, and the type of factors in products.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) device: candle_core::Device,
    pub(super) dtype: DType,
}

#[cfg(test)]
impl Opened {
    /// The processor, which is any device too.
    pub(super) fn processor(dtype: DType) -> Self {
        Opened {
            device: candle_core::Device::Cpu,
            dtype,
        }
    }
}

impl Placement {
    /// Opens the device.
    ///
    /// # Errors
    /// [`EncoderError::Device`], and [`EncoderError::HalfOnProcessor`] where it turns out to be the processor.
    pub(super) fn open(self) -> Result<Opened, EncoderError> {
        let device = self.device.open()?;
        if device.is_cpu() && self.precision != Precision::F32 {
            return Err(EncoderError::HalfOnProcessor {
                precision: self.precision,
            });
        }
        Ok(Opened {
            device,
            dtype: self.precision.into(),
        })
    }
}

impl From<Device> for Placement {
    fn from(device: Device) -> Self {
        Placement {
            device,
            precision: Precision::F32,
        }
    }
}

impl From<Precision> for DType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::Bf16 => DType::BF16,
        }
    }
}

impl FromStr for Precision {
    type Err = EncoderError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "f32" => Ok(Precision::F32),
            "f16" => Ok(Precision::F16),
            "bf16" => Ok(Precision::Bf16),
            _ => Err(EncoderError::PrecisionName { got: name.into() }),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went_in() {
        for name in ["f32", "f16", "bf16"] {
            assert_eq!(name.parse::<Precision>().unwrap().to_string(), name);
        }
        let message = "fp8".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(
            message,
            "there is no precision called \"fp8\"; use f32, f16 or bf16"
        );
    }

    #[test]
    fn half_precision_never_falls_back_to_the_processor() {
        let placement = Placement {
            device: Device::Cpu,
            precision: Precision::F16,
        };
        let message = placement.open().err().unwrap().to_string();
        assert!(message.starts_with("the processor computes in f32, not in f16"));
    }
}
