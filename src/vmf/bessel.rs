//! Modified Bessel functions of the first kind `I_v(x)`, for real orders `v >= -1/2` and `x >= 0`, to some
//! units in the last place where any other implementation overflows, underflows or loses its digits.
//!
//! The von Mises-Fisher distribution needs them as `F_v(x) = 0F1(; v + 1; x^2 / 4) = Gamma(v + 1) (2 / x)^v I_v(x)`,
//! which is 1 at zero and whose logarithm never cancels, and as the ratio `A_v(x) = I_{v+1}(x) / I_v(x)` in `[0, 1)`.
//!
//! Three regimes:
//!
//! 1. `x^2 <= 4 (v + 1)`: the power series (DLMF 10.25.2). All terms are positive and each is at most `1 / m` of the
//!    one before, so that the remainder is below the last term added.
//! 2. `v >= 24`: Olver's uniform expansion (DLMF 10.41.3) as the exponential of a series in `1 / v`, which is
//!    differentiated term by term. Olver (1974, 10.7.15) bounds the relative remainder of `n` terms by
//!    `2 exp(2 V(U_1) / v) V(U_n) / v^n`, with `V(U)` the variation of a polynomial `U` on `[0, 1]`: below 2e-16 for
//!    the terms taken here, which a test computes.
//! 3. Otherwise the order is raised to 24 or more and brought down by the three-term recurrence (DLMF 10.29.1),
//!    in forms whose terms are positive. The complement and the derivative of the ratio lose digits on that way where
//!    `x` is large; from `x >= max(40, v^2)` on they come from Hankel's expansion (DLMF 10.40.1) instead. DLMF 10.40.10
//!    bounds its relative remainder by `2 exp(|v^2 - 1/4| / x)`, there below 6, times the first term left out; what it
//!    leaves out at any length is `exp(-2 x)`.
//!
//! # References
//! - DLMF: NIST Digital Library of Mathematical Functions, chapters 10.25, 10.29, 10.41.
//! - Olver (1974), Asymptotics and Special Functions, chapter 10, section 7.

use std::f64::consts::PI;

use libm::lgamma;

/// Orders from here on use Olver's expansion.
const OLVER_ORDER: f64 = 24.0;

/// From this argument on, and from `v^2` on, orders below [`OLVER_ORDER`] have their ratio by Hankel's expansion:
/// `exp(-2 x)` is there below `1e-34`.
const HANKEL_ARGUMENT: f64 = 40.0;

/// Terms of Olver's expansion at [`OLVER_ORDER`], the leading 1 included.
const OLVER_TERMS: usize = 12;

/// Terms that leave the same remainder from an order on: `(order, terms)`, falling.
const FEWER_TERMS: [(f64, usize); 3] = [(1000.0, 6), (200.0, 7), (70.0, 9)];

/// `LN_OLVER[k][j]` is the coefficient of `p^(k + 2 j)` in the polynomial `D_k(p)` of
/// `ln sum_k U_k(p) / v^k = sum_k D_k(p) / v^k`, with `U_k` as in DLMF 10.41.10.
const LN_OLVER: Coefficients = ln_olver_coefficients();

/// The coefficients of `p D_k'(p)`.
const LN_OLVER_SLOPE: Coefficients = times_power(LN_OLVER, 0);

/// The coefficients of `p^2 D_k''(p)`.
const LN_OLVER_BEND: Coefficients = times_power(LN_OLVER_SLOPE, 1);

type Coefficients = [[f64; OLVER_TERMS]; OLVER_TERMS];

/// `ln F_v(x)`, with `F_v(x) = 0F1(; v + 1; x^2 / 4)`, for `v >= -1/2` and `x >= 0`.
///
/// ```
/// // F_{1/2}(x) = sinh(x) / x
/// let x = 3.0_f64;
/// assert!((vmfmix::vmf::bessel::ln_hyp0f1(0.5, x) - (x.sinh() / x).ln()).abs() < 1e-15);
/// ```
pub fn ln_hyp0f1(v: f64, x: f64) -> f64 {
    if in_series(v, x) {
        series(v, x).ln_1p()
    } else {
        lowered(v, x, Olver::ln_hyp0f1)
    }
}

/// `ln F_v(x) - x`: what is left when the growth of `F_v` is taken out, without cancellation at large `x`.
pub fn ln_hyp0f1_scaled(v: f64, x: f64) -> f64 {
    if in_series(v, x) {
        series(v, x).ln_1p() - x
    } else {
        lowered(v, x, Olver::ln_hyp0f1_scaled)
    }
}

