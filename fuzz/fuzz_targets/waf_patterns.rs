//! Regular expressions, and values that they look at.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate_waf::fuzz::patterns(bytes);
});
