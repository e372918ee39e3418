//! Integrals of smooth functions over short intervals.

/// The positive nodes and their weights of the Gauss-Legendre rule of sixteen points on `[-1, 1]` (Abramowitz & Stegun
/// 1964, table 25.4), exact for polynomials up to degree 31.
const NODES: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_59),
    (0.458_016_777_657_227_39, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_8, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_87),
    (0.865_631_202_387_831_8, 0.095_158_511_682_492_79),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_893),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_095),
];

/// The integral of `f` from `a` to `b`.
pub(super) fn integral(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (middle, half) = ((a + b) / 2.0, (b - a) / 2.0);
    let pairs = NODES
        .iter()
        .map(|(node, weight)| weight * (f(middle - half * node) + f(middle + half * node)));
    half * pairs.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_an_exponential_over_five_e_foldings() {
        let expected = 1.0 - (-5.0_f64).exp();
        assert!((integral(0.0, 5.0, |x| (-x).exp()) / expected - 1.0).abs() < 1e-15);
    }
}
