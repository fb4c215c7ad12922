//! What the client gets, and what is remembered of it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_proxy::Session;

use crate::client::{Country, X_REQUEST_ID};
use crate::listen::Channel;
use crate::log::{Detected, Findings, Protocol, Record, Tls, without_user};
use crate::respond::{Asked, remove_hop_by_hop};
use crate::site::State;
use crate::upstream::headers::VIA;
use crate::waf;

use super::ahead;
use super::bare;
use super::context::{Context, Piece};
use super::fields;
use super::forward;
use super::meter;
use super::persist;
use super::show;
use super::summary;

/// The head of a server's answer, as the client is to see it.
pub(super) fn response_head(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
) -> Result<()> {
    if is_interim(response.status) {
        return Ok(());
    }
    let is_h2 = response.version == Version::HTTP_2;
    // A server of HTTP/1.0 does not make us one.
    response.set_version(Version::HTTP_11);
    let status = response.status;
    fields::change_response(response, |headers| {
        remove_hop_by_hop(status, headers);
        let lease = ctx.forward.as_ref().and_then(|forward| forward.lease.as_ref());
        if let Some(cookie) = lease.and_then(|lease| lease.sticky_cookie(channel(ctx))) {
            headers.append(header::SET_COOKIE, cookie);
        }
        pass_on(session, status, headers, ctx)
    })?;
    if is_h2 && ctx.encoder.is_some() {
        bare::watch(session);
    }
    keep_pace(session, ctx);
    Ok(())
}

/// The head of a stored answer, which has nothing of a connection in it.
pub(super) fn stored_head(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
) -> Result<()> {
    let status = response.status;
    fields::change_response(response, |headers| pass_on(session, status, headers, ctx))?;
    keep_pace(session, ctx);
    Ok(())
}

fn pass_on(
    session: &mut Session,
    status: StatusCode,
    headers: &mut HeaderMap,
    ctx: &mut Context,
) -> Result<()> {
    headers.append(header::VIA, VIA);
    finish_head(session, status, headers, ctx)
}

/// Has the body leave at the pace that the profile of the cache says.
fn keep_pace(session: &mut Session, ctx: &Context) {
    let pace = ctx.cached.as_ref().and_then(|cached| cached.profile.pace);
    let (Some(pace), Some(exchange)) = (pace, ctx.exchange().filter(|_| !ctx.is_background)) else {
        return;
    };
    exchange.leaving.throttle(pace.burst, pace.rate);
    let patience = write_timeout(session, ctx);
    session.set_write_timeout(patience);
}

/// How long a write to the client may take, but for the end of the exchange. Over h1 one
/// whose pace is ours has no bound here: it is the socket's, on which nobody waits by our will.
fn write_timeout(session: &Session, ctx: &Context) -> Option<Duration> {
    let is_h2 = session.req_header().version == Version::HTTP_2;
    let is_paced = ctx.cached.as_ref().is_some_and(|cached| cached.profile.pace.is_some());
    let exchange = ctx.exchange().filter(|_| is_h2 || !is_paced)?;
    Some(exchange.connection.listener.timeouts.write.0)
}

