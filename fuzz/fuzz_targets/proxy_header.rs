//! The first bytes of a connection that may begin with a PROXY header.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate::fuzz::proxy_header(bytes);
});
