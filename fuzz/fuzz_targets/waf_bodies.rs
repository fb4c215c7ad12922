//! Bodies, cookies and content codings that rules look into.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate_waf::fuzz::bodies(bytes);
});
