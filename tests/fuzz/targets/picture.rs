#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vmfmix_fuzz::picture(bytes));