/// What every answer has: the request id, the fields of its route or of the
/// defaults, a coding that the client takes, and a body that an HTTP/1.0 client
/// can read.
pub(super) fn finish_head(
    session: &mut Session,
    status: StatusCode,
    response: &mut HeaderMap,
    ctx: &mut Context,
) -> Result<()> {
    persist::settle(session);
    // Whoever answers, nobody is waited for any more.
    ctx.slot = None;
    if let Some(id) = &ctx.request_id {
        response.insert(X_REQUEST_ID, id.to_value());
    }
    if let Some(permit) = &ctx.permit {
        for (name, value) in permit.shown() {
            response.append(name, value);
        }
    }
    show::mark(session, response, ctx);
    let request = session.req_header();
    let (headers, compression) = match &ctx.route {
        Some(route) => (&route.headers, &route.compression),
        None => (&ctx.site.defaults.headers, &ctx.site.defaults.compression),
    };
    if let Some(cors) = ctx.route.as_ref().and_then(|route| route.cors.as_ref()) {
        cors.apply(&request.headers, response);
    }
    headers.response.apply(response, channel(ctx));
    if let (Some(_), Some(exchange), Some(date)) =
        (&ctx.cached, ctx.exchange(), response.get(header::DATE))
    {
        exchange.leaving.keep_date(date.clone());
    }
    // Who is refused is not to cost more than that: no less so where we have no time to spare.
    if let Some(compression) = compression
        && ctx.refusal.is_none()
    {
        let asked =
            Asked { method: &request.method, version: request.version, headers: &request.headers };
        let encoder = compression.start(&asked, status, response, &ctx.site.turns);
        ctx.encoder = encoder.or_err(ErrorType::InternalError, "starting to compress")?;
    }
    // RFC 9112 §6.1: no chunks to a client that may not know them; without a
    // length the body ends with the connection.
    if request.version == Version::HTTP_10 {
        response.remove(header::TRANSFER_ENCODING);
        if !response.contains_key(header::CONTENT_LENGTH) {
            // Pingora would promise a client that asks for it to keep it open.
            session.set_keepalive(None);
        }
    } else if ctx.encoder.is_some() && request.version == Version::HTTP_11 {
        response.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(())
}

fn channel(ctx: &Context) -> Channel {
    ctx.exchange().map_or(Channel::Plain, |exchange| exchange.connection.channel())
}

/// Lets the next write take no longer than is left of the exchange: who waits
/// for a client to read does not look at the clock.
pub(super) fn hurry(session: &mut Session, ctx: &Context) {
    if let Some(exchange) = ctx.exchange()
        && let Some(left) = exchange.left()
    {
        let patience = write_timeout(session, ctx).map_or(left, |patience| patience.min(left));
        session.set_write_timeout(Some(patience));
    }
}

/// A piece of an answer's body.
pub(super) fn response_body(
    body: &mut Option<Bytes>,
    piece: Piece,
    ctx: &mut Context,
) -> Result<()> {
    if piece == Piece::Inner {
        forward::keep_alive(ctx);
    }
    let Some(mut encoder) = ctx.encoder.take() else {
        return Ok(());
    };
    let plain = body.take().unwrap_or_default();
    let encoded = encoder.write(&plain).or_err(ErrorType::InternalError, "compressing")?;
    if piece == Piece::Inner {
        ctx.encoder = Some(encoder);
        *body = Some(encoded);
        return Ok(());
    }
    let rest = encoder.finish().or_err(ErrorType::InternalError, "compressing")?;
    *body = Some(if encoded.is_empty() { rest } else { [encoded, rest].concat().into() });
    Ok(())
}

/// What a coding has to say behind a body that trailers follow. Pingora takes it in their place,
/// and a body that is whole is worth more.
pub(super) fn last_of_coding(ctx: &mut Context) -> Option<Bytes> {
    let rest = ctx.encoder.take()?.finish();
    rest.map_err(|error| ctx.error = Some(error.to_string())).ok()
}

/// The one record of a request, for the access log and the metrics.
pub(super) fn record(session: &Session, error: Option<&Error>, ctx: &mut Context, state: &State) {
    let Some(exchange) = ctx.exchange.take() else {
        return ::log::error!("a request that is not from `listen` is not recorded");
    };
    exchange.set_recorded();
    if ctx.is_background {
        // No client has asked for it.
        let cache = state.metrics.cache();
        return match ctx.ahead {
            Some(_) => cache.prefetched(ahead::outcome(session, error, ctx)),
            None => cache.fetched(),
        };
    }
    meter::judge(session, ctx, state);
    let connection = &exchange.connection;
    let request = session.req_header();
    let duration = exchange.began().elapsed();
    let written = session.response_written().map(|head| head.status);
    let status = written.filter(|status| !is_interim(*status)).map_or(0, |status| status.as_u16());
    let forward = ctx.forward.as_ref();
    let late = error.filter(|_| ctx.error.is_none()).map(summary::of);
    let peer = connection.peer.ip();
    let path = request.uri.path();
    let record = Record {
        time: SystemTime::now() - duration,
        duration,
        client_ip: ctx.client.as_ref().map_or(peer, |client| client.address),
        peer_ip: peer,
        country: ctx.place.country.as_ref().map(Country::as_str),
        asn: ctx.place.asn,
        listener: &connection.listener.name,
        protocol: protocol(request.version),
        tls: connection.tls.as_ref().map(|tls| Tls {
            version: tls.version,
            cipher: tls.cipher,
            sni: tls.sni.as_deref(),
        }),
        method: request.method.as_str().as_bytes(),
        host: without_user(host(request)),
        path: path.as_bytes(),
        query: ctx.written_query.as_deref().or_else(|| request.uri.query()).map(str::as_bytes),
        secrets: &ctx.site.secrets,
        status,
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        route: ctx.route.as_ref().map(|route| &*route.name),
        upstream: forward.map(|forward| &*forward.upstream.name),
        server: forward.and_then(|forward| forward.lease.as_ref()).map(|l| l.server().name()),
        attempts: forward.map_or(0, |forward| forward.attempts),
        failures: forward.map_or(&[], |forward| &forward.failures),
        upstream_status: forward.and_then(|forward| forward.status),
        connect: forward.and_then(|forward| forward.connect),
        first_byte: forward.and_then(|forward| forward.first_byte),
        referer: request.headers.get(header::REFERER).map(HeaderValue::as_bytes),
        user_agent: request.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes),
        request_id: ctx.request_id.as_ref().map_or("", |id| id.as_ref()),
        user: ctx.granted.user.as_deref(),
        findings: ctx.findings.as_ref().map(findings),
        refusal: ctx.cause(),
        cache: ctx.cached.as_ref().and_then(|cached| cached.outcome),
        error: ctx.error.as_deref().or(late.as_deref()),
    };
    if (100..400).contains(&status) && ctx.refusal.is_none() {
        exchange.set_served();
    }
    let upstream = forward.map(|forward| &*forward.upstream.metrics);
    state.remember(&record, ctx.route.as_deref(), upstream);
}

fn findings(found: &waf::Findings) -> Findings<'_> {
    let detected = found.detected.as_ref();
    Findings {
        score: found.score,
        rules: &found.rules,
        matches: &found.matches,
        detected: detected.map(|why| Detected { tag: why.tag(), rule: why.rule_id() }),
    }
}

/// Whether another head follows this one.
pub(super) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

fn protocol(version: Version) -> Protocol {
    match version {
        Version::HTTP_2 => Protocol::Http2,
        Version::HTTP_10 => Protocol::Http10,
        _ => Protocol::Http11,
    }
}

fn host(request: &pingora::http::RequestHeader) -> &[u8] {
    match request.headers.get(header::HOST) {
        Some(host) => host.as_bytes(),
        None => request.uri.authority().map_or(b"", |authority| authority.as_str().as_bytes()),
    }
}
