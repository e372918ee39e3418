//! Pillow's antialiased bicubic and bilinear resampling, byte for byte.
//!
//! An output pixel is a weighted mean of the input pixels under a kernel that is widened by the scale when the image
//! shrinks. Weights are computed in f64, normalised, and rounded to integers with 22 fractional bits; the first pass
//! rounds to bytes before the second begins. Anything smoother gives other bytes, and so does the other order of the
//! passes: the horizontal one comes first, but for pictures that lose much more of their height than of their width.
//!
//! # References
//! 1. R. Keys, *Cubic convolution interpolation for digital image processing*, IEEE Trans. ASSP 29(6), 1981: the kernel, a = -1/2.
//! 2. Pillow, `src/libImaging/Resample.c`: bounds, rounding and the order of the passes.

use pulp::{Arch, Simd, WithSimd};

use super::Picture;

/// Fractional bits of a weight: 8 bits of pixel and 2 bits of headroom for the kernel's negative lobes leave 22 of 32.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Taps are filled up with zeros to a multiple of this, so that the sums need no remainder.
const LANES: usize = 8;

/// The kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// A triangle.
    Bilinear,
    /// Reference 1, equation 15, with a = -1/2.
    Bicubic,
}

/// A rectangle of the output, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The part of `picture`, scaled to `width x height`, that lies in `window`.
pub(super) fn resize(
    picture: &Picture,
    width: usize,
    height: usize,
    window: Window,
    filter: Filter,
) -> Picture {
    if is_vertical_first(picture, width, height) {
        let turned = Window {
            left: window.top,
            top: window.left,
            width: window.height,
            height: window.width,
        };
        let picture = transposed(picture);
        transposed(&passes(&picture, height, width, turned, filter))
    } else {
        passes(picture, width, height, window, filter)
    }
}

/// The order of Pillow 13; earlier ones always begin with the horizontal pass. The bound is what 677 sizes show, random
/// ones and those next to it, each of whose bytes follow from one order only.
fn is_vertical_first(picture: &Picture, width: usize, height: usize) -> bool {
    let (from_width, from_height) = (picture.width(), picture.height());
    from_height > height && from_height - height > 2 * from_width.saturating_sub(width)
}

/// Rows become columns.
fn transposed(picture: &Picture) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let pixel = |x: usize, y: usize| &picture.rgb()[3 * (y * width + x)..][..3];
    let turned = (0..width).flat_map(|x| (0..height).flat_map(move |y| pixel(x, y)));
    Picture::from_trusted(height, width, turned.copied().collect())
}

/// The horizontal pass, then the vertical one.
fn passes(
    picture: &Picture,
    width: usize,
    height: usize,
    window: Window,
    filter: Filter,
) -> Picture {
    let columns = Taps::new(picture.width(), width, window.left, window.width, filter);
    let rows = Taps::new(picture.height(), height, window.top, window.height, filter);
    Arch::new().dispatch(Passes {
        picture,
        columns: &columns,
        rows: &rows,
    })
}

/// For each output position the first input position and the weights from there on.
struct Taps {
    first: Vec<usize>,
    weights: Vec<i32>,
    stride: usize,
}

impl Taps {
    /// The taps of the output positions `offset..offset + count` when `from` pixels become `to`.
    fn new(from: usize, to: usize, offset: usize, count: usize, filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let stride = (support.ceil() as usize * 2 + 1).next_multiple_of(LANES);
        let mut first = Vec::with_capacity(count);
        let mut weights = vec![0; count * stride];
        let mut raw = Vec::with_capacity(stride);
        for (position, row) in (offset..offset + count).zip(weights.chunks_exact_mut(stride)) {
            let centre = (position as f64 + 0.5) * scale;
            let low = (centre - support + 0.5).max(0.0) as usize;
            let high = ((centre + support + 0.5) as usize).min(from);
            raw.clear();
            let distance = |x| (x as f64 - centre + 0.5) * (1.0 / widening);
            raw.extend((low..high).map(|x| filter.at(distance(x))));
            let sum: f64 = raw.iter().sum();
            for (weight, &value) in row.iter_mut().zip(&raw) {
                let value = if sum == 0.0 { value } else { value / sum };
                *weight = fixed_point(value);
            }
            first.push(low);
        }
        Taps {
            first,
            weights,
            stride,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.stride);
        self.first.iter().copied().zip(weights)
    }

    fn len(&self) -> usize {
        self.first.len()
    }

    /// The input positions that any output position needs.
    fn span(&self, limit: usize) -> std::ops::Range<usize> {
        let last = self.first.last().map_or(0, |first| first + self.stride);
        self.first.first().copied().unwrap_or(0)..last.min(limit)
    }
}

impl Filter {
    /// Half its width, in output pixels when shrinking and input pixels when growing.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Filter::Bicubic => 0.0,
        }
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (scaled + 0.5_f64.copysign(weight)) as i32
}

