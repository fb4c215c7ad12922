//! How many streams each client network may have reset, over all its h2
//! connections: a new connection costs a client little, and begins anew.

use std::time::Duration;

use tokio::time::Instant;

use super::recent::Recent;
use crate::listen::bucket::Bucket;
use crate::networks::ClientKey;

/// As many as one connection may is little for a house behind one address.
const CONNECTIONS: u32 = 5;
/// Half of the clients that are remembered; all take less than two megabytes.
const MOST: usize = 8 * 1024;
/// When an allowance is whole again.
const MINUTE: Duration = Duration::from_secs(60);

/// Remembers who has reset streams.
#[derive(Debug)]
pub(super) struct Resets(Recent<Bucket>);

impl Resets {
    pub(super) fn new() -> Self {
        Resets(Recent::new(MOST, MINUTE))
    }

    /// Whether `client` may reset so many more, where one connection may reset
    /// `per_minute`.
    pub(super) fn allow(&mut self, client: ClientKey, count: u32, per_minute: u32) -> bool {
        let now = Instant::now();
        let whole = || Bucket::new(per_minute.saturating_mul(CONNECTIONS), now);
        self.0.renew(client, whole).take(count, now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_has_one_allowance_for_all_its_connections() {
        let mut resets = Resets::new();
        let [one, other] = [1, 2].map(|nth| ClientKey::V4(Ipv4Addr::from_bits(nth)));
        for _ in 0..5 {
            assert!(resets.allow(one, 200, 200));
        }
        assert!(!resets.allow(one, 1, 200));
        assert!(resets.allow(other, 200, 200));
        advance(MINUTE / 2).await;
        assert!(resets.allow(one, 500, 200));
        assert!(!resets.allow(one, 1, 200));
        advance(2 * MINUTE).await;
        assert!(resets.allow(one, 1000, 200));
    }
}
