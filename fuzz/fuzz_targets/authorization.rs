//! An Authorization: a password, or a token.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::authorization(bytes);
});
