//! A hash without a secret: every process gives a server the same number.
//!
//! Cookies outlive a process and two edges share clients, so neither a random
//! key nor std's unspecified hasher will do. Clients can find collisions; they
//! gain nothing but a busy server, which the load bound passes over. Whoever
//! tries all addresses finds the one behind a cookie: it is a name, no secret.

/// FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of the parts in their order; no part runs into the next.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut sum = OFFSET;
    for part in parts {
        for byte in *part {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
        // 0xff is in no address, name or header text.
        sum = (sum ^ 0xff).wrapping_mul(PRIME);
    }
    mix(sum)
}

/// Lets every bit of the input reach every bit of the result (SplitMix64's last steps).
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_changes_between_versions() {
        // A change would send every client with a cookie to another server.
        assert_eq!(format!("{:016x}", hash(&[b"app", b"127.0.0.1:80"])), "f7b3e32c455f8060");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"a"]), hash(&[b"a", b""]));
    }
}
