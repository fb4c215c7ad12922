//! To a server and back: choosing it, telling it, and judging what it did.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::balance::{Ask, Outcome};
use crate::cache::make_literal;
use crate::listen::{Exchange, LINGER};
use crate::upstream::{Failed, Need, Protocol, Upstream, framing, headers};
use crate::waf::Inspection;

use super::attempt::{is_kept, may_retry, replay, report};
use super::context::{Context, Forward, Link, Piece};
use super::fields;
use super::inspect;
use super::keep;
use super::meter;
use super::refuse::Refusal;

/// How much later than the deadlines of clients an attempt ends that none of them
/// waits for.
const UNWATCHED: Duration = Duration::from_secs(1);

/// Picks a server for the next attempt.
pub(super) fn choose_server(session: &Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
    let (Some(forward), Some(client), Some(exchange)) =
        (ctx.forward.as_mut(), ctx.client.as_ref(), ctx.exchange.as_ref())
    else {
        return Error::e_explain(ErrorType::InternalError, "a request without an upstream");
    };
    let request = session.req_header();
    let ask = Ask {
        client: client.address,
        target: request.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &request.headers,
        tried: &forward.tried,
    };
    if exchange.is_over() {
        ctx.failure = Some(Refusal::TookTooLong);
        return Error::e_explain(ErrorType::HTTPStatus(504), "no time is left to ask a server");
    }
    let lease = match forward.upstream.pool.pick(&ask) {
        Ok(lease) => lease,
        Err(none) => {
            ctx.failure = Some(Refusal::NoServer(none));
            return Error::e_explain(ErrorType::HTTPStatus(503), none.to_string());
        }
    };
    // An attempt on a stale connection was taken back, but it was the first.
    if forward.attempts == 0 && forward.stale == 0 {
        forward.upstream.budget.request();
    }
    let tunnel = exchange.connection.listener.timeouts.tunnel.0;
    let (mut peer, in_use) = forward.upstream.peer(lease.server(), forward.need, tunnel);
    if let (Some(left), Need::Exchange) = (exchange.left(), forward.need) {
        Upstream::hurry(&mut peer, left);
    }
    if ctx.cached.is_some() {
        // What is fetched for others goes on when its client has left, and no client's
        // connection looks at the deadlines then.
        let timeouts = forward.upstream.timeouts();
        let patience = timeouts.first_byte.0.max(timeouts.between_bytes.0) + UNWATCHED;
        peer.options.read_timeout = Some(patience);
    }
    if request.method.is_idempotent() && inspect::is_read_and_not_kept(session) {
        // Else it would be sent again on another connection, were its own closed by then.
        forward.upstream.anew(&mut peer);
    }
    forward.in_use = Some(in_use);
    forward.begin(lease);
    ctx.metered.begin();
    if let Some(inspection) = &mut ctx.inspection {
        inspection.begin_attempt(is_kept(session));
    }
    ctx.failure = None;
    exchange.no_deadline();
    Ok(Box::new(peer))
}

/// Notes how long a new connection took.
pub(super) fn connected(link: Link, digest: Option<&Digest>, ctx: &mut Context) {
    let Some(forward) = ctx.forward.as_mut() else {
        return;
    };
    if link == Link::New {
        let layers = digest.map(|digest| digest.timing_digest.iter().flatten());
        forward.connect =
            layers.map(|layers| layers.filter_map(|layer| layer.establishment_duration).sum());
    }
}

