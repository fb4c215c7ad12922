//! A number with a unit, as operators write it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::units(bytes);
});
