//! Ports that the kernel picks.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

// The kernel may pick a port again before its process has bound it.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// `N` different ports of 127.0.0.1 that were free a moment ago, and that no
/// other test was given.
pub(crate) fn free<const N: usize>() -> [u16; N] {
    let mut given = GIVEN.lock().unwrap();
    // All are held until all are known, so that no two are the same.
    let mut held = Vec::new();
    [(); N].map(|()| {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            held.push(listener);
            if given.insert(port) {
                return port;
            }
        }
    })
}
