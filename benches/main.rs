//! `cargo bench`; see README.md in this folder.

mod mixture;
mod vmf;

criterion::criterion_group!(
    benches,
    vmf::normaliser,
    vmf::solve,
    vmf::sample,
    mixture::product,
    mixture::sweep,
    mixture::kmeans,
    mixture::em,
    mixture::linfa,
);
criterion::criterion_main!(benches);
