//! The distribution of the cosine to the mean.
//!
//! The angle `theta` to the mean has the density `exp(kappa cos theta) sin^(d-2) theta` up to a constant (Mardia & Jupp
//! 2000, 9.3.33), which is smooth and has one peak in every dimension. Its mass between two angles is integrated where
//! it counts, each tail relative to itself.

use std::f64::consts::PI;

use statrs::distribution::{Continuous, ContinuousCDF};
use statrs::statistics::{Max, Min};

use super::VonMisesFisher;
use super::quadrature::integral;

/// Nats below its largest value from where on the integrand is left out: 4e-18 of it.
const NEGLIGIBLE: f64 = 40.0;

/// Panels between the peak and where the integrand is negligible, at most five e-foldings each.
const PANELS: usize = 8;

/// Most bisections or Newton steps; both halve at least and end at the resolution of `f64`.
const MAX_STEPS: usize = 100;

/// The distribution of the cosine `t = mu . x`, by [`VonMisesFisher::radial`].
///
/// ```
/// use ndarray::array;
/// use statrs::distribution::ContinuousCDF;
/// // On the sphere of three dimensions a uniform direction has a uniform cosine (Archimedes).
/// let radial = vmfmix::vmf::VonMisesFisher::new(array![0.0, 0.0, 1.0], 0.0)?.radial();
/// assert!((radial.cdf(0.5) - 0.75).abs() < 1e-14);
/// # Ok::<(), vmfmix::vmf::VmfError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Radial {
    kappa: f64,
    /// The power `d - 2` of the sine.
    power: f64,
    /// The angle of the largest density.
    mode: f64,
    /// Mass of all angles, in units of the density at the mode.
    total: f64,
}

impl VonMisesFisher {
    /// The distribution of the cosine to the mean, and of the angle.
    pub fn radial(&self) -> Radial {
        Radial::new(self.dimension(), self.concentration())
    }

    /// The angle to the mean, in radians, within which this share of the distribution lies: the smallest region of that
    /// mass is the cap of this angle.
    ///
    /// # Panics
    /// `mass` is not between 0 and 1.
    pub fn highest_density_angle(&self, mass: f64) -> f64 {
        self.radial().angle(mass)
    }
}

impl Radial {
    /// The distribution in dimension `d` at least 2, of concentration `kappa`.
    pub(super) fn new(dimension: usize, kappa: f64) -> Self {
        let power = dimension as f64 - 2.0;
        // The peak solves kappa sin^2 = power cos.
        let cosine = if kappa == 0.0 {
            0.0
        } else {
            2.0 * kappa / (power + power.hypot(2.0 * kappa))
        };
        let mode = match (kappa > 0.0, power > 0.0) {
            (_, false) => 0.0,
            (false, true) => PI / 2.0,
            (true, true) => (power * cosine / kappa).sqrt().atan2(cosine),
        };
        let mut radial = Self {
            kappa,
            power,
            mode,
            total: 1.0,
        };
        radial.total = radial.mass(mode, 0.0) + radial.mass(mode, PI);
        radial
    }

    /// The probability of an angle up to `theta`, in `[0, pi]`, to full relative precision.
    pub fn angle_cdf(&self, theta: f64) -> f64 {
        self.between(0.0, theta)
    }

    /// The angle within which this share of the probability lies.
    ///
    /// # Panics
    /// `mass` is not between 0 and 1.
    pub fn angle(&self, mass: f64) -> f64 {
        self.angle_of(mass, 1.0 - mass)
    }

