//! What the path asks of the room `limit`, and tells it.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Version};
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::timeout;

use crate::access::{Denied, JwtFault};
use crate::client::Client;
use crate::limit::{Advance, Ask, Exceeded, Held, Offence, Permit, Who};
use crate::listen::{Exchange, HeadFault};
use crate::route::NoRoute;
use crate::sanitise::{Kind, Malformed};
use crate::site::{Route, Site, State};
use crate::waf::Blocked;

use super::context::Context;
use super::refuse::Refusal;

/// Lets a client in at all, unless it is banned or has too much under way.
pub(super) fn enter(client: &Client, site: &Site, state: &State) -> Result<Option<Held>, Exceeded> {
    if who(client, site) == Who::Proxy {
        return Ok(None);
    }
    if state.ledger.is_banned(&site.bans, client.address) {
        return Err(Exceeded::Banned);
    }
    let most = site.config.server.requests_per_client;
    state.ledger.enter(client.network, most).map(Some)
}

/// Has the connection of a banned client end with its answer: it is from before
/// the ban. That of a trusted proxy is not its own.
pub(super) fn part(refusal: &Refusal, session: &mut Session, ctx: &Context) {
    let is_its_own = ctx.client.as_ref().is_some_and(|client| !client.peer_trusted);
    if is_its_own && matches!(refusal, Refusal::Exceeded(Exceeded::Banned)) {
        session.set_keepalive(None);
        if let Some(exchange) = Exchange::of(session.digest()) {
            exchange.set_last();
        }
    }
}

/// Takes what a request needs for its permit, unless it had to wait for longer
/// than there is left of it.
pub(super) fn take<'a>(
    exchange: &Exchange,
    client: &Client,
    route: &'a Route,
    headers: &HeaderMap,
    site: &Site,
    state: &'a State,
) -> Result<Advance<'a>, Exceeded> {
    // Nobody reads or writes meanwhile, and would notice the end of the exchange.
    let patience = exchange.left().unwrap_or(Duration::MAX);
    route.limits.take(&state.ledger, &ask(client, route, headers, site), patience)
}

/// The permit of a request on its route, which has waited for what it took.
pub(super) fn permit(
    advance: Advance<'_>,
    client: &Client,
    route: &Route,
    headers: &HeaderMap,
    site: &Site,
    state: &State,
) -> Result<Permit, Exceeded> {
    route.limits.permit(&state.ledger, &ask(client, route, headers, site), advance)
}

/// Waits for what a request has taken, as long as its client does: what nobody
/// waits for any more is not run.
pub(super) async fn await_turn(
    taken: &mut Advance<'_>,
    exchange: &Exchange,
    session: &mut Session,
) -> Result<(), Refusal> {
    wait(taken, exchange, session).await.map_err(|error| match exchange.is_over() {
        true => Refusal::TookTooLong,
        false => Refusal::ClientLeft(error),
    })
}

async fn wait(advance: &mut Advance<'_>, exchange: &Exchange, session: &mut Session) -> Result<()> {
    let _watch = exchange.watch();
    tokio::select! {
        biased;
        left = session.as_downstream_mut().read_body_or_idle(true) => {
            left.and_then(|_| Error::e_explain(ErrorType::ConnectionClosed, "something was read"))
                .map_err(Error::into_down)
        }
        () = advance.come() => Ok(()),
    }
}

/// Lets a piece of a body pass, in its time.
pub(super) async fn body(
    session: &mut Session,
    bytes: usize,
    ctx: &mut Context,
    state: &State,
) -> Result<()> {
    let (Some(exchange), Some(client), Some(route)) = (&ctx.exchange, &ctx.client, &ctx.route)
    else {
        return Ok(());
    };
    // What passes a tunnel is no body.
    if session.was_upgraded() || !route.limits.bound_bodies() {
        return Ok(());
    }
    let new = ctx.metered.new_of(bytes as u64);
    if new == 0 {
        return Ok(());
    }
    let ask = ask(client, route, &session.req_header().headers, &ctx.site);
    let mut taken = match route.limits.take_body(&state.ledger, &ask, new, ctx.permit.as_mut()) {
        Ok(taken) => taken,
        Err(exceeded) => {
            ctx.failure = Some(Refusal::Exceeded(exceeded));
            let what = "the body comes too fast";
            return Err(Error::explain(ErrorType::HTTPStatus(429), what).into_down());
        }
    };
    if taken.is_to_come() {
        let left = exchange.left().unwrap_or(Duration::MAX);
        match timeout(left, wait(&mut taken, exchange, session)).await {
            Ok(waited) => waited?,
            Err(_) => {
                ctx.failure = Some(Refusal::TookTooLong);
                let what = "the body was to wait for too long";
                return Err(Error::explain(ErrorType::HTTPStatus(504), what).into_down());
            }
        }
    }
    taken.keep();
    Ok(())
}

