//! Whole requests and answers under a small set of rules.

#![no_main]

use std::sync::LazyLock;

use tidegate_waf::fuzz::{Rules, transaction};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    transaction(&RULES, bytes);
});
