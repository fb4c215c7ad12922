//! What rules make of values before they judge them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate_waf::fuzz::transformations(bytes);
});
