//! Answers without the server: what is stored, for whom, and how long.
//!
//! `policy` decides by the standards, `key` says which requests are one, and a
//! [`Profile`] says what routes want of both.

#![expect(unused_imports, reason = "the conductor does not ask it yet")]
#![cfg_attr(not(test), expect(dead_code, reason = "the conductor does not ask it yet"))]

mod target;
mod policy;
mod key;
mod slices;
mod config;
mod profile;
#[cfg(any(test, fuzzing))]
mod any_bytes;

#[cfg(any(test, fuzzing))]
pub(crate) use self::any_bytes::exchange;
pub(crate) use self::config::ProfileConfig;
pub(crate) use self::profile::Profile;
pub(crate) use self::target::{Scheme, Target};
