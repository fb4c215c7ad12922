//! Opens a listening TCP socket.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel lowers it to its
/// `net.core.somaxconn`.
const BACKLOG: i32 = u16::MAX as i32;

/// Opens a listening socket: non-blocking, closed on exec, `SO_REUSEADDR`.
///
/// An IPv6 address takes IPv6 connections only, `[::]` too, as in nginx: then
/// `0.0.0.0:80` and `[::]:80` are two listeners beside each other, and an IPv4
/// client never shows up as `::ffff:a.b.c.d`. The error says what an operator
/// can do about it.
pub fn open(address: SocketAddr) -> io::Result<TcpListener> {
    open_plain(address)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {}", explain(&error))))
}

fn open_plain(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restart must not wait for the connections of its predecessor in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use by another process".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::net::sockopt;

    use super::*;

    const ANY_V4: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn opens_a_socket_that_accepts_without_blocking() {
        let listener = open(ANY_V4).expect("opens");
        let nobody = listener.accept().expect_err("nobody has connected");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        assert!(sockopt::socket_acceptconn(&listener).expect("asked"));
        assert!(sockopt::socket_reuseaddr(&listener).expect("asked"));
        assert!(fcntl_getfd(&listener).expect("asked").contains(FdFlags::CLOEXEC));
        TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    }

    #[test]
    fn a_v6_listener_leaves_v4_to_another() {
        let v6 = open((Ipv6Addr::UNSPECIFIED, 0).into())
            .expect("this test needs a machine with IPv6, as do some of the whole proxy");
        assert!(sockopt::ipv6_v6only(&v6).expect("asked"));
        let port = v6.local_addr().expect("bound").port();
        open((Ipv4Addr::UNSPECIFIED, port).into()).expect("opens beside it");
    }

    #[test]
    fn an_address_opens_once() {
        let first = open(ANY_V4).expect("opens");
        let address = first.local_addr().expect("bound");
        let error = open(address).expect_err("is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let text = format!("{address}: the address is in use by another process");
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_foreign_address_is_named() {
        // 192.0.2.0/24 is for documentation (RFC 5737); no machine has it.
        let error = open(([192, 0, 2, 1], 0).into()).expect_err("foreign");
        assert_eq!(error.to_string(), "192.0.2.1:0: this machine does not have the address");
    }
}