/// Gives back the place of an exchange that may be open for days among those
/// that its client may have under way: many of them are no sign of anything.
///
/// They are bounded all the same, by `connections_per_client`: each has a
/// connection for itself. Streams of HTTP/2 share theirs, a hundred times as
/// many as connections, and those behind a trusted proxy count as nobody's; they
/// keep their places.
pub(super) fn open_ended(session: &Session, ctx: &mut Context) {
    let has_connection = session.req_header().version != Version::HTTP_2
        && ctx.client.as_ref().is_some_and(|client| !client.peer_trusted);
    if has_connection {
        ctx.under_way = None;
    }
}

/// Remembers what was wrong with a request, if anything was.
pub(super) fn judge(session: &Session, ctx: &Context, state: &State) {
    let Some(client) = &ctx.client else { return };
    let shows_credentials = session.req_header().headers.contains_key(AUTHORIZATION);
    let offence = match &ctx.refusal {
        Some((told, _)) => told.offence,
        None => of_answer(ctx.forward.as_ref().and_then(|forward| forward.status)),
    };
    match offence {
        None => {}
        // Browsers ask without at first.
        Some(Offence::Credentials) if !shows_credentials => {}
        Some(offence) => state.penalise(&ctx.site, client.address, offence),
    }
}

/// What the client did wrong whose request is refused with this status, if
/// anybody could have known that it is wrong.
pub(super) fn offence(refusal: &Refusal, status: u16) -> Option<Offence> {
    match refusal {
        // Which some honest software sends.
        Refusal::Malformed(Malformed::UnderscoreInName) => None,
        // Or pages of others would have their visitors banned here.
        Refusal::Malformed(cause) if cause.is_of_links() => Some(Offence::Path),
        Refusal::Malformed(cause) => match cause.kind() {
            Kind::BadRequest | Kind::Method => Some(Offence::Malformed),
            Kind::Version | Kind::Expectation => None,
        },
        Refusal::Head(HeadFault::Chunks) => Some(Offence::Malformed),
        Refusal::Head(HeadFault::TooSlow | HeadFault::UriTooLong | HeadFault::TooLarge) => {
            Some(Offence::Head)
        }
        Refusal::NoRoute(NoRoute::Unknown) | Refusal::NoFile => Some(Offence::NotFound),
        // Whoever comes for the first time shows no pass.
        Refusal::Denied(Denied::Challenge(challenged)) => {
            challenged.is_lie().then_some(Offence::Malformed)
        }
        // By a page of somebody else's, or a bookmark: whoever follows a link
        // has not made it.
        Refusal::Denied(Denied::Referer | Denied::Expired) => None,
        // A page that is left open goes on to ask with the token that it has.
        Refusal::Denied(Denied::Jwt(JwtFault::Expired | JwtFault::TooEarly)) => None,
        Refusal::Denied(_) => match status {
            401 => Some(Offence::Credentials),
            403 => Some(Offence::Forbidden),
            _ => None,
        },
        // What many use up together is nobody's fault, and a ban ends when it was said to.
        Refusal::Exceeded(exceeded) => exceeded.is_its_own().then_some(Offence::Exceeded),
        Refusal::Blocked(Blocked::Rule(_)) => Some(Offence::Blocked),
        _ => None,
    }
}

/// What a server's answer says of the request.
fn of_answer(status: Option<u16>) -> Option<Offence> {
    match status {
        Some(401) => Some(Offence::Credentials),
        Some(404 | 410) => Some(Offence::NotFound),
        _ => None,
    }
}

fn ask<'a>(client: &Client, route: &'a Route, headers: &'a HeaderMap, site: &Site) -> Ask<'a> {
    Ask {
        address: client.address,
        client: client.network,
        who: who(client, site),
        route: &route.name,
        headers,
    }
}

/// Whether a client is one, and no proxy that speaks for many.
pub(super) fn is_told_apart(client: &Client, site: &Site) -> bool {
    who(client, site) == Who::Client
}

