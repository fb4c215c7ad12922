//! The path of a request into the site, one line a room.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Uri, Version, header};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::timeout;

use crate::access::{self, Asked, Denied, Granted, Pressure, Query, Screened};
use crate::client::Client;
use crate::limit::{Arrival, Body, Crowded, Slot, Waits};
use crate::listen::{Channel, Exchange, LINGER, Listener};
use crate::respond::asked_before;
use crate::route::{Matched, NoRoute};
use crate::sanitise::{Head, Malformed, Strict};
use crate::site::{Action, Route, Site, State};
use crate::upstream::Need;
use crate::values::{announced, remove_rare};

use super::act::{act, may_be_call};
use super::answer::{self, Reply};
use super::background;
use super::cached;
use super::context::Context;
use super::fields;
use super::inspect;
use super::meter;
use super::named::Named;
use super::persist;
use super::purge;
use super::refuse::Refusal;

/// Finds the exchange and sets the timeouts that pingora keeps.
pub(super) fn begin(session: &mut Session, ctx: &mut Context) -> Result<()> {
    if background::is_one(session) {
        return background::begin(session, ctx);
    }
    let Some(exchange) = Exchange::of(session.digest()).cloned() else {
        return Error::e_explain(ErrorType::InternalError, "a session that is not from `listen`");
    };
    let timeouts = &exchange.connection.listener.timeouts;
    session.set_read_timeout(Some(timeouts.body.0));
    session.set_write_timeout(Some(timeouts.write.0));
    persist::begin(session);
    // Of what is left of a body after an answer of ours.
    session.set_total_drain_timeout(Some(LINGER));
    // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
    let is_old = session.req_header().version == Version::HTTP_10;
    session.set_ignore_info_resp(is_old);
    ctx.exchange = Some(exchange);
    let request = session.req_header_mut();
    ctx.absolute_target = absolute_target(request);
    fields::join_cookies(request)?;
    fields::forget_request_case(request);
    Ok(())
}

/// The target, unless it is a path; it is gone with the case of names.
fn absolute_target(request: &RequestHeader) -> Option<String> {
    let target = str::from_utf8(request.raw_path()).ok()?;
    (!target.starts_with('/')).then(|| target.to_owned())
}

