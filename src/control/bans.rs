//! Bans as operators see and change them: `/api/bans`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::limit::Told;
use crate::log::rfc3339;
use crate::networks::Network;
use crate::site::{Site, State};
use crate::units::Period;

/// The path of all bans; a network after another slash is one of them.
pub(super) const BANS: &str = "/api/bans";
/// The largest body of a request for a ban.
pub(super) const MOST_BODY: usize = 4096;

/// What an operator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    network: Network,
    /// As long as a first ban lasts if absent.
    r#for: Option<Period>,
}

/// One ban as operators see it.
#[derive(Debug, Serialize)]
struct Shown {
    network: Network,
    /// When it ends; absent for one that never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Why: `offences`, `rate_limit`, `operator`, or `list` of the configuration.
    reason: String,
    /// How often the network has been banned.
    times: u32,
}

/// Every ban that holds, those that never end first.
pub(super) fn list(site: &Site, state: &State) -> impl Serialize + use<> {
    let now = SystemTime::now();
    let listed = site.config.bans.list.iter().map(|network| Shown {
        network: *network,
        until: None,
        reason: "list".to_owned(),
        times: 1,
    });
    let holding = state.ledger.bans().into_iter().filter(|told| told.ends_in > 0);
    let holding = holding.map(|Told { network, ends_in, reason, times, .. }| Shown {
        network,
        until: Some(rfc3339(now + Duration::from_secs(ends_in))),
        reason: reason.as_str().to_owned(),
        times,
    });
    listed.chain(holding).collect::<Vec<_>>()
}

/// Bans a network; the status, and a line for who asked.
pub(super) fn add(
    body: &[u8],
    who: Option<SocketAddr>,
    site: &Site,
    state: &State,
) -> (StatusCode, String) {
    let wish: Wish = match serde_json::from_slice(body) {
        Ok(wish) => wish,
        Err(error) => {
            let what = format!("write {{\"network\": \"192.0.2.1\", \"for\": \"1h\"}}: {error}\n");
            return (StatusCode::UNPROCESSABLE_ENTITY, what);
        }
    };
    if wish.r#for.is_some_and(|period| period.0.is_zero()) {
        return (StatusCode::UNPROCESSABLE_ENTITY, "for: must be longer than 0\n".to_owned());
    }
    if let Some(what) = no_ban(wish.network, site) {
        return (StatusCode::UNPROCESSABLE_ENTITY, format!("{}: {what}\n", wish.network));
    }
    let period = wish.r#for.unwrap_or(site.config.bans.r#for);
    if let Err(full) = state.ledger.ban(wish.network, period.0) {
        let what = format!("{full}; lift some, or write them to `bans.list`\n");
        return (StatusCode::INSUFFICIENT_STORAGE, what);
    }
    ::log::info!("admin: {} banned {} for {period}", name(who), wish.network);
    (StatusCode::OK, "banned\n".to_owned())
}

/// Why there is no use in banning a network.
fn no_ban(network: Network, site: &Site) -> Option<&'static str> {
    if network.prefix() == 0 {
        Some("is everybody; a route is closed by `access.deny`, a process by its end")
    } else if network.is_one() && site.clients.trust(network.first()) {
        Some("is a trusted proxy, and those are never shut out; see `clients.trusted_proxies`")
    } else {
        None
    }
}

/// Lets a network in again; `written` is what follows the path of all bans.
pub(super) fn lift(
    written: &str,
    who: Option<SocketAddr>,
    site: &Site,
    state: &State,
) -> (StatusCode, String) {
    let network = percent_decode_str(written).decode_utf8_lossy();
    let network: Network = match network.parse() {
        Ok(network) => network,
        Err(wrong) => return (StatusCode::UNPROCESSABLE_ENTITY, format!("{wrong}\n")),
    };
    if site.config.bans.list.contains(&network) {
        let what = format!("{network} is in `bans.list`; take it out there, and reload\n");
        return (StatusCode::CONFLICT, what);
    }
    if !state.ledger.lift(network) {
        let bans = state.ledger.bans().into_iter().filter(|told| told.ends_in > 0);
        let all = bans.map(|told| told.network).chain(site.config.bans.list.iter().copied());
        let mut around = all.filter(|ban| ban.prefix() < network.prefix());
        let what = match around.find(|ban| ban.contains(network.first())) {
            Some(ban) => format!("{network} is not banned by itself, but {ban} is\n"),
            None => format!("{network} is not banned\n"),
        };
        return (StatusCode::NOT_FOUND, what);
    }
    ::log::info!("admin: {} let {network} in again", name(who));
    (StatusCode::OK, "not banned any more\n".to_owned())
}

fn name(who: Option<SocketAddr>) -> String {
    who.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string())
}
