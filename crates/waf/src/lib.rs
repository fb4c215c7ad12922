//! The web application firewall without IO: fed with bytes, it answers with
//! verdicts. Reading sockets and answering clients is left to the proxy.
//!
//! Rules go through `parse` (text to a tree) and `rules` (a tree to what runs); requests through
//! `body` (bytes to named values) and `transaction`, where `transform` and `operator` judge them.

mod transform;
pub mod parse;
mod operator;
mod body;
mod rules;
mod transaction;
mod builtin;
#[doc(hidden)]
pub mod fuzz;

pub use builtin::builtin;
pub use rules::{Answers, Logs, RuleSet, Stock};
pub use transaction::{
    Connection, Hit, Match, Overrun, Refusal, RefusalKind, RequestHead, ResponseHead, Transaction,
    Verdict, Wanted,
};
pub use transform::{Transformation, UnicodeMap, UnknownTransformation};
