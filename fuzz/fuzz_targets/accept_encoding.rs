//! An Accept-Encoding.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::accept_encoding(bytes);
});
