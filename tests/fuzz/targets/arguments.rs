#![no_main]

libfuzzer_sys::fuzz_target!(
    init: vmfmix_fuzz::let_panics_be_caught(),
    |bytes: &[u8]| vmfmix_fuzz::arguments(bytes)
);
