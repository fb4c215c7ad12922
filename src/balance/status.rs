//! What an operator sees of a pool's servers.

use serde::Serialize;
use tokio::time::Instant;

use super::members::{Member, Members};

/// One server as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ServerStatus {
    /// The address as configured.
    pub name: String,
    /// The address it has now.
    pub address: String,
    pub weight: u16,
    pub backup: bool,
    /// What active checks say; true without checks.
    pub healthy: bool,
    /// What was wrong at the last active check.
    pub why: Option<String>,
    /// Whether it is taken out for failing requests.
    pub ejected: bool,
    pub in_flight: usize,
    /// The peak-sensitive average time to its answers; absent before the first.
    pub ewma_ms: Option<f32>,
    pub requests: u64,
    pub failures: u64,
}

impl ServerStatus {
    /// Whether requests may go to it.
    pub(crate) fn is_up(&self) -> bool {
        self.healthy && !self.ejected
    }

    pub(super) fn of_all(members: &Members) -> Vec<ServerStatus> {
        let now = Instant::now();
        members.list.iter().map(|member| ServerStatus::of(members, member, now)).collect()
    }

    fn of(members: &Members, member: &Member, now: Instant) -> ServerStatus {
        let Member { server, weight, is_backup, .. } = member;
        let rules = &members.rules;
        let age = server.age_ms(now);
        ServerStatus {
            name: server.name().to_owned(),
            address: server.address().to_string(),
            weight: *weight,
            backup: *is_backup,
            healthy: !rules.has_checks || server.verdict.is_healthy(),
            why: server.verdict.why().filter(|_| rules.has_checks),
            ejected: rules.outlier.is_some() && server.is_ejected(age),
            in_flight: server.in_flight(),
            ewma_ms: server.latency.at(age),
            requests: server.requests(),
            failures: server.failures(),
        }
    }
}
