//! CLIP's ResNet: pixels to features.
//!
//! It differs from the ResNet of reference 1 in three ways (reference 2, section 2.4): the stem has three convolutions,
//! a stride is an average before (in a block: after) a convolution of stride 1, and the last average is an attention
//! whose query is the mean.
//!
//! # References
//! 1. K. He et al., *Deep residual learning for image recognition*, CVPR 2016.
//! 2. A. Radford et al., *Learning transferable visual models from natural language supervision*, ICML 2021.

use candle_core::{D, DType, Result, Tensor};

use super::EncoderError;
use super::checkpoint::Weights;
use super::convolution::{Convolution, ConvolutionShape, Images};
use super::kernels::{self, floats, matmul};
use super::vision_transformer::CHANNELS;

/// How many times more channels a block puts out than its middle has.
const EXPANSION: usize = 4;

/// How many times smaller the last grid is than the image.
const REDUCTION: usize = 32;

/// Sizes of a ResNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ModifiedResNetShape {
    pub(super) image_size: usize,
    /// Channels in the middle of a block of the first stage.
    pub(super) width: usize,
    /// Blocks of each stage.
    pub(super) blocks: [usize; 4],
    /// Heads of the attention at the end.
    pub(super) heads: usize,
}

impl ModifiedResNetShape {
    /// Channels before the attention.
    pub(super) fn features(&self) -> usize {
        self.width * 8 * EXPANSION
    }

    /// What the shapes of the weights tell; a head has 64 channels.
    ///
    /// # Errors
    /// [`EncoderError::MissingTensor`].
    pub(super) fn from_weights(weights: &Weights<'_>) -> std::result::Result<Self, EncoderError> {
        let tower = weights.at("vision_model");
        let first = tower.shape("layer1.0.conv1.weight")?;
        let width = first.first().copied().unwrap_or(0);
        let positions = tower.shape("attnpool.positional_embedding")?;
        let cells = positions.first().copied().unwrap_or(0).saturating_sub(1);
        let blocks = |stage| tower.count(&format!("layer{stage}"));
        Ok(ModifiedResNetShape {
            image_size: cells.isqrt() * REDUCTION,
            width,
            blocks: [1, 2, 3, 4].map(blocks),
            heads: width * 8 * EXPANSION / 64,
        })
    }
}

/// Whether the vision tower in a checkpoint is a ResNet.
pub(super) fn is_in(weights: &Weights<'_>) -> bool {
    weights.has("vision_model.layer1.0.conv1.weight")
}

/// The vision tower with its projection.
pub(super) struct ModifiedResNet {
    stem: [Convolution; 3],
    blocks: Vec<Bottleneck>,
    pool: AttentionPool,
}

impl ModifiedResNet {
    /// Loads `vision_model`, whose last attention projects.
    ///
    /// # Errors
    /// See [`Weights::tensor`].
    pub(super) fn load(
        weights: &Weights<'_>,
        shape: &ModifiedResNetShape,
        dimension: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let tower = weights.at("vision_model");
        let w = shape.width;
        let stem = |i: usize, inputs, outputs, stride| {
            let shape = ConvolutionShape {
                inputs,
                outputs,
                window: 3,
                stride,
            };
            Convolution::load(
                &tower.at(&format!("conv{i}")),
                &tower.at(&format!("bn{i}")),
                shape,
            )
        };
        let mut blocks = Vec::new();
        let mut inputs = w;
        for (stage, &count) in shape.blocks.iter().enumerate() {
            let middle = w << stage;
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let weights = tower.at(&format!("layer{}.{i}", stage + 1));
                blocks.push(Bottleneck::load(&weights, inputs, middle, stride)?);
                inputs = middle * EXPANSION;
            }
        }
        Ok(ModifiedResNet {
            stem: [
                stem(1, CHANNELS, w / 2, 2)?,
                stem(2, w / 2, w / 2, 1)?,
                stem(3, w / 2, w, 1)?,
            ],
            blocks,
            pool: AttentionPool::load(&tower.at("attnpool"), shape, dimension)?,
        })
    }

    /// On the processor and this thread: normalised pixels `(b, 3, s, s)` to features `(b, dimension)`, not yet of unit
    /// length.
    pub(super) fn run(&self, pixels: &[f32], size: usize, out: &mut [f32]) -> Result<()> {
        let mut values = Vec::with_capacity(pixels.len());
        for image in pixels.chunks_exact(CHANNELS * size * size) {
            let (red, rest) = image.split_at(size * size);
            let (green, blue) = rest.split_at(size * size);
            let pixels = red.iter().zip(green).zip(blue);
            values.extend(pixels.flat_map(|((&r, &g), &b)| [r, g, b]));
        }
        let mut x = Images {
            values,
            height: size,
            width: size,
            channels: CHANNELS,
        };
        for convolution in &self.stem {
            x = convolution.run(&x, None, true)?;
        }
        x = x.average(2);
        for block in &self.blocks {
            x = block.run(&x)?;
        }
        self.pool.run(&x, out)
    }

    /// The same on any device.
    pub(super) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut x = pixels.clone();
        for convolution in &self.stem {
            x = convolution.forward(&x)?.relu()?;
        }
        x = x.avg_pool2d(2)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.pool.forward(&x)
    }

    /// Cells of the last grid.
    pub(super) fn cells(&self) -> usize {
        self.pool.cells()
    }
}

