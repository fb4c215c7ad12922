//! The frames of a client of HTTP/2, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::h2_frames(bytes);
});
