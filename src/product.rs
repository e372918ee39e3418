//! Matrix products of one thread, for all layers: whoever calls divides the work among threads.

use linfa::Float;
use ndarray::{ArrayView2, ArrayViewMut2};

/// `c = a b` by the `gemm` crate.
///
/// # Panics
/// The shapes do not fit.
#[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
pub(crate) fn product<F: Float>(
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    mut c: ArrayViewMut2<'_, F>,
) {
    assert_eq!(
        (a.nrows(), a.ncols(), b.ncols()),
        (c.nrows(), b.nrows(), c.ncols())
    );
    let (a_strides, b_strides) = (a.strides().to_vec(), b.strides().to_vec());
    let c_strides = c.strides().to_vec();
    // SAFETY: pointers and strides come from live views whose shapes were just checked to agree, `c` is
    // borrowed exclusively, and `linfa::Float` is implemented for `f32` and `f64` alone.
    unsafe {
        gemm::gemm(
            c.nrows(),
            c.ncols(),
            a.ncols(),
            c.as_mut_ptr(),
            c_strides[1],
            c_strides[0],
            false,
            a.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.as_ptr(),
            b_strides[1],
            b_strides[0],
            F::zero(),
            F::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
