//! The name of a cookie, and fields Cookie.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::cookie(bytes);
});
