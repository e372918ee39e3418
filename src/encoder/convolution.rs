//! Convolutions of images whose channels lie side by side, as matrix products.
//!
//! Notation: `b` images of `h x w` pixels with `c` channels, `(b, h, w, c)`; a window of `k x k` pixels, `k` 1 or 3,
//! with a border of `k / 2` zeros. A batch normalisation that follows is part of the weights.
//!
//! A tile of output pixels is laid out as rows of `k k c` numbers and multiplied by the weights; bias, residual and
//! rectifier follow while the tile is in cache.

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::EncoderError;
use super::checkpoint::Weights;
use super::kernels::{floats, matmul};

/// Output pixels of a tile.
const TILE: usize = 512;

/// torch's `BatchNorm2d`.
const EPSILON: f64 = 1e-5;

/// Weights of a convolution, the batch normalisation that follows folded in.
pub(super) struct Convolution {
    /// `(k k c, outputs)`: rows in the order of pixels, then channels.
    weight: Tensor,
    /// `(outputs)`.
    bias: Tensor,
    window: usize,
    stride: usize,
}

/// Images, channels side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    /// `(b, height, width, channels)`.
    pub(super) values: Vec<f32>,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

/// Sizes of a convolution.
#[derive(Clone, Copy)]
pub(super) struct ConvolutionShape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) window: usize,
    pub(super) stride: usize,
}

impl Convolution {
    /// Loads a convolution without bias and its batch normalisation: `y = (conv(x) - mean) / sqrt(variance + epsilon)
    /// * weight + bias`.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        convolution: &Weights<'_>,
        normalisation: &Weights<'_>,
        shape: ConvolutionShape,
    ) -> std::result::Result<Self, EncoderError> {
        let ConvolutionShape {
            inputs,
            outputs,
            window,
            stride,
        } = shape;
        let weight = convolution.tensor("weight", &[outputs, inputs, window, window])?;
        let of_norm = |name: &str| normalisation.tensor(name, &[outputs]);
        let (variance, mean) = (of_norm("running_var")?, of_norm("running_mean")?);
        let scale = (of_norm("weight")? / (variance + EPSILON)?.sqrt()?)?;
        let weight = weight
            .permute((2, 3, 1, 0))?
            .reshape((window * window * inputs, outputs))?
            .broadcast_mul(&scale)?;
        Ok(Convolution {
            weight,
            bias: (of_norm("bias")? - (mean * scale)?)?,
            window,
            stride,
        })
    }

    /// On the processor and this thread: `convolution + bias`, with `residual` added if there is one, then negative
    /// numbers to zero if `rectify`.
    pub(super) fn run(
        &self,
        images: &Images,
        residual: Option<&[f32]>,
        rectify: bool,
    ) -> Result<Images> {
        let outputs = self.weight.dim(1)?;
        let (height, width) = (
            images.height.div_ceil(self.stride),
            images.width.div_ceil(self.stride),
        );
        let b = images.values.len() / (images.height * images.width * images.channels).max(1);
        let mut values = vec![0.0; b * height * width * outputs];
        let bias = floats(&self.bias)?;
        let mut rows = Vec::new();
        for (tile, out) in values.chunks_mut(TILE * outputs).enumerate() {
            let first = tile * TILE;
            let n = out.len() / outputs;
            if self.window == 1 {
                let rows = &images.values[first * images.channels..][..n * images.channels];
                matmul(rows, &self.weight, out)?;
            } else {
                rows.clear();
                for pixel in first..first + n {
                    let (image, pixel) = (pixel / (height * width), pixel % (height * width));
                    let at = (pixel / width * self.stride, pixel % width * self.stride);
                    images.push_window(image, at, self.window, &mut rows);
                }
                matmul(&rows, &self.weight, out)?;
            }
            let residual = residual.map(|residual| &residual[first * outputs..][..n * outputs]);
            Arch::new().dispatch(Finish {
                out,
                bias: &bias,
                residual,
                floor: if rectify { 0.0 } else { f32::NEG_INFINITY },
            });
        }
        Ok(Images {
            values,
            height,
            width,
            channels: outputs,
        })
    }

    /// On any device, for channels as planes, `(b, c, h, w)`: `convolution + bias`. In f32 always: in half precision the
    /// cosines of deep towers are off by up to 1e-3.
    pub(super) fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let (rows, outputs) = self.weight.dims2()?;
        let inputs = rows / (self.window * self.window);
        let kernel = self
            .weight
            .reshape((self.window, self.window, inputs, outputs))?
            .permute((3, 2, 0, 1))?
            .contiguous()?;
        images
            .conv2d(&kernel, self.window / 2, self.stride, 1, 1)?
            .broadcast_add(&self.bias.reshape((1, outputs, 1, 1))?)
    }
}

