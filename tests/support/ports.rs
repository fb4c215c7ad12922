//! Ports that the kernel picks.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpSocket;

// Held to the end of the run: bound sockets that do not listen. A server that
// sets SO_REUSEADDR, as all of ours do, may still listen there; but the kernel
// gives the port to nobody else, not even to a client's end of a connection.
static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// `N` different ports of 127.0.0.1 where nothing listens, and that are given
/// to no other test.
pub(crate) fn free<const N: usize>() -> [u16; N] {
    let mut held = held();
    [(); N].map(|()| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = socket.local_addr().unwrap().port();
        held.push(socket);
        port
    })
}

/// The same of ::1.
pub(crate) fn free_v6() -> u16 {
    let socket = TcpSocket::new_v6().expect("this machine has no IPv6");
    socket.set_reuseaddr(true).unwrap();
    let any = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    socket.bind(any).expect("this machine has no loopback of IPv6 (::1)");
    let port = socket.local_addr().unwrap().port();
    held().push(socket);
    port
}

fn held() -> MutexGuard<'static, Vec<TcpSocket>> {
    let held = HELD.lock().unwrap();
    if held.is_empty() {
        allow_many_descriptors();
    }
    held
}

/// Some hundred ports are more than the usual 1,024 descriptors leave room for.
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
