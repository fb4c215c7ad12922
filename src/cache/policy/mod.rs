//! What may be stored and when it may be used again: RFC 9111 and its kin.
//!
//! Everything here is a function of the fields of messages, the rules of a
//! profile, and moments that the caller gives.

mod members;
mod structured;
mod dates;
mod statuses;
pub(super) mod rules;
pub(super) mod directives;
mod targeted;
mod age;
mod freshness;
pub(super) mod encodings;
pub(super) mod vary;
pub(super) mod groups;
pub(super) mod storable;
pub(super) mod terms;
pub(super) mod links;
pub(super) mod etag;
pub(super) mod validate;
pub(super) mod conditional;
pub(super) mod strip;
pub(super) mod merge;
pub(super) mod invalidate;
pub(super) mod no_vary_search;
pub(super) mod status;
