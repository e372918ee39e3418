//! One von Mises-Fisher distribution: its normaliser, its concentration, its samples.
