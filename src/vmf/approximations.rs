//! Published approximations of the concentration, for comparison; [`solve`](super::concentration::solve) is exact.
//!
//! All take the dimension `d` and the mean resultant length `r` in `[0, 1)`.
//!
//! # References
//! - Banerjee, Dhillon, Ghosh & Sra (2005), Clustering on the unit hypersphere using von Mises-Fisher distributions,
//!   JMLR 6, (4.4).
//! - Tanabe, Fukumizu, Oba, Takenouchi & Ishii (2007), Parameter estimation for von Mises-Fisher distributions,
//!   Comput. Stat. 22.
//! - Sra (2012), A short note on parameter approximation for von Mises-Fisher distributions, Comput. Stat. 27.
//! - Song, Liu & Wang (2012), High-order parameter approximation for von Mises-Fisher distributions, Appl. Math.
//!   Comput. 218.

use super::concentration::mean_resultant;

/// `r (d - r^2) / (1 - r^2)`.
pub fn banerjee_2005(dimension: usize, r: f64) -> f64 {
    r * (dimension as f64 - r * r) / (1.0 - r * r)
}

/// The secant through the fixed-point map `kappa -> r kappa / A(kappa)` at its bounds `r (d - 2) / (1 - r^2)` and
/// `r d / (1 - r^2)`.
pub fn tanabe_2007(dimension: usize, r: f64) -> f64 {
    let d = dimension as f64;
    let (low, high) = (r * (d - 2.0) / (1.0 - r * r), r * d / (1.0 - r * r));
    let image = |kappa: f64| match kappa {
        // The limit of kappa / A at zero is d.
        0.0 => r * d,
        _ => r * kappa / mean_resultant(dimension, kappa).value,
    };
    let (from, to) = (image(low), image(high));
    if high == low {
        return high;
    }
    (low * to - high * from) / ((to - from) - (high - low))
}

/// Two Newton steps from [`banerjee_2005`].
pub fn sra_2012(dimension: usize, r: f64) -> f64 {
    let mut kappa = banerjee_2005(dimension, r);
    for _ in 0..2 {
        let a = mean_resultant(dimension, kappa);
        kappa -= (a.value - r) / a.derivative;
    }
    kappa
}

/// Two Halley steps from [`banerjee_2005`].
pub fn song_2012(dimension: usize, r: f64) -> f64 {
    let mut kappa = banerjee_2005(dimension, r);
    if kappa == 0.0 {
        return 0.0;
    }
    let freedom = dimension as f64 - 1.0;
    for _ in 0..2 {
        let a = mean_resultant(dimension, kappa);
        let excess = a.value - r;
        // The derivative of A' = 1 - A^2 - (d - 1) A / kappa.
        let second =
            -2.0 * a.value * a.derivative - freedom * (a.derivative - a.value / kappa) / kappa;
        kappa -=
            2.0 * excess * a.derivative / (2.0 * a.derivative * a.derivative - excess * second);
    }
    kappa
}