fn who(client: &Client, site: &Site) -> Who {
    let is_proxy = client.peer_trusted && site.clients.trust(client.address);
    if is_proxy { Who::Proxy } else { Who::Client }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::access::{BasicFault, ForwardFault};
    use crate::listen::WrongHost;

    #[track_caller]
    fn check(refusal: &Refusal, expected: Option<Offence>) {
        assert_eq!(refusal.told().offence, expected, "{refusal:?}");
    }

    #[test]
    fn offences_are_what_anybody_could_know_to_be_wrong() {
        for (cause, expected) in [
            (Malformed::BareLf, Some(Offence::Malformed)),
            (Malformed::Trace, Some(Offence::Malformed)),
            (Malformed::Chunks, Some(Offence::Malformed)),
            (Malformed::UnderscoreInName, None),
            (Malformed::Version, None),
            (Malformed::Expectation, None),
        ] {
            check(&cause.into(), expected);
        }
        for (fault, expected) in [
            (HeadFault::Chunks, Some(Offence::Malformed)),
            (HeadFault::TooSlow, Some(Offence::Head)),
            (HeadFault::UriTooLong, Some(Offence::Head)),
            (HeadFault::TooLarge, Some(Offence::Head)),
            (HeadFault::CutOff, None),
            (HeadFault::Unspoken, None),
        ] {
            check(&fault.into(), expected);
        }
        check(&Refusal::NoFile, Some(Offence::NotFound));
        check(&NoRoute::Unknown.into(), Some(Offence::NotFound));
        check(&NoRoute::Method { allow: Vec::new() }.into(), None);
        check(&WrongHost.into(), None);
        check(&Refusal::BodyTooLarge, None);
        check(&Blocked::Rule("1".into()).into(), Some(Offence::Blocked));
        check(&Blocked::Over.into(), None);
        // A server that tells too much tells it to everybody.
        check(&Blocked::Answer("1".into()).into(), None);
    }

    #[test]
    fn who_may_not_offends_unless_the_fault_is_not_its_own() {
        let asked = HeaderValue::from_static("Basic");
        for (denied, expected) in [
            (Denied::Network, Some(Offence::Forbidden)),
            (Denied::Signature, Some(Offence::Forbidden)),
            (Denied::Method { allow: Vec::new() }, None),
            (Denied::TwoCredentials, None),
            (Denied::Basic(BasicFault::Wrong, asked.clone()), Some(Offence::Credentials)),
            (Denied::Basic(BasicFault::Busy, asked.clone()), None),
            (Denied::Basic(BasicFault::Unverifiable, asked), None),
            (Denied::Jwt(JwtFault::Signature), Some(Offence::Credentials)),
            (Denied::Jwt(JwtFault::Expired), None),
            (Denied::Jwt(JwtFault::NotReady), None),
            (Denied::Forward(ForwardFault::TooSlow), None),
        ] {
            check(&denied.into(), expected);
        }
        for (exceeded, expected) in [
            (Exceeded::Client, Some(Offence::Exceeded)),
            (Exceeded::ClientOfRoute, Some(Offence::Exceeded)),
            (Exceeded::Route, None),
            (Exceeded::Banned, None),
        ] {
            check(&exceeded.into(), expected);
        }
    }

    #[test]
    fn a_link_that_is_malformed_weighs_as_little_as_a_dead_one() {
        for (cause, expected) in [
            (Malformed::EncodedSlash, Offence::Path),
            (Malformed::EncodedControl, Offence::Path),
            (Malformed::NotUtf8, Offence::Path),
            (Malformed::IncompleteEscape, Offence::Path),
            (Malformed::LengthAndChunked, Offence::Malformed),
            (Malformed::RequestLine, Offence::Malformed),
            (Malformed::HostMismatch, Offence::Malformed),
        ] {
            assert_eq!(offence(&Refusal::Malformed(cause), 400), Some(expected), "{cause:?}");
        }
    }

    #[test]
    fn who_follows_the_link_of_somebody_else_has_done_nothing_wrong() {
        for (denied, expected) in [
            (Denied::Network, Some(Offence::Forbidden)),
            (Denied::Signature, Some(Offence::Forbidden)),
            (Denied::UserAgent, Some(Offence::Forbidden)),
            (Denied::Referer, None),
            (Denied::Expired, None),
        ] {
            assert_eq!(offence(&Refusal::Denied(denied.clone()), 403), expected, "{denied:?}");
        }
    }
}
