//! A fetch beside a client that has been sent what is stale: pingora makes a
//! request of the client's, and we make it one of nobody's.
//!
//! It is for everybody, so it passes nobody's limits, shows nobody's
//! credentials, and has no record: no client has asked for it.

use http::{Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use crate::access::{Granted, Query};
use crate::client::{Client, RequestId};
use crate::listen::Exchange;
use crate::route::NoRoute;
use crate::site::{Action, State};
use crate::values::announced;

use super::act;
use super::admit;
use super::ahead;
use super::cached;
use super::context::Context;
use super::fields;
use super::named::Named;
use super::refuse::Refusal;
use super::slice;

/// Bytes of an answer that are read for nobody.
const MOST_READ: u64 = 64 << 10;

/// Whether a session is not a client's.
pub(super) fn is_one(session: &Session) -> bool {
    session.subrequest_ctx.is_some()
}

/// Gives it an exchange of its own: that of the client may be over any time.
pub(super) fn begin(session: &mut Session, ctx: &mut Context) -> Result<()> {
    let Some(exchange) = Exchange::of(session.digest()) else {
        return Error::e_explain(ErrorType::InternalError, "a fetch beside nobody");
    };
    let is_trusted = ctx.site.clients.trust(exchange.connection.peer.ip());
    ctx.exchange = Some(exchange.beside());
    ctx.slice = slice::take(session);
    ctx.ahead = ahead::take(session);
    ctx.is_background = true;
    ctx.client = Some(Client::nobody(is_trusted));
    ctx.request_id = Some(RequestId::new());
    let request = session.req_header_mut();
    request.set_method(Method::GET);
    if let Some(next) = &ctx.ahead {
        ahead::prepare(request, next)?;
    }
    fields::join_cookies(request)?;
    fields::forget_request_case(request);
    Ok(())
}

/// Ends it where nothing of its answer is kept: nobody is there who reads that.
pub(super) fn answered(session: &Session, response: &ResponseHeader, ctx: &Context) -> Result<()> {
    if !ctx.is_background || session.cache.enabled() || is_short(response) {
        return Ok(());
    }
    Error::e_explain(ErrorType::HTTPStatus(response.status.as_u16()), "nobody is to get this")
}

/// Whether its body is read rather than a connection closed for it.
fn is_short(response: &ResponseHeader) -> bool {
    let has_body = !matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !has_body || announced(&response.headers).is_some_and(|length| length <= MOST_READ)
}

/// Finds the route and the servers again; nobody is asked who they are.
pub(super) fn admit(
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<(), Refusal> {
    let exchange = ctx.exchange.clone().ok_or(Refusal::Internal)?;
    let (connection, site) = (&exchange.connection, ctx.site.clone());
    let strict = site.strict(&connection.listener.name);
    let request = session.req_header_mut();
    admit::drop_fields(request, strict);
    // Where it is proxied the connection's are gone by now, and a body has nobody.
    for name in [header::EXPECT, header::UPGRADE, header::CONTENT_LENGTH] {
        request.remove_header(&name);
    }
    let head = admit::read_head(request, strict)?;
    let (route, _) = site.find(&head)?;
    let is_proxied = matches!(route.action, Action::Proxy(_));
    if route.cache.is_none() || !is_proxied {
        return Err(NoRoute::Unknown.into());
    }
    ctx.route = Some(route.clone());
    if let Some(next) = &ctx.ahead {
        ahead::admit(next, session.req_header_mut(), route)?;
    }
    let head = admit::read_head(session.req_header(), strict)?;
    if let Query::Left(left) = route.access.without_proof(head.query) {
        admit::set_query(session.req_header_mut(), left.as_deref(), ctx)?;
    }
    let head = admit::read_head(session.req_header(), strict)?;
    let (route, found) = site.find(&head)?;
    let request = session.req_header();
    let sent = head.target(&request.uri, strict);
    let named = Named::of(&head, request, strict);
    act::act(route, &found, &head, sent, request.version, ctx)?;
    admit::grant(session.req_header_mut(), route, &Granted::default());
    ctx.cached = cached::wish(route, &named, session.req_header(), ctx, state);
    slice::name(ctx, state.vault);
    Ok(())
}
