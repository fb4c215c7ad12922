//! The tests that come with the OWASP Core Rule Set, as data: what is sent in each stage, what its
//! server answers, and what the rules are to say of it.
//!
//! Who judges the requests is for the tests that use this: of the engine by itself, and of the
//! whole proxy.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod exchange;
pub mod form;
pub mod framing;
pub mod backend;
pub mod request;
pub mod outcome;
pub mod case;
pub mod known;
pub mod report;

use std::path::{Path, PathBuf};

use crate::report::say;

/// What the tests are written for: actions of a rule before those of the rule set.
pub const SETTINGS: &str = "setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
    setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
    setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535";

/// The copy of the rule set that TIDEGATE_CRS names, or that lies beside the project: a directory
/// with `rules`, `crs-setup.conf.example` and `tests`. Where there is none, that is told.
pub fn crs() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs-4.28.0");
    let directory = std::env::var_os("TIDEGATE_CRS").map_or(beside, PathBuf::from);
    if directory.join("tests/regression").is_dir() {
        return Some(directory);
    }
    say(&format!("CRS suite: no tests/regression in {}: not run", directory.display()));
    None
}
