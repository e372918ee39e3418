//! `cargo bench`; see README.md in this folder.

mod encoder;
mod mixture;
mod vmf;

criterion::criterion_group!(
    benches,
    encoder::images,
    encoder::texts,
    encoder::files,
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
