//! Segments of the disk store, as a crash or a device leaves them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidegate_store::disk::fuzz::segment(bytes);
});