    /// The angle with probability `within` inside and `beyond` outside, of which the smaller is used.
    fn angle_of(&self, within: f64, beyond: f64) -> f64 {
        assert!(
            (0.0..=1.0).contains(&within),
            "a probability lies between 0 and 1, not at {within}"
        );
        if within == 0.0 || beyond == 0.0 {
            return if within == 0.0 { 0.0 } else { PI };
        }
        let inside = within <= beyond;
        let (mut low, mut high) = (0.0, PI);
        let mut theta = self.mode;
        // Newton's method on the logarithm of the tail, which is nearly straight where the tail is small.
        for _ in 0..MAX_STEPS {
            let (tail, goal, sign) = if inside {
                (self.between(0.0, theta), within, 1.0)
            } else {
                (self.between(theta, PI), beyond, -1.0)
            };
            let excess = (tail / goal).ln();
            if excess * sign > 0.0 {
                high = theta
            } else {
                low = theta
            }
            let slope = sign * (self.ln_density(theta) - self.ln_density(self.mode)).exp()
                / (tail * self.total);
            let newton = theta - excess / slope;
            let next = if newton > low && newton < high {
                newton
            } else {
                (low + high) / 2.0
            };
            let step = (next - theta).abs();
            theta = next;
            if step <= f64::EPSILON * theta {
                break;
            }
        }
        theta
    }

    /// Probability of the angles between two.
    fn between(&self, low: f64, high: f64) -> f64 {
        let sum = if high <= self.mode {
            self.mass(high, low)
        } else if low >= self.mode {
            self.mass(low, high)
        } else {
            self.mass(self.mode, low) + self.mass(self.mode, high)
        };
        sum / self.total
    }

    /// Mass between `near` and `end`, where the density falls from `near` on.
    fn mass(&self, near: f64, end: f64) -> f64 {
        let top = self.ln_density(near);
        if top == f64::NEG_INFINITY {
            return 0.0;
        }
        let mut far = end;
        if self.ln_density(end) < top - NEGLIGIBLE {
            let mut inner = near;
            for _ in 0..MAX_STEPS {
                let middle = (inner + far) / 2.0;
                let fall = top - self.ln_density(middle);
                if fall < NEGLIGIBLE {
                    inner = middle
                } else {
                    far = middle
                }
                if (NEGLIGIBLE..NEGLIGIBLE + 1.0).contains(&fall) {
                    break;
                }
            }
        }
        let width = (far - near) / PANELS as f64;
        let panel = |i: usize| {
            let start = near + i as f64 * width;
            integral(start, start + width, |theta| {
                (self.ln_density(theta) - top).exp()
            })
        };
        let sum: f64 = (0..PANELS).map(panel).sum();
        sum.abs() * (top - self.ln_density(self.mode)).exp()
    }

    /// Log-density of an angle up to a constant: `kappa (cos theta - 1) + (d - 2) ln sin theta`.
    fn ln_density(&self, theta: f64) -> f64 {
        let half = (theta / 2.0).sin();
        let tilt = -2.0 * self.kappa * half * half;
        if self.power == 0.0 {
            return tilt;
        }
        tilt + self.power * theta.sin().max(0.0).ln()
    }
}

impl Min<f64> for Radial {
    fn min(&self) -> f64 {
        -1.0
    }
}

impl Max<f64> for Radial {
    fn max(&self) -> f64 {
        1.0
    }
}

impl Continuous<f64, f64> for Radial {
    fn pdf(&self, t: f64) -> f64 {
        self.ln_pdf(t).exp()
    }

    fn ln_pdf(&self, t: f64) -> f64 {
        if !(-1.0..=1.0).contains(&t) {
            return f64::NEG_INFINITY;
        }
        let theta = t.acos();
        self.ln_density(theta) - self.ln_density(self.mode) - self.total.ln() - theta.sin().ln()
    }
}

impl ContinuousCDF<f64, f64> for Radial {
    fn cdf(&self, t: f64) -> f64 {
        self.between(t.clamp(-1.0, 1.0).acos(), PI)
    }

    fn sf(&self, t: f64) -> f64 {
        self.angle_cdf(t.clamp(-1.0, 1.0).acos())
    }

    fn inverse_cdf(&self, p: f64) -> f64 {
        self.angle_of(1.0 - p, p).cos()
    }
}
