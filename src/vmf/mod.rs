//! One von Mises-Fisher distribution on the unit sphere of R^d.
//!
//! Notation, used throughout: `d` the dimension of the ambient space, `v = d/2 - 1` the order of the Bessel
//! functions, `kappa` the concentration, `mu` the mean direction, `t = mu . x` the cosine to it.
//!
//! The density against the **uniform** probability measure of the sphere is `exp(kappa t - L(kappa))` with
//! `L(kappa) = ln 0F1(; d/2; kappa^2 / 4)`, which is 0 at `kappa = 0`; against the **surface** measure
//! `ln |S^(d-1)|` is subtracted (Mardia & Jupp 2000, section 9.3.2).

pub mod approximations;
pub mod bessel;
pub mod concentration;
mod distribution;
mod divergence;
mod quadrature;
mod radial;
mod sampling;

pub use distribution::{
    FisherInformation, LARGEST_CONCENTRATION, VmfError, VonMisesFisher, ln_normaliser,
    ln_normaliser_scaled, ln_sphere_area,
};
pub use radial::Radial;
