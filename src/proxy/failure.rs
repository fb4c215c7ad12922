//! What pingora ends a request with, and what the client is told of it.

use pingora::http::ResponseHeader;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session};

use crate::listen::{BODY_LENGTH, BadChunks, TRAILERS, TooSlow};
use crate::sanitise::Malformed;

use super::answer;
use super::context::Context;
use super::deliver;
use super::refuse::{self, Refusal};
use super::stale;
use super::summary;

/// Tells the client about a failure that pingora ends the request with.
pub(super) async fn tell(session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
    let is_over = ctx.exchange().is_some_and(|exchange| exchange.is_over());
    let is_answered = ctx.forward.as_ref().is_some_and(|forward| forward.is_answered);
    let refusal = match ctx.failure.take() {
        // What ended is only the rest of the request.
        _ if is_answered => None,
        _ if is_over => Some(Refusal::TookTooLong),
        told => told.or_else(|| of_error(error)),
    };
    ctx.error = Some(summary::of(error));
    let silent = FailToProxy { error_code: 0, can_reuse_downstream: false };
    let Some(refusal) = refusal else {
        return silent;
    };
    let has_begun = answer::has_begun(session);
    if !has_begun && let Some(stored) = stale::unanswered(&refusal, session, ctx) {
        return tell_stored(stored, session, ctx).await;
    }
    ctx.refuse(&refusal);
    if has_begun {
        return silent;
    }
    let status = refusal.told().status;
    session.set_keepalive(None);
    if let Err(error) = refuse::send(&refusal, session, ctx).await {
        ::log::debug!("a refusal did not reach the client: {error}");
    }
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

async fn tell_stored(
    mut stored: ResponseHeader,
    session: &mut Session,
    ctx: &mut Context,
) -> FailToProxy {
    let status = stored.status.as_u16();
    // Pingora closes the connection after it, whatever its head says.
    session.set_keepalive(None);
    let sent = match deliver::response_head(session, &mut stored, ctx) {
        Ok(()) => answer::write_whole_head(stored, session, ctx).await,
        Err(error) => Err(error),
    };
    if let Err(error) = sent {
        ::log::debug!("what is stored did not reach the client: {error}");
    }
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

/// What pingora's error means; none when the client is gone.
fn of_error(error: &Error) -> Option<Refusal> {
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ConnectTimedout | ErrorType::ReadTimedout) => {
            Some(Refusal::ServerTooSlow)
        }
        (ErrorSource::Upstream, _) => Some(Refusal::BadAnswer),
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Refusal::ClientTooSlow),
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader) => {
            Some(Refusal::Malformed(Malformed::Connection))
        }
        (ErrorSource::Downstream, ErrorType::Custom("InvalidChunk" | "InvalidTrailerEnd")) => {
            Some(Refusal::Malformed(Malformed::Chunks))
        }
        (ErrorSource::Downstream, _) if is_by::<BadChunks>(error) => {
            Some(Refusal::Malformed(Malformed::Chunks))
        }
        (ErrorSource::Downstream, ErrorType::ReadError) if is_by::<TooSlow>(error) => {
            Some(Refusal::ClientTooSlow)
        }
        (ErrorSource::Downstream, ErrorType::Custom(BODY_LENGTH)) => {
            Some(Refusal::Malformed(Malformed::BodyLength))
        }
        (ErrorSource::Downstream, ErrorType::Custom(TRAILERS)) => {
            Some(Refusal::Malformed(Malformed::Trailers))
        }
        (ErrorSource::Downstream, _) => None,
        // What writes an answer of ours fails without a source.
        (ErrorSource::Unset, ErrorType::WriteError | ErrorType::WriteTimedout) => None,
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(Refusal::Internal),
    }
}

/// Whether `listen` stopped reading a body for this.
fn is_by<T: std::error::Error + 'static>(error: &Error) -> bool {
    let cause = error.cause.as_ref();
    let cause = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()?.get_ref());
    cause.is_some_and(|cause| cause.is::<T>())
}