/// Makes the request what the server is to see.
pub(super) async fn prepare_request(
    session: &mut Session,
    request: &mut RequestHeader,
    ctx: &mut Context,
) -> Result<()> {
    if ctx.cached.is_some() {
        fields::change_request(request, |fields| keep::prepare(session, fields, ctx));
    }
    let ctx = &*ctx;
    let (Some(forward), Some(client), Some(exchange), Some(route), Some(id)) = (
        ctx.forward.as_ref(),
        ctx.client.as_ref(),
        ctx.exchange.as_ref(),
        ctx.route.as_ref(),
        ctx.request_id.as_ref(),
    ) else {
        return Error::e_explain(ErrorType::InternalError, "a request without a route");
    };
    let asked = &session.req_header().headers;
    // Over h1 the field would need `Connection: TE`, and has no trailers to ask for.
    let asks_trailers = forward.upstream.protocol() != Protocol::H1 && headers::is_grpc(asked);
    // As the key has it: the answer is for whoever writes it in another way.
    let keyed = ctx.cached.as_ref().map(|cached| cached.place.authority());
    let client_host = keyed.as_deref().unwrap_or(&forward.client_host);
    let outgoing = client.outgoing(asked, client_host, exchange.connection.channel());
    let waits_for_continue = fields::change_request(request, |fields| {
        headers::clean(fields, || route.headers.request.names().chain(&route.guarded));
        // Pingora has removed what the client named in `Connection`.
        route.access.apply(&ctx.granted, fields);
        headers::identify(fields, client, outgoing, id.to_value());
        if ctx.is_background {
            headers::name_nobody(fields);
        }
        if let Some(cached) = &ctx.cached {
            make_literal(fields, &cached.profile.shape.headers);
        }
        name_host(fields, forward, keyed.as_deref())?;
        if asks_trailers {
            fields.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        if ctx.inspection.as_ref().is_some_and(Inspection::judges_answer) {
            // Rules read what is not encoded; what they let pass may be encoded by us.
            fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        route.headers.request.apply(fields);
        Ok::<_, Box<Error>>(fields.remove(header::EXPECT).is_some())
    })?;
    if let Some(target) = &forward.target {
        let target =
            http::Uri::try_from(target.as_str()).or_err(ErrorType::InternalError, "a target")?;
        request.set_uri(target);
    }
    if waits_for_continue && session.req_header().version != Version::HTTP_10 {
        // A server is there, so the client may go on. Pingora would leave it
        // to servers, and not all of them do it.
        session.write_continue_response().await?;
    }
    if session.is_body_done() {
        await_answer(exchange, forward);
    }
    Ok(())
}

/// Sets how long the server may take to begin its answer.
fn await_answer(exchange: &Exchange, forward: &Forward) {
    exchange.expect_within(match forward.need {
        Need::Exchange | Need::Upgrade => forward.upstream.timeouts().first_byte.0,
        // The head of a stream may come with its first message.
        Need::Call => exchange.connection.listener.timeouts.tunnel.0,
    });
}

/// Writes the Host that a rewrite asks for, that a key has, that the client named
/// elsewhere, or for want of one (HTTP/1.0) the server's own (RFC 9112 §3.2).
fn name_host(fields: &mut HeaderMap, forward: &Forward, keyed: Option<&str>) -> Result<()> {
    let keyed = keyed.filter(|host| !host.is_empty());
    let host = match (forward.host.as_deref().or(keyed), &forward.lease) {
        (Some(host), _) => host,
        (None, _) if fields.contains_key(header::HOST) => return Ok(()),
        // A request of HTTP/2 names its host in the target, which is cut.
        (None, _) if !forward.client_host.is_empty() => &*forward.client_host,
        (None, Some(lease)) => lease.server().authority(),
        (None, None) => return Ok(()),
    };
    let host = HeaderValue::from_str(host).or_err(ErrorType::InternalError, "a host")?;
    fields.insert(header::HOST, host);
    Ok(())
}

/// Counts the request body, and starts waiting for the answer at its end.
pub(super) fn request_body(
    session: &Session,
    body: &mut Option<Bytes>,
    piece: Piece,
    ctx: &mut Context,
) -> Result<()> {
    if session.was_upgraded() {
        keep_alive(ctx);
        return Ok(());
    }
    // An empty last chunk would be written as a second end of a chunked body
    // (pingora issue 935), and the next request on that connection be lost.
    if piece == Piece::Last && body.as_ref().is_some_and(Bytes::is_empty) {
        *body = None;
    }
    let received = session.body_bytes_read() as u64;
    if received > ctx.body_limit {
        ctx.failure = Some(Refusal::BodyTooLarge);
        return Err(
            Error::explain(ErrorType::HTTPStatus(413), "the request body is too large").into_down()
        );
    }
    let (Some(exchange), Some(forward)) = (ctx.exchange.as_ref(), ctx.forward.as_mut()) else {
        return Ok(());
    };
    if forward.status.is_some() {
        // A server that has begun its answer may have to read on.
        keep_alive(ctx);
        return Ok(());
    }
    if received > 0 {
        // How long a client uploads is no measure of a server.
        forward.began = Instant::now();
    }
    if piece == Piece::Last {
        await_answer(exchange, forward);
        if let Some(slot) = &mut ctx.slot {
            slot.sent();
        }
    }
    Ok(())
}

/// Looks at the head of an answer, before anybody else does.
pub(super) fn answered(
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
) -> Result<()> {
    let head = response.status;
    if !framing::is_settled(head, &response.headers) {
        fields::change_response(response, |answer| framing::settle(head, answer)).map_err(
            |unknown| Error::because(ErrorType::InvalidHTTPHeader, "framing", unknown).into_up(),
        )?;
    }
    let (Some(forward), Some(exchange)) = (ctx.forward.as_mut(), ctx.exchange.as_ref()) else {
        return Ok(());
    };
    let status = response.status.as_u16();
    if response.status.is_informational() && status != 101 {
        return Ok(());
    }
    if status == 101 && forward.need != Need::Upgrade {
        let what = "the server switched protocols unasked";
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, what).into_up());
    }
    let latency = forward.began.elapsed();
    forward.first_byte = Some(latency);
    forward.status = Some(status);
    if response.status.is_server_error() {
        report(forward, Outcome::Failed);
    } else {
        report(forward, Outcome::Answered(latency));
    }
    let goes_elsewhere = forward.goes_elsewhere.take().unwrap_or_else(|| {
        forward.upstream.retries.lists_status(status)
            && may_retry(forward, Failed::Status(status), replay(session))
    });
    if goes_elsewhere {
        exchange.no_deadline();
        let mut error = Error::explain(ErrorType::HTTPStatus(status), "tried elsewhere");
        error.set_retry(true);
        return Err(error.into_up());
    }
    if let Some(slot) = ctx.slot.take() {
        slot.answered();
    }
    let is_tunnel = status == 101 || headers::is_stream(&response.headers);
    let silence = if is_tunnel {
        // Its end is nobody's fault: a stream may be open for days.
        exchange.no_end();
        exchange.set_open_ended();
        exchange.connection.listener.timeouts.tunnel.0
    } else {
        forward.upstream.timeouts().between_bytes.0
    };
    forward.silence = Some(silence);
    exchange.expect_within(silence);
    if is_tunnel {
        meter::open_ended(session, ctx);
    }
    Ok(())
}

/// Something moved: the silence begins anew.
pub(super) fn keep_alive(ctx: &Context) {
    if let (Some(exchange), Some(forward)) = (ctx.exchange(), ctx.forward.as_ref())
        && let Some(silence) = forward.silence
    {
        exchange.expect_within(silence);
    }
}

/// The answer is whole, and nothing of a server is awaited any more. What the
/// client still sends of its request is of little use, and bounded in all.
pub(super) fn answer_ends(session: &mut Session, ctx: &mut Context) {
    let (Some(exchange), Some(forward)) = (ctx.exchange.as_ref(), ctx.forward.as_mut()) else {
        return;
    };
    forward.silence = None;
    forward.is_answered = true;
    if session.is_body_done() {
        exchange.no_deadline();
    } else {
        exchange.expect_within(LINGER);
    }
}
