//! The text of a configuration.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::config(bytes);
});
