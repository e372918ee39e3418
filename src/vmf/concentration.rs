//! The concentration that belongs to a mean resultant length: `A_d(kappa) = r` solved for `kappa`, and what is known
//! of the estimate.
//!
//! # References
//! - Amos (1974), Computation of modified Bessel functions and their ratios, Math. Comp. 28, (11) and (16).
//! - Hornik & Gruen (2014), On maximum likelihood estimation of the concentration parameter of von
//!   Mises-Fisher distributions, Comput. Stat. 29: their bounds bracket the root.
//! - Mardia & Jupp (2000), Directional Statistics, section 10.3.1: the standard error.

use statrs::distribution::{ContinuousCDF, Normal};

use super::bessel::Ratio;

/// Newton steps from the bracket; four suffice anywhere, the cap guards against rounding at the border.
const MAX_STEPS: usize = 50;

/// A Newton step this small, relative to the concentration, leaves an error far below rounding: it squares.
const RELATIVE_STEP: f64 = 1e-9;

/// The mean resultant length `A_d(kappa)`, its complement and its derivative, in dimension `d`.
pub fn mean_resultant(dimension: usize, kappa: f64) -> Ratio {
    Ratio::new(order(dimension), kappa)
}

/// The mean resultant length `A_d(kappa)` of a von Mises-Fisher distribution in dimension `d`.
pub fn mean_resultant_length(dimension: usize, kappa: f64) -> f64 {
    mean_resultant(dimension, kappa).value
}

/// Solves `A_d(kappa) = r`, the maximum likelihood estimate, by Newton's method kept inside the bounds of
/// Hornik & Gruen (2014).
///
/// Returns 0 for `r <= 0` and infinity for `r >= 1`, where no finite concentration exists.
///
/// ```
/// use vmfmix::vmf::concentration::{mean_resultant_length, solve};
/// let kappa = solve(768, 0.4);
/// assert!((mean_resultant_length(768, kappa) - 0.4).abs() < 1e-15);
/// ```
pub fn solve(dimension: usize, r: f64) -> f64 {
    root(dimension, r, 1.0 - r)
}

/// Solves `1 - A_d(kappa) = complement`: as [`solve`], for a mean resultant length so close to 1 that `f64` keeps too
/// few digits of it.
///
/// ```
/// // In three dimensions 1 - A tends to 1 / kappa.
/// assert_eq!(vmfmix::vmf::concentration::solve_complement(3, 1e-11).round(), 1e11);
/// ```
pub fn solve_complement(dimension: usize, complement: f64) -> f64 {
    root(dimension, 1.0 - complement, complement)
}

/// The concentration estimated from the mean resultant length `r` of `n` points, without the bias of the maximum
/// likelihood estimate: `E[r^2] = rho^2 + (1 - rho^2) / n` for `n` independent points of mean resultant length
/// `rho`, so that `rho^2 = (n r^2 - 1) / (n - 1)` takes the place of `r^2`. 0 where that is not positive,
/// and for `n <= 1`, which says nothing about the spread.
///
/// ```
/// // Twenty points in 768 dimensions make kappa = 300 look like 370.
/// use vmfmix::vmf::concentration::{bias_corrected, mean_resultant_length};
/// let (n, rho) = (20.0, mean_resultant_length(768, 300.0));
/// let r = (rho * rho + (1.0 - rho * rho) / n).sqrt();
/// assert!((bias_corrected(768, r, n) - 300.0).abs() < 1e-9);
/// ```
pub fn bias_corrected(dimension: usize, r: f64, n: f64) -> f64 {
    if n <= 1.0 {
        return 0.0;
    }
    let rest = n / (n - 1.0) * (1.0 - r) * (1.0 + r);
    let rho = (1.0 - rest).max(0.0).sqrt();
    root(dimension, rho, rest / (1.0 + rho))
}

/// The standard error of a concentration estimated from `n` points.
///
/// To first order `1 / sqrt(n A')`. In many dimensions few points are also nearly orthogonal to one another by chance,
/// which adds `2 (1 - A^2)^2 / ((d - 1) n^2)` to the variance of `r^2`; both are included. Infinite at `kappa = 0`.
pub fn standard_error(dimension: usize, kappa: f64, n: f64) -> f64 {
    let a = mean_resultant(dimension, kappa);
    let spread = a.complement * (1.0 + a.value);
    let chance = spread / (n * a.value * a.derivative);
    let first_order = 1.0 / (n * a.derivative);
    (first_order + chance * chance / (2.0 * (dimension as f64 - 1.0))).sqrt()
}