/// Lets a request in: to a server (`None`), to an answer of ours, or not.
pub(super) async fn admit(
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<Option<Reply>, Refusal> {
    let exchange = ctx.exchange.clone().ok_or(Refusal::Internal)?;
    let (connection, site) = (&exchange.connection, ctx.site.clone());
    let strict = site.strict(&connection.listener.name);
    drop_fields(session.req_header_mut(), strict);
    let mut request = session.req_header();
    let client = meet(request, &exchange, ctx, state)?;
    exchange.check_head()?;
    let mut head = read_head(request, strict)?;
    connection.check_host(&head.host)?;
    if let Some(answer) = answer::to_https(&connection.listener, &head)? {
        return Ok(Some(answer));
    }
    let (route, found) = find(&site, &head)?;
    ctx.route = Some(route.clone());
    if let Some(total) = route.total
        && !may_be_call(&head, request.version)
    {
        exchange.end_after(total);
    }
    // Before access: a guess at a password is a request, too.
    let mut taken = meter::take(&exchange, &client, route, &request.headers, &site, state)?;
    if taken.is_to_come() {
        Box::pin(meter::await_turn(&mut taken, &exchange, session)).await?;
        request = session.req_header();
        head = read_head(request, strict)?;
    }
    ctx.permit = Some(meter::permit(taken, &client, route, &request.headers, &site, state)?);
    let found = match found {
        Found::Answer(answer) => return Ok(Some(answer)),
        Found::Route(found) => found,
    };
    if purge::is_one(route, &head) {
        let purge = purge::purge(route, &head, request, strict, ctx, state);
        return Box::pin(purge).await.map(Some);
    }
    check_load(route, ctx)?;
    let (request, head) =
        match screen(route, &client, &head, &request.uri, connection.channel(), ctx)? {
            Query::AsWritten => (request, head),
            Query::Left(left) => {
                set_query(session.req_header_mut(), left.as_deref(), ctx)?;
                let request = session.req_header();
                (request, read_head(request, strict)?)
            }
        };
    let sent = head.target(&request.uri, strict);
    let target = sent.as_deref().unwrap_or_else(|| written_target(&request.uri));
    ctx.granted = check_access(route, &head, target, &exchange, ctx).await?;
    ctx.body_limit = body_bound(route, &connection.listener, request)?;
    inspect::head(route, &head, request, ctx)?;

    let answer = act(route, &found, &head, sent, request.version, ctx)?;
    let named = route.cache.is_some().then(|| Named::of(&head, request, strict));
    be_patient(route, &exchange, session, ctx);
    settle(session, route, strict, ctx)?;
    let wished = named.and_then(|it| cached::wish(route, &it, session.req_header(), ctx, state));
    ctx.cached = wished;
    ctx.slot = find_slot(route, session, ctx)?;
    Ok(answer)
}

/// Makes a request that was let in what is seen of it from here on.
fn settle(
    session: &mut Session,
    route: &Route,
    strict: &Strict,
    ctx: &Context,
) -> Result<(), Refusal> {
    let request = session.req_header_mut();
    let shows_pass = access::show_pass(&request.headers);
    grant(request, route, &ctx.granted);
    if request.headers.contains_key(header::UPGRADE) && !read_head(request, strict)?.upgrade {
        // Pingora takes any Upgrade for a tunnel, whatever the client meant.
        request.remove_header(&header::UPGRADE);
    }
    if shows_pass {
        // It is between the client and us.
        fields::change_request(request, access::strip_passes);
    }
    Ok(())
}

/// Finds out who asks, and whether it may at all.
fn meet(
    request: &RequestHeader,
    exchange: &Exchange,
    ctx: &mut Context,
    state: &State,
) -> Result<Client, Refusal> {
    let (clients, peer) = (&ctx.site.clients, exchange.connection.peer.ip());
    ctx.request_id = Some(clients.request_id(peer, &request.headers));
    let client = clients.identify(peer, &request.headers)?;
    ctx.client = Some(client.clone());
    ctx.under_way = meter::enter(&client, &ctx.site, state)?;
    Ok(client)
}

/// Others may be asked, within what is left of the exchange: nobody reads or
/// writes meanwhile, and would notice its end.
async fn check_access(
    route: &Route,
    head: &Head<'_>,
    target: &str,
    exchange: &Exchange,
    ctx: &Context,
) -> Result<Granted, Refusal> {
    if !route.access.has_credentials() {
        return Ok(Granted::default());
    }
    let asked = Asked {
        head,
        client: ctx.client.as_ref().ok_or(Refusal::Internal)?,
        target,
        channel: exchange.connection.channel(),
        request_id: ctx.request_id.as_ref().ok_or(Refusal::Internal)?,
    };
    let left = exchange.left().unwrap_or(Duration::MAX);
    let granted = timeout(left, Box::pin(route.access.check(&asked))).await;
    Ok(granted.map_err(|_| Refusal::TookTooLong)??)
}

pub(super) fn read_head<'a>(
    request: &'a RequestHeader,
    strict: &Strict,
) -> Result<Head<'a>, Malformed> {
    Head::read(&request.method, &request.uri, request.version, &request.headers, strict)
}

