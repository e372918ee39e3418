//! The unsafe code of the processor, under Miri: the products of `product.rs`. Kernels of GPUs cannot run there.
#![cfg(test)]

#[path = "../../../src/product.rs"]
mod product;

use ndarray::{Array2, ArrayView2, s};
use product::product;

fn matrix(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| (i * 7 + j * 3 % 5) as f64 - 4.0)
}

fn check(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
    // Not all of what is written to, so that a write beside it would be seen.
    let mut around = Array2::from_elem((a.nrows() + 2, b.ncols() + 3), f64::NAN);
    product(a, b, around.slice_mut(s![1..-1, 1..-2]));
    for ((i, j), &value) in around.indexed_iter() {
        let is_inside = (1..=a.nrows()).contains(&i) && (1..=b.ncols()).contains(&j);
        assert_eq!(value.is_nan(), !is_inside);
        if is_inside {
            assert_eq!(value, a.row(i - 1).dot(&b.column(j - 1)));
        }
    }
}

#[test]
fn products_touch_nothing_but_their_operands() {
    for (rows, inner, columns) in [(1, 1, 1), (3, 5, 2), (17, 9, 6), (4, 0, 3)] {
        let (a, b) = (matrix(rows, inner), matrix(inner, columns));
        check(a.view(), b.view());
    }
}

#[test]
fn views_of_any_strides_are_taken() {
    let (a, b) = (matrix(6, 9), matrix(8, 12));
    check(a.t(), b.slice(s![2.., ..5]));
    check(a.slice(s![..;-1, ..;2]), b.slice(s![..5, ..;-3]));
}
