//! A Cookie and a solution of the challenge, with passes of several kinds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::challenge(bytes);
});
