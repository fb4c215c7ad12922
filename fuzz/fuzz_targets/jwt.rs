//! A token: parts of good ones, or a head and claims that are signed.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::jwt(bytes);
});