impl Images {
    /// Appends the numbers of the `window x window` pixels around a pixel of an image, zeros outside the image.
    fn push_window(
        &self,
        image: usize,
        (y, x): (usize, usize),
        window: usize,
        rows: &mut Vec<f32>,
    ) {
        let (border, c) = (window / 2, self.channels);
        let left = border.saturating_sub(x);
        let right = (x + border + 1).saturating_sub(self.width);
        for dy in 0..window {
            let row = (y + dy)
                .checked_sub(border)
                .filter(|&row| row < self.height);
            let Some(row) = row else {
                rows.resize(rows.len() + window * c, 0.0);
                continue;
            };
            let from = (image * self.height + row) * self.width + x + left - border;
            rows.resize(rows.len() + left * c, 0.0);
            rows.extend_from_slice(&self.values[from * c..][..(window - left - right) * c]);
            rows.resize(rows.len() + right * c, 0.0);
        }
    }

    /// Means over squares of `size x size` pixels; what is left over at the right and below is left out.
    pub(super) fn average(&self, size: usize) -> Images {
        if size == 1 {
            return self.clone();
        }
        let (height, width, c) = (self.height / size, self.width / size, self.channels);
        let share = 1.0 / (size * size) as f32;
        let mut values = Vec::with_capacity(self.values.len() / (size * size));
        for image in self.values.chunks_exact(self.height * self.width * c) {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let at = values.len();
                values.resize(at + c, 0.0);
                for row in (y * size..).take(size) {
                    let pixels = &image[(row * self.width + x * size) * c..][..size * c];
                    for pixel in pixels.chunks_exact(c) {
                        for (sum, value) in values[at..].iter_mut().zip(pixel) {
                            *sum += value * share;
                        }
                    }
                }
            }
        }
        Images {
            values,
            height,
            width,
            channels: c,
        }
    }
}

/// `out <- max(out + bias + residual, floor)`.
struct Finish<'a> {
    out: &'a mut [f32],
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    floor: f32,
}

impl WithSimd for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.bias.len();
        let rows = self.out.chunks_exact_mut(width);
        match self.residual {
            None => rows.for_each(|row| {
                for (out, bias) in row.iter_mut().zip(self.bias) {
                    *out = (*out + bias).max(self.floor);
                }
            }),
            Some(residual) => {
                for (row, residual) in rows.zip(residual.chunks_exact(width)) {
                    for ((out, bias), residual) in row.iter_mut().zip(self.bias).zip(residual) {
                        *out = (*out + bias + residual).max(self.floor);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::tests::{largest_difference, numbers};
    use super::*;

    /// Planes to pixels.
    fn images(planes: &Tensor) -> Images {
        let (_, channels, height, width) = planes.dims4().unwrap();
        let pixels = planes.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
        Images {
            values: floats(&pixels).unwrap().to_vec(),
            height,
            width,
            channels,
        }
    }

    #[test]
    fn a_convolution_is_what_any_device_computes() {
        for (window, stride, height, width) in [
            (1, 1, 5, 4),
            (3, 1, 5, 4),
            (3, 2, 6, 8),
            (3, 1, 40, 30),
            (3, 1, 1, 1),
        ] {
            let convolution = Convolution {
                weight: numbers(&[window * window * 3, 10], 1.0),
                bias: numbers(&[10], 2.0),
                window,
                stride,
            };
            let x = numbers(&[2, 3, height, width], 0.0);
            let plain = convolution.forward(&x).unwrap();
            let residual = numbers(plain.dims(), 3.0);
            let plain = (plain + &residual).and_then(|sum| sum.relu()).unwrap();
            let plain = plain.permute((0, 2, 3, 1)).unwrap();
            let residual = images(&residual).values;
            let fused = convolution.run(&images(&x), Some(&residual), true).unwrap();
            assert_eq!(plain.dims(), [2, fused.height, fused.width, 10]);
            let error = largest_difference(&fused.values, &plain);
            assert!(
                error < 1e-3,
                "{window} {stride} {height}x{width}: {error:e}"
            );
        }
    }

    #[test]
    fn averages_leave_out_what_is_left_over() {
        let x = numbers(&[2, 3, 5, 7], 0.0);
        let plain = x.avg_pool2d(2).unwrap().permute((0, 2, 3, 1)).unwrap();
        assert!(largest_difference(&images(&x).average(2).values, &plain) < 1e-5);
    }
}
