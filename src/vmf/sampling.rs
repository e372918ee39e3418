//! Samples of a von Mises-Fisher distribution.
//!
//! The cosine to the mean by the rejection envelope of Wood (1994), Simulation of the von Mises Fisher
//! distribution, Commun. Stat. Simul. 23, written in `u = 1 - t` so that it is exact at any concentration;
//! the rest uniform in the tangent space; both turned onto the mean by one Householder reflection.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayViewMut1, ArrayViewMut2, Axis, NdFloat};
use rand::{Rng, SeedableRng};
use rand_distr::{Beta, Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256Plus;

use super::VonMisesFisher;

/// Rows that one stream of random numbers fills in parallel sampling.
const STREAM_ROWS: usize = 256;

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
        let mut rows = Array2::zeros((n, self.dimension()));
        self.sample_into(rows.view_mut(), rng);
        rows
    }

    /// Fills rows, shape `(n, dimension)`, with unit vectors.
    ///
    /// # Panics
    /// The rows have another dimension than the distribution.
    pub fn sample_into<F: NdFloat>(&self, rows: ArrayViewMut2<'_, F>, rng: &mut impl Rng) {
        Sampler::new(self).fill(rows, rng);
    }

    /// Fills rows, shape `(n, dimension)`, with unit vectors, on all threads of the current pool. The same seed gives
    /// the same rows for any number of threads.
    ///
    /// # Panics
    /// The rows have another dimension than the distribution.
    ///
    /// ```
    /// use ndarray::{array, Array2};
    /// let vmf = vmfmix::vmf::VonMisesFisher::new(array![0.0, 0.0, 1.0], 50.0)?;
    /// let mut x = Array2::<f64>::zeros((1000, 3));
    /// vmf.par_sample_into(x.view_mut(), 42);
    /// # Ok::<(), vmfmix::vmf::VmfError>(())
    /// ```
    pub fn par_sample_into<F: NdFloat>(&self, mut rows: ArrayViewMut2<'_, F>, seed: u64) {
        let sampler = Sampler::new(self);
        // One generator, each time 2^128 numbers further on.
        let mut next = Xoshiro256Plus::seed_from_u64(seed);
        let streams: Vec<_> = (0..rows.nrows().div_ceil(STREAM_ROWS))
            .map(|_| {
                let stream = next.clone();
                next.jump();
                stream
            })
            .collect();
        rows.axis_chunks_iter_mut(Axis(0), STREAM_ROWS)
            .into_par_iter()
            .zip(streams)
            .for_each(|(rows, mut rng)| sampler.fill(rows, &mut rng));
    }
}

impl Distribution<Array1<f64>> for VonMisesFisher {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> Array1<f64> {
        let mut row = Array1::zeros(self.dimension());
        Sampler::new(self).draw(row.view_mut(), rng, &mut vec![0.0; self.dimension()]);
        row
    }
}

/// What all samples of a distribution share.
struct Sampler {
    envelope: Envelope,
    /// The vector `reflector` of the reflection `H = I - reflector reflector^T / half_square` that takes the first axis
    /// to `-sign mu`, so that `-sign H` takes it to `mu`; this sign keeps the reflector away from zero.
    reflector: Vec<f64>,
    half_square: f64,
    sign: f64,
}

impl Sampler {
    fn new(vmf: &VonMisesFisher) -> Self {
        let mut reflector = vmf.mean().to_vec();
        let (sign, half_square) = (reflector[0].signum(), 1.0 + reflector[0].abs());
        reflector[0] += sign;
        Self {
            envelope: Envelope::new(vmf.dimension(), vmf.concentration()),
            reflector,
            half_square,
            sign,
        }
    }

    fn fill<F: NdFloat>(&self, mut rows: ArrayViewMut2<'_, F>, rng: &mut impl Rng) {
        assert_eq!(rows.ncols(), self.reflector.len(), "columns and dimension");
        let mut scratch = vec![0.0; self.reflector.len()];
        for row in rows.rows_mut() {
            self.draw(row, rng, &mut scratch);
        }
    }

    fn draw<F: NdFloat, R: Rng + ?Sized>(
        &self,
        mut row: ArrayViewMut1<'_, F>,
        rng: &mut R,
        scratch: &mut [f64],
    ) {
        let u = self.envelope.sample(rng);
        scratch[1..].fill_with(|| StandardNormal.sample(rng));
        let length = scratch[1..].iter().map(|x| x * x).sum::<f64>().sqrt();
        let scale = (u * (2.0 - u)).sqrt() / length;
        scratch[1..].iter_mut().for_each(|x| *x *= scale);
        scratch[0] = 1.0 - u;
        let pairs = scratch.iter().zip(&self.reflector);
        let shift = pairs.map(|(x, r)| x * r).sum::<f64>() / self.half_square;
        for ((out, x), r) in row.iter_mut().zip(scratch).zip(&self.reflector) {
            *out = F::from(self.sign * (shift * r - *x)).expect("a finite number fits any float");
        }
    }
}

/// The envelope of the cosine `t = 1 - u`: a transformed beta distribution.
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

    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
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
            let a = super::super::concentration::mean_resultant(d, kappa);
            let standard_error = (a.derivative / n as f64).sqrt();
            assert!(
                (cosines.mean().unwrap() - a.value).abs() < 4.0 * standard_error + 1e-12,
                "d = {d}, kappa = {kappa}"
            );
        }
    }
}
