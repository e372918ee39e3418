//! Modified Bessel functions of the first kind `I_v(x)`, as the normaliser of the von Mises-Fisher
//! distribution needs them: through `F_v(x) = 0F1(; v + 1; x^2 / 4) = Gamma(v + 1) (2 / x)^v I_v(x)`,
//! which is 1 at zero and never underflows, and through the ratio `A(x) = I_{v+1}(x) / I_v(x)`.
//!
//! Three regimes, each accurate to a few units in the last place where it is used:
//!
//! 1. `x^2 <= 4 (v + 1)`: the power series, all terms positive (DLMF 10.25.2);
//! 2. `v >= 24`: Olver's uniform expansion (DLMF 10.41.3), its coefficients from DLMF 10.41.9;
//! 3. otherwise the order is raised to 24 or more by `F_v = F_{v+1} (1 + x A_{v+1}(x) / (2 (v + 1)))`, which is
//!    DLMF 10.29.1 with every term positive.
//!
//! # References
//! - DLMF: NIST Digital Library of Mathematical Functions, chapters 10.25, 10.29, 10.41.
//! - Gautschi & Slavik (1978), On the computation of modified Bessel function ratios, Math. Comp. 32, (3.3').
//! - Olver (1974), Asymptotics and Special Functions, chapter 10.7.

/// Orders from here on use Olver's expansion; twelve terms leave less than 1e-15 there.
const OLVER_ORDER: f64 = 24.0;

/// Terms of Olver's expansion, the leading 1 included.
const OLVER_TERMS: usize = 12;

/// `OLVER[k][j]` is the coefficient of `p^(k + 2 j)` in the polynomial `U_k(p)` of DLMF 10.41.10.
const OLVER: [[f64; OLVER_TERMS]; OLVER_TERMS] = olver_coefficients();

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
        raised(v, x, olver)
    }
}

/// `ln F_v(x) - x`: what is left when the growth of `F_v` is taken out, without cancellation at large `x`.
pub fn ln_hyp0f1_scaled(v: f64, x: f64) -> f64 {
    if in_series(v, x) {
        series(v, x).ln_1p() - x
    } else {
        raised(v, x, olver_scaled)
    }
}

/// `ln I_v(x)`; minus infinity at `x = 0` unless `v = 0`.
pub fn ln_bessel_i(v: f64, x: f64) -> f64 {
    if v == 0.0 {
        return ln_hyp0f1(v, x);
    }
    ln_hyp0f1(v, x) + v * (x / 2.0).ln() - statrs::function::gamma::ln_gamma(v + 1.0)
}

/// `A(x) = I_{v+1}(x) / I_v(x)`, in `[0, 1)`, by Perron's continued fraction summed as a series of positive
/// terms (Gautschi & Slavik 1978, 3.3').
///
/// ```
/// // I_{3/2}(x) / I_{1/2}(x) = coth(x) - 1 / x
/// let x = 2.0_f64;
/// assert!((vmfmix::vmf::bessel::ratio(0.5, x) - (1.0 / x.tanh() - 1.0 / x)).abs() < 1e-15);
/// ```
pub fn ratio(v: f64, x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    // The fraction x / (2a+x - (2a+1)x / (2a+1+2x - (2a+3)x / (2a+2+2x - ...))), with a = v + 1.
    let a = v + 1.0;
    let (mut rho, mut term, mut sum) = (0.0, 1.0, 1.0);
    let mut previous = 2.0 * a + x;
    for k in 1..MAX_FRACTION_TERMS {
        let k = k as f64;
        let denominator = 2.0 * a + k + 2.0 * x;
        let c = (2.0 * a + 2.0 * k - 1.0) * x / (previous * denominator);
        rho = c * (1.0 + rho) / (1.0 - c * (1.0 + rho));
        term *= rho;
        sum += term;
        if term <= f64::EPSILON / 4.0 * sum {
            break;
        }
        previous = denominator;
    }
    x / (2.0 * a + x) * sum
}

/// Far above the 47 terms that the fraction needs anywhere (`v = 0 ... 16383`, `x` up to 1e12).
const MAX_FRACTION_TERMS: usize = 500;

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

/// `ln F_v` from an order high enough for `expansion`, brought down by the three-term recurrence.
fn raised(v: f64, x: f64, expansion: fn(f64, f64) -> f64) -> f64 {
    let steps = (OLVER_ORDER - v).ceil().max(0.0);
    let top = v + steps;
    let (mut product, mut order) = (1.0, top);
    let mut a = if steps > 0.0 { ratio(top, x) } else { 0.0 };
    while order > v + 0.5 {
        product *= 1.0 + x * a / (2.0 * order);
        a = 1.0 / (2.0 * order / x + a);
        order -= 1.0;
    }
    expansion(top, x) + product.ln()
}

/// `ln F_v(x)` by Olver's expansion, the parts that cancel against `ln Gamma(v + 1)` taken out by hand.
fn olver(v: f64, x: f64) -> f64 {
    let z = x / v;
    let s = z * (z / (1.0 + z.hypot(1.0)));
    v * (s - (s / 2.0).ln_1p()) + olver_tail(v, z)
}

/// As [`olver`], less `x`: `sqrt(1 + z^2) - z` is formed without subtraction.
fn olver_scaled(v: f64, x: f64) -> f64 {
    let z = x / v;
    let root = z.hypot(1.0);
    let s = z * (z / (1.0 + root));
    v * (1.0 / (z + root) - 1.0 - (s / 2.0).ln_1p()) + olver_tail(v, z)
}

fn olver_tail(v: f64, z: f64) -> f64 {
    let root = z.hypot(1.0);
    let p = 1.0 / root;
    // Terms shrink by about v, so that high orders need few.
    let terms = match v {
        v if v >= 1000.0 => 5,
        v if v >= 100.0 => 7,
        _ => OLVER_TERMS,
    };
    let (ratio, square) = (p / v, p * p);
    let tail = (1..terms).rev().fold(0.0, |sum, k| {
        let u = OLVER[k][..=k].iter().rev().fold(0.0, |u, c| u * square + c);
        (sum + u) * ratio
    });
    stirling_remainder(v) - root.ln() / 2.0 + tail.ln_1p()
}

/// `ln Gamma(v + 1) - (v ln v - v + ln(2 pi v) / 2)` (DLMF 5.11.1), better than 1e-18 from `v = 24` on.
fn stirling_remainder(v: f64) -> f64 {
    let w = 1.0 / (v * v);
    (1.0 / 12.0
        + w * (-1.0 / 360.0 + w * (1.0 / 1260.0 + w * (-1.0 / 1680.0 + w * (1.0 / 1188.0)))))
        / v
}

/// The recurrence of DLMF 10.41.9,
/// `U_{k+1}(p) = p^2 (1 - p^2) U_k'(p) / 2 + 1/8 int_0^p (1 - 5 t^2) U_k(t) dt`, coefficient by coefficient.
const fn olver_coefficients() -> [[f64; OLVER_TERMS]; OLVER_TERMS] {
    let mut u = [[0.0; OLVER_TERMS]; OLVER_TERMS];
    u[0][0] = 1.0;
    let mut k = 0;
    while k + 1 < OLVER_TERMS {
        let mut j = 0;
        while j <= k {
            let (c, e) = (u[k][j], (k + 2 * j) as f64);
            u[k + 1][j] += c * (e / 2.0 + 1.0 / (8.0 * (e + 1.0)));
            u[k + 1][j + 1] -= c * (e / 2.0 + 5.0 / (8.0 * (e + 3.0)));
            j += 1;
        }
        k += 1;
    }
    u
}
