//! What `server` and `admin` say, held against the machine: what could not
//! start, or would fail only later, is a fault of the file.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, Config, Server};
use crate::control::{BanFile, KeptBans, Owner, Token, folder_of, group_named, user_named};
use crate::fault::Faults;
use crate::listen::{Bounds, Listener, Seats};
use crate::log::check_place;
use crate::site::State;

/// More would be a slip of the keyboard.
const MOST_THREADS: usize = 1024;
/// What an address of a Unix socket has room for (unix(7)).
const LONGEST_SOCKET: usize = 107;

/// The seats of the clients, and the bans that outlive a process.
pub(super) fn held(
    server: &Server,
    owner: Owner,
    state: &Arc<State>,
) -> (Arc<Seats>, Arc<KeptBans>) {
    let bounds =
        Bounds { connections: server.connections, per_client: server.connections_per_client };
    let bans = BanFile::beside(&server.upgrade_sock, owner);
    (Seats::new(bounds), KeptBans::new(bans, state.clone()))
}

/// The faults of the section `server`.
pub(super) fn check(server: &Server) -> Result<(), Faults> {
    let mut faults = Faults::none();
    let mut fault = |key: &str, what: String| faults.extend(Faults::at(key, what));
    if server.threads.is_some_and(|threads| threads == 0 || threads > MOST_THREADS) {
        fault("threads", format!("must be 1 to {MOST_THREADS}"));
    }
    for (key, most) in [
        ("connections", server.connections),
        ("connections_per_client", server.connections_per_client),
        ("requests_per_client", server.requests_per_client as usize),
    ] {
        if most == 0 {
            fault(key, "must be more than 0".to_owned());
        }
    }
    let made = folder_of(&server.upgrade_sock);
    let logs = server.error_log.as_deref().map(|path| ("error_log", path));
    for (key, path) in [("pid_file", server.pid_file.as_path())].into_iter().chain(logs) {
        // The folder of the socket is made at the start, for all that lies in it.
        let is_made = folder_of(path) == made && !made.exists();
        if let (false, Err(what)) = (is_made, check_place(path)) {
            fault(key, what);
        }
    }
    if let Some(what) = wrong_socket(&server.upgrade_sock) {
        fault("upgrade_sock", what);
    }
    let user = server.user.as_deref().map(|name| ("user", user_named(name).err()));
    let group = server.group.as_deref().map(|name| ("group", group_named(name).err()));
    for (key, wrong) in user.into_iter().chain(group) {
        if !rustix::process::geteuid().is_root() {
            fault(key, "only root may change it; start as root or leave it out".to_owned());
        } else if !server.daemon.0 {
            let what = "acts with `daemon: on` only; in the foreground let the supervisor set it";
            fault(key, what.to_owned());
        } else if let Some(what) = wrong {
            fault(key, what);
        }
    }
    faults.collect("shed", server.shed.check());
    faults.into_result(|| Some(()))
}

fn wrong_socket(path: &Path) -> Option<String> {
    let shown = path.display();
    let length = path.as_os_str().len();
    if length == 0 {
        return Some("is empty; write a path like run/tidegate.sock".to_owned());
    }
    if length > LONGEST_SOCKET {
        return Some(format!("has {length} bytes; a socket's path has at most {LONGEST_SOCKET}"));
    }
    let is_other = path.symlink_metadata().is_ok_and(|found| !found.file_type().is_socket());
    is_other.then(|| format!("`{shown}` is in the way and is no socket"))
}

/// How the admin listener is switched off.
const OFF: &str = "off";

/// The admin listener: plain h1, with the bounds of any other; none if it is off.
pub(super) fn admin_listener(config: &Config) -> Result<Option<Arc<Listener>>, Faults> {
    let mut faults = Faults::none();
    let admin = &config.admin;
    if !Token::is_acceptable(&admin.token) {
        faults.extend(Faults::at("token", "is shorter than 16 bytes"));
    }
    if admin.listen == OFF {
        return faults.into_result(|| Some(None));
    }
    let address = admin.listen.parse::<SocketAddr>().map_err(|_| {
        let listen = &admin.listen;
        Faults::one(format!("`{listen}` is no address to listen on; write 127.0.0.1:9180 or off"))
    });
    let address = faults.collect("listen", address);
    let addresses = config.listeners.iter().enumerate();
    let addresses =
        addresses.filter_map(|(index, other)| Some((index, other.address.parse().ok()?)));
    if let Some((_, what)) = address.and_then(|address| taken(address, addresses)) {
        faults.extend(Faults::at("listen", what));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let written = config::Listener { address: admin.listen.clone(), ..config::Listener::default() };
    Listener::new(&written).map(Arc::new).map(Some).map_err(|faults| faults.under("listen"))
}

/// The first of these addresses of listeners beside which no socket can be
/// opened at `address`, and what is to be said of it.
pub(super) fn taken(
    address: SocketAddr,
    mut listeners: impl Iterator<Item = (usize, SocketAddr)>,
) -> Option<(usize, String)> {
    listeners.find_map(|(index, other)| {
        if address == other {
            return Some((index, format!("is the address of listeners[{index}] already")));
        }
        // `[::]` takes IPv6 alone, see `tidegate_sockets::open`.
        let is_any = address.ip().is_unspecified() || other.ip().is_unspecified();
        let overlaps =
            is_any && address.port() == other.port() && address.is_ipv4() == other.is_ipv4();
        let what = || format!("overlaps {other} of listeners[{index}]; only one can be bound");
        overlaps.then(|| (index, what()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, other: &str, expected: Option<&str>) {
        for (address, other) in [(address, other), (other, address)] {
            let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
            let found = taken(parse(address), [(7, parse(other))].into_iter());
            let said = found.as_ref().map(|(index, what)| (*index, what.as_str()));
            let is_expected = match (said, expected) {
                (None, None) => true,
                (Some((7, what)), Some(start)) => what.starts_with(start),
                _ => false,
            };
            assert!(is_expected, "{address} beside {other}: {said:?}");
        }
    }

    #[test]
    fn every_address_of_a_family_overlaps_each_of_it() {
        check("127.0.0.1:80", "127.0.0.1:80", Some("is the address of listeners[7]"));
        check("0.0.0.0:80", "0.0.0.0:80", Some("is the address of listeners[7]"));
        check("0.0.0.0:80", "127.0.0.1:80", Some("overlaps "));
        check("[::]:80", "[::1]:80", Some("overlaps "));
        for (address, other) in [
            ("0.0.0.0:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("0.0.0.0:80", "[::]:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("127.0.0.1:80", "[::]:80"),
        ] {
            check(address, other, None);
        }
    }
}