#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

struct Passes<'a> {
    picture: &'a Picture,
    columns: &'a Taps,
    rows: &'a Taps,
}

impl WithSimd for Passes<'_> {
    type Output = Picture;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Picture {
        const HALF: i32 = 1 << (PRECISION_BITS - 1);
        let Passes {
            picture,
            columns,
            rows,
        } = self;
        let width = columns.len();
        let span = rows.span(picture.height());

        let mut narrow = vec![0_u8; span.len() * width * 3];
        let padded = picture.width() + columns.stride;
        let mut planes = vec![0_i32; 3 * padded];
        let input = picture.rgb().chunks_exact(picture.width() * 3);
        for (row, out) in input
            .skip(span.start)
            .zip(narrow.chunks_exact_mut(width * 3))
        {
            let (red, rest) = planes.split_at_mut(padded);
            let (green, blue) = rest.split_at_mut(padded);
            for (pixel, ((r, g), b)) in row
                .chunks_exact(3)
                .zip(red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut()))
            {
                *r = i32::from(pixel[0]);
                *g = i32::from(pixel[1]);
                *b = i32::from(pixel[2]);
            }
            for ((first, weights), pixel) in columns.iter().zip(out.chunks_exact_mut(3)) {
                for (plane, byte) in planes.chunks_exact(padded).zip(pixel) {
                    let taps = plane[first..first + weights.len()].iter();
                    let sum: i32 = taps.zip(weights).map(|(p, w)| p * w).sum();
                    *byte = to_byte(HALF + sum);
                }
            }
        }

        let mut output = vec![0_u8; rows.len() * width * 3];
        let mut sums = vec![0_i32; width * 3];
        for ((first, weights), out) in rows.iter().zip(output.chunks_exact_mut(width * 3)) {
            sums.fill(HALF);
            let from = narrow[(first - span.start) * width * 3..].chunks_exact(width * 3);
            for (row, &weight) in from.zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(row) {
                    *sum += i32::from(byte) * weight;
                }
            }
            for (byte, &sum) in out.iter_mut().zip(&sums) {
                *byte = to_byte(sum);
            }
        }
        Picture::from_trusted(width, rows.len(), output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 2] = [Filter::Bilinear, Filter::Bicubic];

    fn noise(width: usize, height: usize) -> Picture {
        let mut state = 1_u32;
        let bytes = (0..3 * width * height).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Picture::from_rgb(width, height, bytes.collect()).unwrap()
    }

    fn whole(width: usize, height: usize) -> Window {
        Window {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    #[test]
    fn the_same_size_gives_the_same_bytes() {
        let picture = noise(13, 7);
        for filter in FILTERS {
            assert_eq!(resize(&picture, 13, 7, whole(13, 7), filter), picture);
        }
    }

    #[test]
    fn a_window_is_a_part_of_the_whole() {
        let picture = noise(97, 61);
        let all = resize(&picture, 40, 30, whole(40, 30), Filter::Bicubic);
        let window = Window {
            left: 7,
            top: 5,
            width: 20,
            height: 11,
        };
        let part = resize(&picture, 40, 30, window, Filter::Bicubic);
        for y in 0..11 {
            let row = &all.rgb()[3 * ((y + 5) * 40 + 7)..][..60];
            assert_eq!(&part.rgb()[60 * y..][..60], row);
        }
    }

    #[test]
    fn a_tall_picture_loses_its_height_first() {
        let small = resize(&noise(5, 24), 3, 3, whole(3, 3), Filter::Bicubic);
        // Pillow 13: Image.resize((3, 3), BICUBIC); the other order differs in 4 of the bytes.
        let expected = [
            158, 131, 97, 124, 136, 131, 107, 140, 138, 130, 123, 112, 135, 104, 124, 143, 128,
            140, 120, 114, 137, 152, 140, 139, 167, 157, 127,
        ];
        assert_eq!(small.rgb(), expected);
    }

    #[test]
    fn weights_of_each_position_sum_to_one() {
        for (from, to) in [(640, 224), (224, 224), (10, 224), (1, 5), (3000, 7)] {
            for filter in FILTERS {
                for (_, weights) in Taps::new(from, to, 0, to, filter).iter() {
                    let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
                    let error = (sum - (1 << PRECISION_BITS)).unsigned_abs() as usize;
                    assert!(error <= weights.len(), "{filter:?}, {from} to {to}: {sum}");
                }
            }
        }
    }

    #[test]
    fn one_pixel_spreads_over_the_whole_output() {
        let dot = Picture::from_rgb(1, 1, vec![10, 200, 255]).unwrap();
        let large = resize(&dot, 9, 4, whole(9, 4), Filter::Bicubic);
        assert!(large.rgb().chunks(3).all(|pixel| pixel == [10, 200, 255]));
    }
}
