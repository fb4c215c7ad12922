//! Answers without the server: what is stored, for whom, and how long.
//!
//! `policy` decides by the standards, `key` says which requests are one.

#![expect(unused_imports, reason = "the conductor does not ask it yet")]
#![cfg_attr(not(test), expect(dead_code, reason = "the conductor does not ask it yet"))]

mod target;
mod policy;
mod key;

pub(crate) use self::target::{Scheme, Target};