/// `ln I_v(x)`; minus infinity at `x = 0` unless `v = 0`.
///
/// ```
/// // I_0(1), from DLMF 10.25.2
/// assert!((vmfmix::vmf::bessel::ln_bessel_i(0.0, 1.0) - 1.2660658777520084_f64.ln()).abs() < 1e-15);
/// ```
pub fn ln_bessel_i(v: f64, x: f64) -> f64 {
    if v >= OLVER_ORDER {
        Olver::new(v, x).ln_bessel_i()
    } else {
        ln_hyp0f1(v, x) + ln_leading(v, x)
    }
}

/// `ln (exp(-x) I_v(x))`, the logarithm of what other libraries call `ive`, which underflows at high orders.
pub fn ln_bessel_i_scaled(v: f64, x: f64) -> f64 {
    if v >= OLVER_ORDER {
        Olver::new(v, x).ln_bessel_i_scaled()
    } else {
        ln_hyp0f1_scaled(v, x) + ln_leading(v, x)
    }
}

/// `A_v(x) = I_{v+1}(x) / I_v(x)`, in `[0, 1)`; see [`Ratio`] for what else comes with it.
///
/// ```
/// // I_{3/2}(x) / I_{1/2}(x) = coth(x) - 1 / x
/// let x = 2.0_f64;
/// assert!((vmfmix::vmf::bessel::ratio(0.5, x) - (1.0 / x.tanh() - 1.0 / x)).abs() < 1e-15);
/// ```
pub fn ratio(v: f64, x: f64) -> f64 {
    Ratio::new(v, x).value
}

/// [`ln_hyp0f1`] of many arguments.
///
/// # Panics
/// The slices differ in length.
pub fn ln_hyp0f1_into(v: f64, x: &[f64], out: &mut [f64]) {
    fill(x, out, |x| ln_hyp0f1(v, x));
}

/// [`ln_bessel_i`] of many arguments.
///
/// # Panics
/// The slices differ in length.
pub fn ln_bessel_i_into(v: f64, x: &[f64], out: &mut [f64]) {
    fill(x, out, |x| ln_bessel_i(v, x));
}

/// [`ratio`] of many arguments.
///
/// # Panics
/// The slices differ in length.
pub fn ratio_into(v: f64, x: &[f64], out: &mut [f64]) {
    fill(x, out, |x| ratio(v, x));
}

/// The ratio `A_v(x) = I_{v+1}(x) / I_v(x)` with its complement and its derivative, each to full relative precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// `A`, in `[0, 1)`; it rounds to 1 where `x` is some 1e16 times `v`.
    pub value: f64,
    /// `1 - A`, in `(0, 1]`.
    pub complement: f64,
    /// `A'`, the derivative by `x`.
    pub derivative: f64,
}

impl Ratio {
    /// Evaluates all three for `v >= -1/2` and `x >= 0`.
    pub fn new(v: f64, x: f64) -> Self {
        let top = raised_order(v);
        if top > v && x >= HANKEL_ARGUMENT.max(v * v) {
            return Self::hankel(v, x);
        }
        let mut ratio = Olver::new(top, x).ratio();
        let mut order = top;
        while order > v + 0.5 {
            ratio = ratio.lowered(order, x);
            order -= 1.0;
        }
        ratio
    }

    /// `ln A`, without loss where `A` is close to 1; minus infinity at `x = 0`.
    pub fn ln(&self) -> f64 {
        if self.complement < 0.5 {
            (-self.complement).ln_1p()
        } else {
            self.value.ln()
        }
    }

    /// By Hankel's expansion `I_v ~ exp(x) H / sqrt(2 pi x)`: `1 - A = (v + 1/2 - x H' / H) / x`.
    fn hankel(v: f64, x: f64) -> Self {
        // H, x H' and x (x H')', whose terms are those of H times -k and k^2.
        let (mut h, mut first, mut second) = (1.0, 0.0, 0.0);
        let (mut term, mut k) = (1.0_f64, 0.0);
        // The terms fall until k is some 2 x, which is far beyond the last one needed.
        while k * k * term.abs() > f64::EPSILON / 8.0 || k == 0.0 {
            k += 1.0;
            let odd = 2.0 * k - 1.0;
            term *= (odd - 2.0 * v) * (odd + 2.0 * v) / (8.0 * k * x);
            h += term;
            first -= k * term;
            second += k * k * term;
        }
        let slope = first / h;
        let scaled = v + 0.5 - slope;
        let complement = scaled / x;
        Self {
            value: 1.0 - complement,
            complement,
            derivative: (scaled + second / h - slope * slope) / (x * x),
        }
    }