/// Three convolutions and a way around them.
struct Bottleneck {
    narrow: Convolution,
    middle: Convolution,
    wide: Convolution,
    /// The way around, where it changes the number of channels or the size.
    around: Option<Convolution>,
    stride: usize,
}

impl Bottleneck {
    fn load(
        weights: &Weights<'_>,
        inputs: usize,
        middle: usize,
        stride: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let outputs = middle * EXPANSION;
        let part = |convolution: &str, norm: &str, inputs, outputs, window| {
            let shape = ConvolutionShape {
                inputs,
                outputs,
                window,
                stride: 1,
            };
            Convolution::load(&weights.at(convolution), &weights.at(norm), shape)
        };
        let has_around = stride > 1 || inputs != outputs;
        Ok(Bottleneck {
            narrow: part("conv1", "bn1", inputs, middle, 1)?,
            middle: part("conv2", "bn2", middle, middle, 3)?,
            wide: part("conv3", "bn3", middle, outputs, 1)?,
            around: has_around
                .then(|| part("downsample.0", "downsample.1", inputs, outputs, 1))
                .transpose()?,
            stride,
        })
    }

    fn run(&self, x: &Images) -> Result<Images> {
        let narrow = self.narrow.run(x, None, true)?;
        let mut middle = self.middle.run(&narrow, None, true)?;
        if self.stride > 1 {
            middle = middle.average(self.stride);
        }
        match &self.around {
            None => self.wide.run(&middle, Some(&x.values), true),
            Some(around) => {
                let around = if self.stride > 1 {
                    around.run(&x.average(self.stride), None, false)?
                } else {
                    around.run(x, None, false)?
                };
                self.wide.run(&middle, Some(&around.values), true)
            }
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let narrow = self.narrow.forward(x)?.relu()?;
        let middle = self.middle.forward(&narrow)?.relu()?;
        let out = self.wide.forward(&middle.avg_pool2d(self.stride)?)?;
        let around = match &self.around {
            Some(around) => around.forward(&x.avg_pool2d(self.stride)?)?,
            None => x.clone(),
        };
        (out + around)?.relu()
    }
}

/// Attention of the mean over all cells of the last grid.
struct AttentionPool {
    /// `(cells + 1, c)`.
    positions: Tensor,
    query: Affine,
    /// Keys and values side by side.
    keys_values: Affine,
    /// To the dimension of embeddings.
    out: Affine,
    heads: usize,
}

/// A matrix `(inputs, outputs)` and a bias `(outputs)`.
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn run(&self, rows: &[f32], out: &mut [f32]) -> Result<()> {
        matmul(rows, &self.weight, out)?;
        kernels::add_bias(out, &floats(&self.bias)?);
        Ok(())
    }

    fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        rows.to_dtype(self.weight.dtype())?
            .matmul(&self.weight)?
            .to_dtype(DType::F32)?
            .broadcast_add(&self.bias)
    }
}

impl AttentionPool {
    fn load(
        weights: &Weights<'_>,
        shape: &ModifiedResNetShape,
        dimension: usize,
    ) -> std::result::Result<Self, EncoderError> {
        let c = shape.features();
        let cells = (shape.image_size / REDUCTION).pow(2);
        let affine = |names: &[&str], outputs| {
            let weight = |name: &&str| weights.at(name).tensor("weight", &[outputs, c]);
            let bias = |name: &&str| weights.at(name).tensor("bias", &[outputs]);
            let parts: Vec<_> = names
                .iter()
                .map(weight)
                .collect::<std::result::Result<_, _>>()?;
            let biases: Vec<_> = names
                .iter()
                .map(bias)
                .collect::<std::result::Result<_, _>>()?;
            Ok::<_, EncoderError>(Affine {
                weight: weights.for_products(Tensor::cat(&parts, 0)?.t()?)?,
                bias: Tensor::cat(&biases, 0)?,
            })
        };
        Ok(AttentionPool {
            positions: weights.tensor("positional_embedding", &[cells + 1, c])?,
            query: affine(&["q_proj"], c)?,
            keys_values: affine(&["k_proj", "v_proj"], c)?,
            out: affine(&["c_proj"], dimension)?,
            heads: shape.heads,
        })
    }