/// The interval that holds the concentration with probability `level`, from the mean resultant length `r` of `n`
/// points: the [bias-corrected](bias_corrected) estimate, and the normal quantile times its [`standard_error`] to
/// both sides, cut off at 0.
///
/// # Panics
/// `level` is not between 0 and 1.
pub fn confidence_interval(dimension: usize, r: f64, n: f64, level: f64) -> (f64, f64) {
    assert!(
        level > 0.0 && level < 1.0,
        "a level is a probability between 0 and 1, not {level}"
    );
    let kappa = bias_corrected(dimension, r, n);
    if kappa == 0.0 {
        // No more resultant than chance gives: what would give as much is still possible.
        return (0.0, solve(dimension, r));
    }
    let half =
        Normal::standard().inverse_cdf(0.5 + level / 2.0) * standard_error(dimension, kappa, n);
    ((kappa - half).max(0.0), kappa + half)
}

/// What is believed of a concentration before the data: as much as `strength` points with this mean resultant length
/// around the mean direction would say. It is the conjugate prior `p(kappa) ~ exp(strength (kappa
/// mean_resultant_length - ln 0F1(; d/2; kappa^2/4)))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Points it counts for, 0 for none.
    pub strength: f64,
    /// Their mean resultant length, in `[0, 1)`.
    pub mean_resultant_length: f64,
}

/// The concentration of greatest posterior density, given the mean resultant length `r` of `n` points: the solution of
/// `A_d(kappa) = (n r + strength r_0) / (n + strength)`. Finite for any data, identical points included, when the prior
/// has a positive strength.
///
/// ```
/// use vmfmix::vmf::concentration::{maximum_a_posteriori, solve, Prior};
/// let prior = Prior { strength: 1.0, mean_resultant_length: 0.0 };
/// assert_eq!(maximum_a_posteriori(8, 1.0, 9.0, prior), solve(8, 0.9));
/// ```
pub fn maximum_a_posteriori(dimension: usize, r: f64, n: f64, prior: Prior) -> f64 {
    let pooled = n * r + prior.strength * prior.mean_resultant_length;
    solve(dimension, pooled / (n + prior.strength))
}

fn order(dimension: usize) -> f64 {
    dimension as f64 / 2.0 - 1.0
}

/// The root of `A = r`, that is `1 - A = complement`, from whichever is given more precisely.
fn root(dimension: usize, r: f64, complement: f64) -> f64 {
    if r <= 0.0 {
        return 0.0;
    }
    if complement <= 0.0 {
        return f64::INFINITY;
    }
    let v = order(dimension);
    let rest = complement * (1.0 + r);
    // The inverse of Amos' bound t / (alpha + sqrt(t^2 + beta^2)) of A.
    let inverse = |alpha: f64, square_beta: f64| {
        r * (alpha + (r * r * alpha * alpha + rest * square_beta).sqrt()) / rest
    };
    // Upper bounds of A give lower bounds of kappa, and the other way round.
    let mut low = inverse(v + 0.5, (v + 0.5) * (v + 1.5)).max(inverse(v, (v + 2.0) * (v + 2.0)));
    let mut high = inverse(v + 0.5, (v + 1.5) * (v + 1.5)).max(low);
    let mut kappa = low;
    for _ in 0..MAX_STEPS {
        let a = Ratio::new(v, kappa);
        let excess = if r < 0.5 {
            a.value - r
        } else {
            complement - a.complement
        };
        if excess < 0.0 {
            low = kappa
        } else {
            high = kappa
        }
        let newton = kappa - excess / a.derivative;
        let next = if (low..=high).contains(&newton) {
            newton
        } else {
            (low + high) / 2.0
        };
        let step = (next - kappa).abs();
        kappa = next;
        if step <= RELATIVE_STEP * kappa {
            break;
        }
    }
    kappa
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn inverts_the_mean_resultant_length(d in 2usize..2048, ln_kappa in -9.0f64..25.0) {
            let kappa = ln_kappa.exp();
            let a = mean_resultant(d, kappa);
            prop_assert!((0.0..=1.0).contains(&a.value) && a.complement > 0.0);
            prop_assert!(mean_resultant(d, kappa * 1.01).complement < a.complement);
            prop_assert!((root(d, a.value, a.complement) / kappa - 1.0).abs() <= 1e-13);
            // r carries 1.1e-16 absolute, which kappa sees through 1 / A'.
            let conditioning = 4.0 * f64::EPSILON * a.value / (a.derivative * kappa);
            prop_assert!((solve(d, a.value) / kappa - 1.0).abs() <= 1e-13 + conditioning);
        }
    }

    #[test]
    fn has_no_finite_answer_at_one_and_none_below_zero() {
        assert_eq!(solve(512, 1.0), f64::INFINITY);
        assert_eq!(solve_complement(512, 0.0), f64::INFINITY);
        assert_eq!(solve(512, 0.0), 0.0);
        assert_eq!(solve_complement(512, 1.0), 0.0);
    }
}
