//! The concentration that belongs to a mean resultant length: `A_d(kappa) = r` solved for `kappa`.
//!
//! # References
//! - Amos (1974), Computation of modified Bessel functions and their ratios, Math. Comp. 28, (11) and (16).
//! - Hornik & Gruen (2014), On maximum likelihood estimation of the concentration parameter of von
//!   Mises-Fisher distributions, Comput. Stat. 29: their bounds bracket the root.

use super::bessel::ratio;

/// Newton steps from the bracket; two suffice in practice, the cap guards against rounding at the border.
const MAX_STEPS: usize = 50;

/// Relative width at which a step no longer changes the answer.
const RELATIVE_TOLERANCE: f64 = 1e-15;

/// The mean resultant length `A_d(kappa)` of a von Mises-Fisher distribution in dimension `d`.
pub fn mean_resultant_length(dimension: usize, kappa: f64) -> f64 {
    ratio(dimension as f64 / 2.0 - 1.0, kappa)
}

/// The derivative `A_d'(kappa) = A (1 / kappa + A_{d+2}(kappa) - A_d(kappa))`, the Fisher information of `kappa`.
pub fn mean_resultant_length_derivative(dimension: usize, kappa: f64) -> f64 {
    let d = dimension as f64;
    if kappa == 0.0 {
        return 1.0 / d;
    }
    let above = ratio(d / 2.0, kappa);
    let a = 1.0 / (d / kappa + above);
    a * (1.0 / kappa + above - a)
}

/// Solves `A_d(kappa) = r` by Newton's method, kept inside the bounds of Hornik & Gruen (2014).
///
/// Returns 0 for `r <= 0` and infinity for `r >= 1`, where no finite concentration exists.
///
/// ```
/// use vmfmix::vmf::concentration::{mean_resultant_length, solve};
/// let kappa = solve(768, 0.4);
/// assert!((mean_resultant_length(768, kappa) - 0.4).abs() < 1e-15);
/// ```
pub fn solve(dimension: usize, r: f64) -> f64 {
    if r <= 0.0 {
        return 0.0;
    }
    if r >= 1.0 {
        return f64::INFINITY;
    }
    let v = dimension as f64 / 2.0 - 1.0;
    // Upper bounds of A give lower bounds of kappa, and the other way round.
    let mut low =
        amos_inverse(r, v + 0.5, ((v + 0.5) * (v + 1.5)).sqrt()).max(amos_inverse(r, v, v + 2.0));
    let mut high = amos_inverse(r, v + 0.5, v + 1.5).max(low);
    let mut kappa = low;
    for _ in 0..MAX_STEPS {
        let a = ratio(v, kappa);
        if a < r {
            low = kappa
        } else {
            high = kappa
        }
        let newton = kappa - (a - r) / mean_resultant_length_derivative(dimension, kappa);
        let next = if (low..=high).contains(&newton) {
            newton
        } else {
            (low + high) / 2.0
        };
        let step = (next - kappa).abs();
        kappa = next;
        if step <= RELATIVE_TOLERANCE * kappa {
            break;
        }
    }
    kappa
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
    solve(dimension, ((n * r * r - 1.0) / (n - 1.0)).max(0.0).sqrt())
}

/// The inverse of Amos' bound `G(t) = t / (alpha + sqrt(t^2 + beta^2))`.
fn amos_inverse(r: f64, alpha: f64, beta: f64) -> f64 {
    let rest = (1.0 - r) * (1.0 + r);
    r * (alpha + (r * r * alpha * alpha + rest * beta * beta).sqrt()) / rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn inverts_the_mean_resultant_length(d in 2usize..2048, ln_kappa in -9.0f64..13.0) {
            let kappa = ln_kappa.exp();
            let r = mean_resultant_length(d, kappa);
            prop_assert!((0.0..1.0).contains(&r));
            prop_assert!(mean_resultant_length(d, kappa * 1.01) > r);
            // r carries 1.1e-16 absolute, which kappa sees through 1 / A'.
            let conditioning = 4.0 * f64::EPSILON * r / (mean_resultant_length_derivative(d, kappa) * kappa);
            prop_assert!((solve(d, r) / kappa - 1.0).abs() <= 1e-13 + conditioning);
        }
    }

    #[test]
    fn has_no_finite_answer_at_one_and_none_below_zero() {
        assert_eq!(solve(512, 1.0), f64::INFINITY);
        assert_eq!(solve(512, 0.0), 0.0);
    }
}
