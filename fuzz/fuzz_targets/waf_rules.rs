//! Rule text of the engine for SecLang.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate_waf::fuzz::rules(bytes);
});
