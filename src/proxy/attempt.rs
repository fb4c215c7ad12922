//! How an attempt on a server ends, and whether there is another.

use std::time::Duration;

use pingora::{Error, ErrorSource, ErrorType, RetryType};
use pingora_proxy::Session;

use crate::balance::Outcome;
use crate::log::Failure;
use crate::upstream::{Failed, Replay};

use super::answer;
use super::context::{Context, Forward, Link};
use super::refuse::Refusal;

/// No connection came about.
pub(super) fn unconnected(
    session: &Session,
    mut error: Box<Error>,
    ctx: &mut Context,
) -> Box<Error> {
    if ctx.exchange().is_some_and(|exchange| exchange.is_over()) {
        return out_of_time(error, since_asked(ctx), ctx);
    }
    let Some(forward) = ctx.forward.as_mut() else {
        return error;
    };
    let timed_out = is_timeout(&error);
    forward.failures.push(match error.etype() {
        _ if timed_out => Failure::Timeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
            Failure::Tls
        }
        _ => Failure::Connect,
    });
    report(forward, Outcome::Failed);
    let failed = Failed::Unconnected { timed_out };
    let may_retry = may_retry(forward, failed, replay(session));
    error.set_retry(may_retry);
    ctx.failure = Some(if timed_out { Refusal::ServerTooSlow } else { Refusal::ServerUnreachable });
    error
}

/// How long the server of this attempt has been awaited.
fn since_asked(ctx: &Context) -> Duration {
    ctx.forward.as_ref().map_or(Duration::ZERO, |forward| forward.began.elapsed())
}

/// The request has taken as long as it may; `had` of that was its server's.
fn out_of_time(mut error: Box<Error>, had: Duration, ctx: &mut Context) -> Box<Error> {
    error.retry = RetryType::Decided(false);
    ctx.failure = Some(Refusal::TookTooLong);
    let total = ctx.route.as_ref().and_then(|route| route.total).unwrap_or_default();
    if let Some(forward) = ctx.forward.as_mut()
        && forward.status.is_none()
    {
        forward.failures.push(Failure::Timeout);
        // A server that was asked late had no time to answer.
        if had >= total / 2 {
            report(forward, Outcome::Failed);
        }
    }
    error
}

/// A connection stood, and then something went wrong on it.
pub(super) fn broken(
    session: &mut Session,
    mut error: Box<Error>,
    link: Link,
    ctx: &mut Context,
) -> Box<Error> {
    let expired = ctx.exchange().is_some_and(|exchange| exchange.take_expired());
    if let ErrorType::HTTPStatus(_) = error.etype() {
        // Our own words, said in `answered` or `request_body`.
        return error;
    }
    if ctx.forward.as_ref().is_some_and(|forward| forward.is_answered) {
        error.retry = RetryType::Decided(false);
        return error;
    }
    if ctx.exchange().is_some_and(|exchange| exchange.is_over()) {
        // While a client still sends, it may be the one that is awaited.
        let had = if session.is_body_done() { since_asked(ctx) } else { Duration::ZERO };
        return out_of_time(error, had, ctx);
    }
    let Some(forward) = ctx.forward.as_mut() else {
        return error;
    };
    let replay = if answer::has_begun(session) { Replay::Unsafe } else { replay(session) };
    let is_server = *error.esource() == ErrorSource::Upstream;
    if !expired && !is_server {
        error.set_retry(false);
        return error;
    }
    let timed_out = expired || is_timeout(&error);
    let (failed, failure) = match error.etype() {
        _ if timed_out => (Failed::Unanswered, Failure::Timeout),
        ErrorType::InvalidHTTPHeader => (Failed::Broken, Failure::Protocol),
        _ => (Failed::Broken, Failure::Closed),
    };
    // A server may close an idle connection just as we reuse it (RFC 9112
    // §9.3.1): no fault of its, and no attempt has been made.
    let was_stale = link == Link::Pooled && is_server && !timed_out && forward.status.is_none();
    let may_retry = if was_stale && replay == Replay::Safe && forward.stale < MOST_STALE {
        forward.tried.pop();
        forward.attempts -= 1;
        forward.stale += 1;
        true
    } else {
        forward.failures.push(failure);
        // What cannot be sent again fails, but not for a fault of the server.
        if !was_stale || replay == Replay::Safe {
            report(forward, Outcome::Failed);
        }
        may_retry(forward, failed, replay)
    };
    error.retry = RetryType::Decided(may_retry);
    ctx.failure = Some(if timed_out { Refusal::ServerTooSlow } else { Refusal::BadAnswer });
    error
}

/// Stale connections that one request may run into; a further one counts as an
/// attempt that failed.
const MOST_STALE: u32 = 8;

pub(super) fn report(forward: &mut Forward, outcome: Outcome) {
    if let Some(lease) = forward.lease.as_mut() {
        lease.report(outcome);
    }
}

pub(super) fn may_retry(forward: &Forward, failed: Failed, replay: Replay) -> bool {
    forward.upstream.retries.allow(failed, forward.attempts, replay)
        && forward.upstream.budget.retry()
}

/// Safe are an idempotent method, and a body that pingora still holds.
pub(super) fn replay(session: &Session) -> Replay {
    let is_idempotent = session.req_header().method.is_idempotent();
    match is_idempotent && !session.as_ref().retry_buffer_truncated() {
        true => Replay::Safe,
        false => Replay::Unsafe,
    }
}

fn is_timeout(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
    )
}
