//! Which server of an upstream answers a request.
//!
//! A [`Pool`] keeps the servers of one upstream: it finds their addresses,
//! checks them, takes out those that fail and chooses one for each attempt. How
//! to connect and whether to try again is for `upstream` to say.

mod address;
mod budget;
mod choose;
mod config;
mod entry;
mod hash;
mod health;
mod known;
mod latency;
mod lease;
mod members;
mod names;
mod outlier;
mod pool;
mod server;
mod status;
mod sticky;
#[cfg(test)]
mod trial;

use std::net::IpAddr;

use http::HeaderMap;

pub(crate) use self::budget::Budget;
pub(crate) use self::config::{
    Balance, Config, Health, MakePeer, Outlier, ServerConfig, Sticky, WhenNoneHealthy,
};
pub(crate) use self::known::Known;
pub(crate) use self::lease::{Lease, Outcome};
pub(crate) use self::pool::Pool;
pub(crate) use self::server::{Server, ServerId};
#[cfg(any(test, fuzzing))]
pub(crate) use self::sticky::cookie;

/// What a choice may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub client: IpAddr,
    /// Path and query, as the client asked.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    /// The servers that this request was on already.
    pub tried: &'a [ServerId],
}

/// Why no server can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoServer {
    #[error("no server is up")]
    NoneHealthy,
    #[error("every server has all the requests it may have")]
    AllBusy,
}