    /// From order `order` to `order - 1`: `1 / A_{order-1} = 2 order / x + A_order` and its derivative.
    fn lowered(self, order: f64, x: f64) -> Self {
        let over_x = 1.0 / (2.0 * order + x * self.value);
        Self {
            value: x * over_x,
            complement: over_x * (2.0 * order - x * self.complement),
            derivative: over_x * over_x * (2.0 * order - x * x * self.derivative),
        }
    }
}

fn fill(x: &[f64], out: &mut [f64], f: impl Fn(f64) -> f64) {
    assert_eq!(x.len(), out.len(), "one place for every argument");
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

fn in_series(v: f64, x: f64) -> bool {
    x * x <= 4.0 * (v + 1.0)
}

/// `F_v(x) - 1` by the power series.
fn series(v: f64, x: f64) -> f64 {
    let q = x * x / 4.0;
    let (mut term, mut sum, mut m) = (1.0, 0.0, 1.0);
    loop {
        term *= q / (m * (v + m));
        sum += term;
        // In this regime q <= v + 1, so that each term is at most 1 / m of the one before: it ends by m = 20.
        if term <= f64::EPSILON / 4.0 * sum {
            return sum;
        }
        m += 1.0;
    }
}

/// `ln ((x / 2)^v / Gamma(v + 1))`, by which `I_v` differs from `F_v`.
fn ln_leading(v: f64, x: f64) -> f64 {
    if v == 0.0 {
        return 0.0;
    }
    v * (x / 2.0).ln() - lgamma(v + 1.0)
}

/// The order `v`, raised by whole steps until Olver's expansion holds.
fn raised_order(v: f64) -> f64 {
    v + (OLVER_ORDER - v).ceil().max(0.0)
}

/// Products up to here grow by no factor that makes them overflow, since arguments are at most 1e150.
const LARGE: f64 = 1e150;

/// `ln F_v` from an order high enough for `expansion`, brought down by `F_{v-1} = F_v (1 + x A_v / (2 v))`.
fn lowered(v: f64, x: f64, expansion: fn(&Olver) -> f64) -> f64 {
    let top = Olver::new(raised_order(v), x);
    let (mut product, mut ln_product, mut order) = (1.0, 0.0, top.v);
    let mut a = if order > v { top.ratio().value } else { 0.0 };
    while order > v + 0.5 {
        let step = 2.0 * order + x * a;
        product *= step / (2.0 * order);
        if product > LARGE {
            (product, ln_product) = (1.0, ln_product + f64::ln(product));
        }
        a = x / step;
        order -= 1.0;
    }
    expansion(&top) + (ln_product + product.ln())
}

/// Olver's uniform expansion at one point.
struct Olver {
    v: f64,
    /// `z = x / v`.
    z: f64,
    /// `sqrt(1 + z^2)`.
    root: f64,
    /// `1 / sqrt(1 + z^2)`.
    p: f64,
    terms: usize,
}

impl Olver {
    fn new(v: f64, x: f64) -> Self {
        let z = x / v;
        let root = z.hypot(1.0);
        let terms = FEWER_TERMS
            .into_iter()
            .find_map(|(order, terms)| (v >= order).then_some(terms))
            .unwrap_or(OLVER_TERMS);
        Self {
            v,
            z,
            root,
            p: 1.0 / root,
            terms,
        }
    }

    fn ln_hyp0f1(&self) -> f64 {
        self.v * (self.rise() - (self.rise() / 2.0).ln_1p()) + self.hyp0f1_tail()
    }

    fn ln_hyp0f1_scaled(&self) -> f64 {
        self.v * (self.gap() - 1.0 - (self.rise() / 2.0).ln_1p()) + self.hyp0f1_tail()
    }

    fn ln_bessel_i(&self) -> f64 {
        self.v * (self.root - ((1.0 + self.gap()) / self.z).ln_1p()) + self.bessel_tail()
    }

    fn ln_bessel_i_scaled(&self) -> f64 {
        self.v * (self.gap() - ((1.0 + self.gap()) / self.z).ln_1p()) + self.bessel_tail()
    }

    /// With `I_v'/I_v = A_v + v / x`, the derivatives of the expansion's logarithm by `x`, the parts that cancel
    /// taken out by hand.
    fn ratio(&self) -> Ratio {
        let Self { v, z, root, p, .. } = *self;
        let (slope, bend) = (self.sum(&LN_OLVER_SLOPE), self.sum(&LN_OLVER_BEND));
        let (square, sine) = (p * p, z * p);
        let above = sine * p * (0.5 + slope) / v;
        let rest = 0.5 - square + (2.0 - 3.0 * square) * slope + sine * sine * bend;
        Ratio {
            value: z / (1.0 + root) - above,
            complement: 2.0 / (1.0 + z + root) + above,
            derivative: square * (1.0 / (1.0 + p) + rest / v) / v,
        }
    }

    /// `sqrt(1 + z^2) - 1`.
    fn rise(&self) -> f64 {
        self.z * (self.z / (1.0 + self.root))
    }

    /// `sqrt(1 + z^2) - z`.
    fn gap(&self) -> f64 {
        1.0 / (self.z + self.root)
    }

    fn hyp0f1_tail(&self) -> f64 {
        stirling_remainder(self.v) - self.root.ln() / 2.0 + self.sum(&LN_OLVER)
    }

    fn bessel_tail(&self) -> f64 {
        self.sum(&LN_OLVER) - (2.0 * PI * self.v * self.root).ln() / 2.0
    }

    /// The sum over `k >= 1` of the polynomials with these coefficients, each over `v^k`.
    fn sum(&self, coefficients: &Coefficients) -> f64 {
        let (over_v, square) = (self.p / self.v, self.p * self.p);
        (1..self.terms).rev().fold(0.0, |sum, k| {
            let polynomial = coefficients[k][..=k]
                .iter()
                .rev()
                .fold(0.0, |sum, c| sum * square + c);
            (sum + polynomial) * over_v
        })
    }
}

/// `ln Gamma(v + 1) - (v ln v - v + ln(2 pi v) / 2)` (DLMF 5.11.1), better than 1e-18 from `v = 24` on.
fn stirling_remainder(v: f64) -> f64 {
    let w = 1.0 / (v * v);
    (1.0 / 12.0
        + w * (-1.0 / 360.0 + w * (1.0 / 1260.0 + w * (-1.0 / 1680.0 + w * (1.0 / 1188.0)))))
        / v
}

/// The recurrence of DLMF 10.41.9 for the logarithm of the expansion:
/// `D_{k+1}' = (q D_k')' + q sum_{i+j=k} D_i' D_j'`, with `q = p^2 (1 - p^2) / 2` and `D_1' = (1 - 5 p^2) / 8`.
const fn ln_olver_coefficients() -> Coefficients {
    let mut d = [[0.0; OLVER_TERMS]; OLVER_TERMS];
    d[1][0] = 1.0 / 8.0;
    d[1][1] = -5.0 / 24.0;
    let mut k = 1;
    while k + 1 < OLVER_TERMS {
        let mut j = 0;
        while j <= k {
            let half_slope = (k + 2 * j) as f64 * d[k][j] / 2.0;
            d[k + 1][j] += half_slope;
            d[k + 1][j + 1] -= half_slope;
            j += 1;
        }
        let mut i = 1;
        while i < k {
            let (mut a, other) = (0, k - i);
            while a <= i {
                let mut b = 0;
                while b <= other {
                    let product =
                        (i + 2 * a) as f64 * d[i][a] * (other + 2 * b) as f64 * d[other][b];
                    let power = k + 1 + 2 * (a + b);
                    d[k + 1][a + b] += product / 2.0 / power as f64;
                    d[k + 1][a + b + 1] -= product / 2.0 / (power + 2) as f64;
                    b += 1;
                }
                a += 1;
            }
            i += 1;
        }
        k += 1;
    }
    d
}

/// Coefficients of `p^(k + 2 j)` times `k + 2 j - less`.
const fn times_power(mut d: Coefficients, less: usize) -> Coefficients {
    let mut k = 1;
    while k < OLVER_TERMS {
        let mut j = 0;
        while j <= k {
            d[k][j] *= (k + 2 * j - less) as f64;
            j += 1;
        }
        k += 1;
    }
    d
}