/// Sets how long the request may take in all, and its client be silent.
fn be_patient(route: &Route, exchange: &Exchange, session: &mut Session, ctx: &Context) {
    let need = ctx.forward.as_ref().map_or(Need::Exchange, |forward| forward.need);
    match need {
        Need::Exchange => {}
        // A tunnel's silence is no body's: the exchange's deadline bounds it.
        Need::Upgrade => session.set_read_timeout(None),
        Need::Call => {
            exchange.set_open_ended();
            session.set_read_timeout(Some(exchange.connection.listener.timeouts.tunnel.0));
        }
    }
    // The longest calls of gRPC look like the shortest, and say `grpc-timeout`.
    if let (Some(total), Need::Exchange | Need::Upgrade) = (route.total, need) {
        exchange.end_after(total);
    }
}

/// What a request leads to.
enum Found {
    /// An answer that needs no access.
    Answer(Reply),
    /// What its route does.
    Route(Matched),
}

fn find<'s>(site: &'s Site, head: &Head<'_>) -> Result<(&'s Arc<Route>, Found), NoRoute> {
    if let Some((route, answer)) = preflight(site, head) {
        return Ok((route, Found::Answer(answer)));
    }
    let (route, found) = site.find(head)?;
    Ok((route, Found::Route(found)))
}

/// The answer to a browser that asks whether a page may use a method: by the
/// route that the method would lead to. It asks before it shows who it is.
fn preflight<'s>(site: &'s Site, head: &Head<'_>) -> Option<(&'s Arc<Route>, Reply)> {
    let method = asked_before(head.method, head.headers)?;
    let (route, _) = site.find(&Head { method: &method, ..head.clone() }).ok()?;
    let cors = route.cors.as_ref()?;
    Some((route, Reply::Answer(cors.preflight(head.headers))))
}

/// Whether the request may pass by what it shows, and the query it goes on with.
fn screen(
    route: &Route,
    client: &Client,
    head: &Head<'_>,
    written: &Uri,
    channel: Channel,
    ctx: &mut Context,
) -> Result<Query, Denied> {
    let address = client.address;
    let pressure = match route.access.may_challenge() && ctx.site.is_shedding(route) {
        true => Pressure::Shedding,
        false => Pressure::Calm,
    };
    let place = route.access.locate(ctx.site.clients.geo(), address);
    ctx.place = place;
    let seal = &ctx.site.seal;
    route.access.screen(&Screened { head, address, place, written, channel, pressure, seal })
}

/// Takes from a request what only we were to read: no room, server or cache
/// sees it from here on, and the record has it still.
pub(super) fn set_query(
    request: &mut RequestHeader,
    query: Option<&str>,
    ctx: &mut Context,
) -> Result<(), Refusal> {
    ctx.absolute_target = None;
    ctx.written_query = request.uri.query().map(str::to_owned);
    let path = request.uri.path();
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = request.uri.clone().into_parts();
    let target = PathAndQuery::try_from(target).map_err(|_| Refusal::Internal)?;
    parts.path_and_query = Some(target);
    request.set_uri(Uri::from_parts(parts).map_err(|_| Refusal::Internal)?);
    Ok(())
}

/// Removes the fields that the listener drops before anybody reads them.
pub(super) fn drop_fields(request: &mut RequestHeader, strict: &Strict) {
    for name in strict.names_to_drop(&request.headers) {
        request.remove_header(&name);
    }
}

/// Makes the request say what was granted, for all who look at it from here on.
pub(super) fn grant(request: &mut RequestHeader, route: &Route, granted: &Granted) {
    if !route.guarded.is_empty() || route.access.has_credentials() {
        fields::change_request(request, |fields| {
            remove_rare(fields, &route.guarded);
            route.access.apply(granted, fields);
        });
    }
}

/// The target as it was written; empty where it is not one of a server's.
fn written_target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |target| target.as_str())
}

/// The most bytes of body, checked early where the client says how many come.
fn body_bound(route: &Route, listener: &Listener, request: &RequestHeader) -> Result<u64, Refusal> {
    let limit = route.body_limit.unwrap_or(listener.limits.body).0;
    if announced(&request.headers).is_some_and(|length| length > limit) {
        return Err(Refusal::BodyTooLarge);
    }
    Ok(limit)
}

