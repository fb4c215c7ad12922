//! Bytes of a request to named values, as ModSecurity 2 reads them.
//!
//! Query strings, cookies and bodies become names and values here; which collection they belong
//! to, what rules say about them and what becomes of a request that cannot be read is left to
//! others. Any bytes are safe: nothing panics, time is linear, and `Limits` bounds what is kept.

mod limits;
mod urlencoded;
mod cookies;
mod multipart;

#[cfg(test)]
mod fixture;

pub use cookies::{Cookies, cookies};
pub use limits::Limits;
pub use multipart::{
    BoundaryError, Disposition, DispositionError, Field, File, Flags, Form, Multipart,
    MultipartError, PartHeaders,
};
pub use urlencoded::{Pair, Pairs, split};
