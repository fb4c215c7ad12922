//! Ports that the kernel picks.

use std::net::TcpListener;

/// `N` different ports of 127.0.0.1 that were free a moment ago.
pub(crate) fn free<const N: usize>() -> [u16; N] {
    // All are held until all are known, so that no two are the same.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
