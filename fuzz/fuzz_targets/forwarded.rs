//! What a client writes before the trusted proxy adds its own entry.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::forwarded(bytes);
});