/// Refuses what there will be no slot for, before anybody is asked about it.
fn check_load(route: &Route, ctx: &Context) -> Result<(), Crowded> {
    let waits = match &route.action {
        // Browsers may work for being let in.
        _ if route.access.may_challenge() => return Ok(()),
        Action::Redirect(_) | Action::Respond(_) => return Ok(()),
        Action::Files { .. } => Waits::ForUs,
        // Which upstream it will be is not known yet.
        Action::Proxy(_) => Waits::ForServers(None),
    };
    let Some(shed) = &ctx.site.shed else {
        return Ok(());
    };
    let (priority, worker) = (route.priority, ctx.worker);
    shed.check(&Arrival { priority, worker, body: Body::Here, waits })
}

/// A slot for the request, where there is a bound on those who wait.
fn find_slot(route: &Route, session: &mut Session, ctx: &Context) -> Result<Option<Slot>, Crowded> {
    let Some(shed) = &ctx.site.shed else {
        return Ok(None);
    };
    let waits = match (&route.action, &ctx.forward) {
        (Action::Redirect(_) | Action::Respond(_), _) => return Ok(None),
        (_, Some(forward)) => Waits::ForServers(forward.upstream.gate.as_ref()),
        (_, None) => Waits::ForUs,
    };
    let body = if session.is_body_empty() { Body::Here } else { Body::ToCome };
    let arrival = Arrival { priority: route.priority, worker: ctx.worker, body, waits };
    shed.enter(&arrival).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config};
    use crate::log::Metrics;
    use crate::site::Site;

    fn listener(keys: &str) -> Listener {
        let written = format!("{{ address: '127.0.0.1:1', {keys} }}");
        let config: config::Listener = serde_yaml::from_str(&written).expect("well-formed");
        Listener::new(&config).expect("good")
    }

    /// Gives the head of a request for a.example to `look`.
    fn read<T>(target: &str, look: impl FnOnce(&Head<'_>, &Uri) -> T) -> T {
        let request = http::Request::get(target).header(header::HOST, "a.example:8080");
        let request = request.body(()).expect("a request");
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let head = Head::read(method, uri, Version::HTTP_11, headers, &Strict::default());
        look(&head.expect("a sound head"), uri)
    }

    #[test]
    fn a_query_that_is_none_leads_nowhere_else() {
        let site = Site::build(&Config::default(), &Metrics::new(), None).expect("good");
        let mut ctx = Context::new(Arc::new(site), 0);
        let mut request = RequestHeader::build("GET", b"/x?y", None).expect("good");
        for (query, expected) in [(Some("z"), "/x?z"), (None, "/x")] {
            set_query(&mut request, query, &mut ctx).expect("a query");
            assert_eq!(request.uri, expected);
        }
        let refused = set_query(&mut request, Some("a b"), &mut ctx);
        assert!(matches!(refused, Err(Refusal::Internal)), "{}", request.uri);
    }

    #[test]
    fn a_route_may_have_a_bound_of_its_own_for_bodies() {
        let config = "{ routes: [{ match: { path: /own }, respond: {}, limits: { body: '4' } },
            { respond: {} }] }";
        let config: Config = serde_yaml::from_str(config).expect("well-formed");
        let site = Site::build(&config, &Metrics::new(), None).expect("good");
        let listener = listener("limits: { body: '8' }");
        for (target, length, expected) in
            [("/own", 4, Some(4)), ("/own", 5, None), ("/", 8, Some(8)), ("/", 9, None)]
        {
            let mut request = RequestHeader::build("POST", target.as_bytes(), None).expect("good");
            request.insert_header(header::CONTENT_LENGTH, length).expect("good");
            let bound = read(target, |head, _| {
                let (route, _) = site.find(head).expect("a route");
                body_bound(route, &listener, &request).ok()
            });
            assert_eq!(bound, expected, "{length} to {target}");
        }
    }
}
