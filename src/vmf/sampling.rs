//! Samples of a von Mises-Fisher distribution.
//!
//! The cosine to the mean by the rejection envelope of Wood (1994), Simulation of the von Mises Fisher
//! distribution, Commun. Stat. Simul. 23, written in `u = 1 - t` so that it is exact at any concentration;
//! the rest uniform in the tangent space; both turned onto the mean by one Householder reflection.

use ndarray::{Array2, NdFloat};
use rand::Rng;
use rand_distr::{Beta, Distribution, StandardNormal};

use super::VonMisesFisher;

impl VonMisesFisher {
    /// Draws `n` unit vectors, shape `(n, dimension)`.
    ///
    /// ```
    /// use ndarray::array;
    /// use rand::SeedableRng;
    /// let vmf = vmfmix::vmf::VonMisesFisher::new(array![0.0, 0.0, 1.0], 50.0)?;
    /// let x = vmf.sample::<f32>(100, &mut rand_xoshiro::Xoshiro256Plus::seed_from_u64(42));
    /// assert_eq!(x.dim(), (100, 3));
    /// # Ok::<(), vmfmix::vmf::VmfError>(())
    /// ```
    pub fn sample<F: NdFloat>(&self, n: usize, rng: &mut impl Rng) -> Array2<F> {
        let d = self.dimension();
        let mean = self.mean();
        // H maps e_1 to -sign mu, so that -sign H maps it to mu; this sign keeps `reflector` away from zero.
        let sign = mean[0].signum();
        let mut reflector = mean.to_owned();
        reflector[0] += sign;
        let half_square = 1.0 + mean[0].abs();
        let envelope = Envelope::new(d, self.concentration());
        let mut row = vec![0.0; d];
        let mut out = Array2::zeros((n, d));
        for mut target in out.rows_mut() {
            let u = envelope.sample(rng);
            row[1..].fill_with(|| StandardNormal.sample(rng));
            let length = row[1..].iter().map(|x| x * x).sum::<f64>().sqrt();
            let scale = (u * (2.0 - u)).sqrt() / length;
            row[1..].iter_mut().for_each(|x| *x *= scale);
            row[0] = 1.0 - u;
            let shift = row.iter().zip(&reflector).map(|(x, r)| x * r).sum::<f64>() / half_square;
            for ((out, x), r) in target.iter_mut().zip(&row).zip(&reflector) {
                *out = F::from(sign * (shift * r - x)).expect("a finite number fits any float");
            }
        }
        out
    }
}

/// Wood's envelope for `1 - t`.
struct Envelope {
    kappa: f64,
    freedom: f64,
    b: f64,
    /// One minus the mode `x_0 = (1 - b) / (1 + b)` of the envelope.
    gap: f64,
    peak: f64,
    beta: Beta<f64>,
}

impl Envelope {
    fn new(dimension: usize, kappa: f64) -> Self {
        let freedom = dimension as f64 - 1.0;
        let b = freedom / (2.0 * kappa + (2.0 * kappa).hypot(freedom));
        let gap = 2.0 * b / (1.0 + b);
        Self {
            kappa,
            freedom,
            b,
            gap,
            peak: -kappa * gap + freedom * (gap * (2.0 - gap)).ln(),
            beta: Beta::new(freedom / 2.0, freedom / 2.0).expect("the dimension is at least 2"),
        }
    }

    fn sample(&self, rng: &mut impl Rng) -> f64 {
        loop {
            let z = self.beta.sample(rng);
            let u = 2.0 * self.b * z / (1.0 - (1.0 - self.b) * z);
            let ln_ratio =
                self.freedom * (self.gap + (1.0 - self.gap) * u).ln() - self.kappa * u - self.peak;
            if ln_ratio >= rng.r#gen::<f64>().ln() {
                return u;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256Plus;

    #[test]
    fn samples_have_unit_length_and_the_mean_resultant_length_of_theory() {
        let n = 4000;
        for (d, kappa) in [(2, 1.0), (3, 0.0), (64, 50.0), (768, 500.0), (16, 1e8)] {
            let mean = Array1::from_shape_fn(d, |i| (i as f64 * 0.7 + 2.0).sin());
            let vmf = VonMisesFisher::new(mean, kappa).unwrap();
            let x = vmf.sample::<f64>(n, &mut Xoshiro256Plus::seed_from_u64(1));
            assert!(
                x.rows()
                    .into_iter()
                    .all(|row| (row.dot(&row) - 1.0).abs() < 1e-12)
            );
            let cosines = x.dot(&vmf.mean());
            let a = vmf.mean_resultant_length();
            let variance = super::super::concentration::mean_resultant_length_derivative(d, kappa);
            let standard_error = (variance / n as f64).sqrt();
            assert!(
                (cosines.mean().unwrap() - a).abs() < 4.0 * standard_error + 1e-12,
                "d = {d}, kappa = {kappa}"
            );
        }
    }
}
