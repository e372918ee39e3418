//! The mixture of von Mises-Fisher distributions: an estimator in linfa's manner.
