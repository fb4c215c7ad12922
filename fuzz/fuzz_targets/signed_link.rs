//! A link, signed and not.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::signed_link(bytes);
});
