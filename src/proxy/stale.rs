//! When what is stale goes to a client: beside a fetch of what is new, or for a server that fails.

use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use crate::balance::Outcome;
use crate::cache::{CacheStatus, Failure, Forward as CacheForward, Source, Use, now};
use crate::log::CacheUse;
use crate::upstream::Failed;

use super::attempt::{may_retry, replay, report};
use super::context::{Context, Forward};
use super::hit;
use super::refuse::Refusal;

/// Whether what is stored is sent while a new one is fetched beside that.
pub(super) fn goes_while_fetched(ctx: &Context) -> bool {
    let found = ctx.cached.as_ref().and_then(|cached| cached.found.as_ref());
    // Who asks for everybody can prove to be nobody.
    let is_for_all = ctx.route.as_ref().is_some_and(|route| !route.access.has_credentials());
    !ctx.is_background
        && is_for_all
        && found.is_some_and(|found| found.good_for == Use::WhileRevalidating)
}

/// Whether what is stored stands in for what has become of asking the server.
pub(super) fn stands_in(session: &mut Session, error: &Error, ctx: &mut Context) -> bool {
    if ctx.is_background {
        return false;
    }
    let Some(failure) = failure(error, ctx) else { return false };
    if let Failure::Answered(status) = failure
        && let Some(forward) = ctx.forward.as_mut()
        && goes_elsewhere(session, status, forward)
    {
        return false;
    }
    let Some(found) = ctx.cached.as_ref().and_then(|cached| cached.found.as_ref()) else {
        return false;
    };
    if !found.terms.stands_in(failure, now()) {
        return false;
    }
    ctx.failure = None;
    // Pingora closes the connection after it, whatever its head says.
    session.set_keepalive(None);
    if let (Some(exchange), Some(forward)) = (ctx.exchange.as_ref(), ctx.forward.as_ref()) {
        // Whatever ended, the client still gets an answer; a server that goes on with
        // its own is not waited for without end.
        exchange.no_end();
        exchange.expect_within(forward.upstream.timeouts().between_bytes.0);
    }
    true
}

/// Puts what is stored in the place of a server's failure to answer a HEAD: pingora does that only
/// for what is to be stored.
pub(super) fn answered(session: &Session, response: &mut ResponseHeader, ctx: &mut Context) {
    let failure = Failure::Answered(response.status);
    if !session.cache.enabled()
        && let Some(head) = head(failure, session, ctx)
    {
        *response = head;
    }
}

/// The same where no server has answered.
pub(super) fn unanswered(
    refusal: &Refusal,
    session: &Session,
    ctx: &mut Context,
) -> Option<ResponseHeader> {
    is_of_servers(refusal).then(|| head(Failure::Unreachable, session, ctx)).flatten()
}

fn head(failure: Failure, session: &Session, ctx: &mut Context) -> Option<ResponseHeader> {
    let cached = ctx.cached.as_mut().filter(|_| session.req_header().method == Method::HEAD)?;
    let now = now();
    let found = cached.found.as_ref().filter(|found| found.good_for == Use::Validate)?;
    if !found.terms.stands_in(failure, now) {
        return None;
    }
    let status = match failure {
        Failure::Answered(status) => Some(status),
        Failure::Unreachable => None,
    };
    let status = CacheStatus::new(Source::Forwarded(CacheForward::Stale, status));
    let status = CacheStatus { ttl: Some(found.terms.ttl(now)), ..status };
    let head = hit::stored_head(found, now);
    cached.told = Some((status, CacheUse::Stale));
    Some(head)
}

/// Notes what a server said, and whether another one is to be asked instead.
fn goes_elsewhere(session: &Session, status: StatusCode, forward: &mut Forward) -> bool {
    let status = status.as_u16();
    if forward.status != Some(status) {
        forward.status = Some(status);
        report(forward, Outcome::Failed);
    }
    let again = forward.upstream.retries.lists_status(status)
        && may_retry(forward, Failed::Status(status), replay(session));
    forward.goes_elsewhere = Some(again);
    again
}

fn failure(error: &Error, ctx: &Context) -> Option<Failure> {
    let is_server = *error.esource() == ErrorSource::Upstream;
    match (error.etype(), &ctx.failure) {
        (ErrorType::HTTPStatus(status), _) if is_server => {
            StatusCode::from_u16(*status).ok().map(Failure::Answered)
        }
        (_, Some(refusal)) if is_of_servers(refusal) => Some(Failure::Unreachable),
        _ => is_server.then_some(Failure::Unreachable),
    }
}

/// Whether it is for want of a server that answers.
fn is_of_servers(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NoServer(_)
            | Refusal::ServerUnreachable
            | Refusal::ServerTooSlow
            | Refusal::BadAnswer
            | Refusal::TookTooLong
    )
}
