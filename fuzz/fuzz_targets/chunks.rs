//! A chunked body, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::chunks(bytes);
});
