//! `cargo bench`; see README.md in this folder.

mod vmf;

criterion::criterion_group!(benches, vmf::normaliser, vmf::solve, vmf::sample);
criterion::criterion_main!(benches);
