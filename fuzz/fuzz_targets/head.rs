//! The head of a request in HTTP/1.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::head(bytes);
});
