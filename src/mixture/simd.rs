//! Loops over logits that a compiler turns into vector instructions when inlined where those are allowed.

use std::f64::consts::LOG2_E;

use linfa::Float;

use super::kernel::float;

/// Independent running values: as many as the widest vectors hold, twice.
const LANES: usize = 16;

/// `1.5 2^52`: adding it rounds to an integer, whose bits are then the lowest.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// `ln 2`, split so that its product with an exponent is exact in the first part (Cody & Waite 1980).
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// Below this the exponential is below the smallest normal number and counts as that.
const LOWEST: f64 = -708.0;

/// `1 / n!`; on `|x| <= ln 2 / 2` the series to the twelfth power is exact to 2e-16.
const INVERSE_FACTORIALS: [f64; 13] = {
    let mut values = [1.0; 13];
    let mut n = 1;
    while n < 13 {
        values[n] = values[n - 1] / n as f64;
        n += 1;
    }
    values
};

/// The largest value; minus infinity for none.
#[inline(always)]
pub(super) fn largest(values: &[f64]) -> f64 {
    let mut most = [f64::NEG_INFINITY; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (most, &x) in most.iter_mut().zip(chunk) {
            *most = if x > *most { x } else { *most };
        }
    }
    most.iter().chain(chunks.remainder()).fold(
        f64::NEG_INFINITY,
        |most, &x| if x > most { x } else { most },
    )
}

/// Position of the first value that is not below the largest; 0 where none is, as among values that are no numbers.
#[inline(always)]
pub(super) fn argmax(values: &[f64], largest: f64) -> usize {
    values.iter().position(|&x| x >= largest).unwrap_or(0)
}

/// The product of two vectors of the same length.
#[inline(always)]
pub(super) fn dot<F: Float>(a: &[F], b: &[F]) -> F {
    let mut sums = [F::zero(); 2 * LANES];
    let (mut a_chunks, mut b_chunks) = (a.chunks_exact(2 * LANES), b.chunks_exact(2 * LANES));
    for (a, b) in (&mut a_chunks).zip(&mut b_chunks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest = rest.fold(F::zero(), |sum, (&a, &b)| sum + a * b);
    sums.iter().fold(rest, |sum, &x| sum + x)
}

/// The squared distance of `scale a` from `b`, vectors of the same length, in `f64`.
#[inline(always)]
pub(super) fn square_distance<F: Float>(a: &[F], scale: f64, b: &[f64]) -> f64 {
    let square = |a: F, b: f64| {
        let difference = float(a) * scale - b;
        difference * difference
    };
    let mut sums = [0.0; LANES];
    let (mut a_chunks, mut b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut a_chunks).zip(&mut b_chunks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += square(a, b);
        }
    }
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f64 = rest.map(|(&a, &b)| square(a, b)).sum();
    sums.iter().fold(rest, |sum, &x| sum + x)
}

/// Position and value of the largest, and the value of the second largest; the first of equals.
pub(super) fn two_largest<F: Float>(values: &[F]) -> (usize, F, F) {
    let (mut best, mut most, mut second) = (0, F::neg_infinity(), F::neg_infinity());
    for (i, &x) in values.iter().enumerate() {
        if x > second {
            if x > most {
                (best, most, second) = (i, x, most);
            } else {
                second = x;
            }
        }
    }
    (best, most, second)
}

/// Replaces values that are not positive by their exponentials, and sums these.
#[inline(always)]
pub(super) fn exp_in_place(values: &mut [f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let mut chunks = values.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = exp(*x);
            *sum += *x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(chunks.into_remainder()) {
        *x = exp(*x);
        *sum += *x;
    }
    sums.iter().sum()
}

/// The exponential of a number that is not positive.
#[inline(always)]
fn exp(x: f64) -> f64 {
    let x = if x > LOWEST { x } else { LOWEST };
    let shifted = x * LOG2_E + ROUNDING;
    let exponent = shifted - ROUNDING;
    let rest = (x - exponent * LN_2_HIGH) - exponent * LN_2_LOW;
    let series = INVERSE_FACTORIALS
        .iter()
        .rev()
        .fold(0.0, |sum, c| sum * rest + c);
    series * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for i in 0..=700_000 {
            let x = -f64::from(i) / 1000.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-15, "{x}");
        }
        assert!(exp(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn maxima_and_sums_are_those_of_plain_loops() {
        for n in [1, 7, 16, 33] {
            let values: Vec<f64> = (0..n).map(|i| -f64::from(i * 7 % 11)).collect();
            let most = largest(&values);
            assert_eq!((most, argmax(&values, most)), (0.0, 0));
            let mut exponentials = values.clone();
            let sum = exp_in_place(&mut exponentials);
            let expected: f64 = values.iter().map(|x| x.exp()).sum();
            assert!((sum / expected - 1.0).abs() < 1e-14);
        }
    }
}
