//! The web application firewall without IO: fed with bytes, it answers with
//! verdicts. Reading sockets and answering clients is left to the proxy.

mod transform;
pub mod parse;
#[cfg_attr(not(test), expect(dead_code, reason = "what runs rules is not there yet"))]
mod operator;
pub mod body;

pub use transform::{Transformation, UnicodeMap, UnknownTransformation};
