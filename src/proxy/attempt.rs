//! How an attempt on a server ends, and whether there is another.

use std::time::Duration;

use pingora::{Error, ErrorSource, ErrorType, RetryType};
use pingora_proxy::Session;

use crate::balance::Outcome;
use crate::log::Failure;
use crate::upstream::{Failed, Replay};

use super::answer;
use super::context::{Context, Forward, Link};
use super::keep;
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
    let unseen = Unseen::of(&error);
    let is_safe = unseen.is_some() || session.req_header().method.is_idempotent();
    // One that rules have begun to judge is no more to be had from another server.
    let has_begun = answer::has_begun(session) || ctx.withheld.take().is_some();
    let replay = match is_safe && is_kept(session) && !has_begun {
        true => Replay::Safe,
        false => Replay::Unsafe,
    };
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
    // §9.3.1): no fault of its, and no attempt has been made. One that refuses
    // a stream has too much to do, and another server is to be asked.
    let was_stale = link == Link::Pooled
        && is_server
        && !timed_out
        && forward.status.is_none()
        && unseen != Some(Unseen::Refused);
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
    if may_retry {
        keep::give_up(session);
    }
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

/// A server that has answered would say the same again: only another one is asked.
pub(super) fn may_retry(forward: &Forward, failed: Failed, replay: Replay) -> bool {
    let is_answer = matches!(failed, Failed::Status(_));
    forward.upstream.retries.allow(failed, forward.attempts, replay)
        && (!is_answer || forward.upstream.pool.has_other(&forward.tried))
        && forward.upstream.budget.retry()
}

/// Safe are an idempotent method, and a body that pingora still holds.
pub(super) fn replay(session: &Session) -> Replay {
    match session.req_header().method.is_idempotent() && is_kept(session) {
        true => Replay::Safe,
        false => Replay::Unsafe,
    }
}

/// Whether pingora still holds the body.
pub(super) fn is_kept(session: &Session) -> bool {
    !session.as_ref().retry_buffer_truncated()
}

/// A request that a server of HTTP/2 has not looked at, and says so: it may be
/// sent again, whatever its method (RFC 9113 §8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unseen {
    /// Its stream was refused.
    Refused,
    /// The connection was to end before it: its stream comes after the last
    /// one that GOAWAY names. The h2 library tells only such streams of it.
    GoneAway,
}

impl Unseen {
    fn of(error: &Error) -> Option<Unseen> {
        let error = error.root_cause().downcast_ref::<h2::Error>().filter(|it| it.is_remote())?;
        if error.is_go_away() {
            return Some(Unseen::GoneAway);
        }
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        is_refused.then_some(Unseen::Refused)
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
