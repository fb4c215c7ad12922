//! A Host, or the authority of a target.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::host(bytes);
});