    fn cells(&self) -> usize {
        self.positions.dims()[0] - 1
    }

    /// The mean of each image's cells and then the cells, each with its position; the attention of the first over all.
    fn run(&self, x: &Images, out: &mut [f32]) -> Result<()> {
        let c = x.channels;
        let tokens = self.cells() + 1;
        let positions = floats(&self.positions)?;
        let mut states = Vec::with_capacity(x.values.len() / (tokens - 1) * tokens);
        let mut firsts = Vec::new();
        for image in x.values.chunks_exact((tokens - 1) * c) {
            let at = states.len();
            states.extend_from_slice(&positions[..c]);
            for cell in image.chunks_exact(c) {
                for (mean, value) in states[at..].iter_mut().zip(cell) {
                    *mean += value / (tokens - 1) as f32;
                }
            }
            firsts.extend_from_slice(&states[at..]);
            let cells = image.iter().zip(&positions[c..]);
            states.extend(cells.map(|(value, position)| value + position));
        }
        let mut queries = vec![0.0; firsts.len()];
        self.query.run(&firsts, &mut queries)?;
        let mut keys_values = vec![0.0; 2 * states.len()];
        self.keys_values.run(&states, &mut keys_values)?;
        let mut mixed = vec![0.0; queries.len()];
        let items = queries
            .chunks_exact(c)
            .zip(keys_values.chunks_exact(tokens * 2 * c));
        for ((query, keys_values), mixed) in items.zip(mixed.chunks_exact_mut(c)) {
            self.attend(query, keys_values, mixed);
        }
        self.out.run(&mixed, out)
    }

    /// One query over `(tokens, 2 c)` keys and values.
    fn attend(&self, query: &[f32], keys_values: &[f32], mixed: &mut [f32]) {
        let c = query.len();
        let d = c / self.heads;
        let scale = 1.0 / (d as f32).sqrt();
        for (head, mixed) in mixed.chunks_exact_mut(d).enumerate() {
            let query = &query[head * d..][..d];
            let rows = || keys_values.chunks_exact(2 * c);
            let scores: Vec<f32> = rows()
                .map(|row| {
                    let key = row[head * d..][..d].iter();
                    scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>()
                })
                .collect();
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shares: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f32 = shares.iter().sum();
            for (row, share) in rows().zip(shares) {
                for (sum, value) in mixed.iter_mut().zip(&row[c + head * d..][..d]) {
                    *sum += share / total * value;
                }
            }
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, _, _) = x.dims4()?;
        let cells = x.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let mean = cells.mean_keepdim(1)?;
        let states = Tensor::cat(&[&mean, &cells], 1)?.broadcast_add(&self.positions)?;
        let (tokens, h) = (states.dim(1)?, self.heads);
        let firsts = states.narrow(1, 0, 1)?.reshape((b, c))?;
        let queries = self.query.forward(&firsts)?.reshape((b, h, 1, c / h))?;
        let keys_values = self
            .keys_values
            .forward(&states.reshape((b * tokens, c))?)?
            .reshape((b, tokens, 2, h, c / h))?
            .permute((2, 0, 3, 1, 4))?
            .contiguous()?;
        let (keys, values) = (keys_values.get(0)?, keys_values.get(1)?);
        let scale = ((c / h) as f64).powf(-0.5);
        let scores = (queries * scale)?.matmul(&keys.transpose(D::Minus2, D::Minus1)?)?;
        let mixed = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&values)?;
        self.out.forward(&mixed.reshape((b, c))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::tests::{largest_difference, numbers};
    use super::*;

    #[test]
    fn the_attention_at_the_end_is_what_any_device_computes() {
        let (c, cells, heads) = (24, 4, 3);
        let affine = |outputs, seed| Affine {
            weight: (numbers(&[c, outputs], seed) * 0.1).unwrap(),
            bias: numbers(&[outputs], seed),
        };
        let pool = AttentionPool {
            positions: numbers(&[cells + 1, c], 1.0),
            query: affine(c, 2.0),
            keys_values: affine(2 * c, 3.0),
            out: affine(10, 4.0),
            heads,
        };
        let x = numbers(&[2, 2, 2, c], 5.0);
        let images = Images {
            values: floats(&x).unwrap().to_vec(),
            height: 2,
            width: 2,
            channels: c,
        };
        let plain = pool.forward(&x.permute((0, 3, 1, 2)).unwrap()).unwrap();
        let mut fused = vec![0.0; 20];
        pool.run(&images, &mut fused).unwrap();
        assert!(largest_difference(&fused, &plain) < 1e-4);
    }
}
