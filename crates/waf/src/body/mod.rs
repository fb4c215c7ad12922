//! Bytes of a request to named values, as ModSecurity 2 reads them.
//!
//! Query strings, cookies and bodies become names and values here; which collection they belong
//! to, what rules say about them and what becomes of a request that cannot be read is left to
//! others. Any bytes are safe: nothing panics, time is linear, and `Limits` bounds what is kept.

mod limits;
pub(crate) mod urlencoded;
pub(crate) mod cookies;
pub(crate) mod multipart;
pub(crate) mod json;
pub(crate) mod xml;
pub(crate) mod decoded;

#[cfg(test)]
pub(crate) mod fixture;

pub(crate) use limits::Limits;
