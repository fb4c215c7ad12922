//! What the path asks of the room `waf` about an answer, where a profile judges them:
//! the client gets nothing of one before that, not even its head.
//!
//! Pingora writes a head as soon as it is there, so it gets another one to write,
//! which nobody sends. The true one is written from the filter of the body, once
//! there is a verdict; that filter must not wait, so what it writes is only gathered.

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use crate::files::Served;
use crate::listen::STAND_IN;
use crate::upstream::{Need, headers};
use crate::values::announced;
use crate::waf::{Answered, Blocked, Coming, Inspection, Step};

use super::answer;
use super::context::{Context, Piece};
use super::deliver;
use super::fields;
use super::inspect::{conclude, refused};
use super::refuse::{self, Refusal};
use super::summary;

const AGAINST: &str = "the rules are against the answer";

/// Judges the head of a server's answer, and has it delivered or withheld.
pub(super) fn head(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
) -> Result<()> {
    if judged(session, response, ctx).map_err(|blocked| refused(blocked, AGAINST, ctx))?
        == Step::Pass
    {
        return deliver::response_head(session, response, ctx);
    }
    let stand_in = fields::response(STAND_IN, HeaderMap::new());
    ctx.withheld = Some(Box::new(std::mem::replace(response, stand_in)));
    session.as_downstream_mut().set_ignore_info_resp(true);
    if let Some(exchange) = ctx.exchange() {
        exchange.withhold_head();
    }
    Ok(())
}

fn judged(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
) -> Result<Step, Blocked> {
    let Some(inspection) = ctx.inspection.as_mut().filter(|it| it.judges_answer()) else {
        return Ok(Step::Pass);
    };
    let status = response.status;
    if deliver::is_interim(status) {
        return Ok(Step::Pass);
    }
    let need = ctx.forward.as_ref().map(|forward| forward.need);
    // What may be silent for days waits for no verdict.
    let is_open = need == Some(Need::Call) || headers::is_stream(&response.headers);
    let body = match is_open {
        true => Coming::Nothing,
        false => coming(session, status, &response.headers),
    };
    let (version, headers) = (response.version, &response.headers);
    let step = inspection.answer_head(&Answered { status, version, headers, body });
    drop_if_over(ctx);
    step
}

/// What follows a head, as far as it may have anything to judge.
fn coming(session: &Session, status: StatusCode, headers: &HeaderMap) -> Coming {
    let is_bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || session.req_header().method == Method::HEAD;
    match announced(headers) {
        _ if is_bodiless => Coming::Nothing,
        Some(0) => Coming::Nothing,
        Some(bytes) => Coming::Bytes(bytes),
        None => Coming::Some,
    }
}

/// What judges nothing more is not kept.
fn drop_if_over(ctx: &mut Context) {
    let is_over = |inspection: &Inspection| inspection.is_over() && !inspection.is_answer_open();
    if ctx.withheld.is_none() && ctx.inspection.as_ref().is_some_and(is_over) {
        conclude(ctx);
    }
}

/// Judges a piece of an answer's body; of what is withheld the client gets nothing
/// until all of it may go on.
pub(super) fn piece(
    session: &mut Session,
    body: &mut Option<Bytes>,
    piece: Piece,
    ctx: &mut Context,
) -> Result<()> {
    let Some(inspection) = ctx.inspection.as_mut().filter(|it| it.is_answer_open()) else {
        return Ok(());
    };
    let mut step = match body {
        Some(bytes) => inspection.answer_piece(bytes),
        None => Ok(Step::Wait),
    };
    if step == Ok(Step::Wait) && piece == Piece::Last {
        step = inspection.answer_end().map(|()| Step::Pass);
    }
    if !inspection.is_answer_open() {
        drop_if_over(ctx);
    }
    let step = step.map_err(|blocked| refused(blocked, AGAINST, ctx))?;
    if ctx.withheld.is_none() {
        return Ok(());
    }
    *body = match step {
        Step::Wait => None,
        Step::Pass => Some(release(session, ctx)?),
    };
    Ok(())
}

/// Writes the head that was withheld, and lends what of the body was.
fn release(session: &mut Session, ctx: &mut Context) -> Result<Bytes> {
    let Some(mut head) = ctx.withheld.take() else { return Ok(Bytes::new()) };
    frame(&mut head);
    deliver::response_head(session, &mut head, ctx)?;
    let exchange = ctx.exchange().cloned();
    let gathered = exchange.as_ref().map(|exchange| exchange.leaving.gather());
    let written = session.write_response_header(head, false).now_or_never();
    drop(gathered);
    let waits = || Error::explain(ErrorType::InternalError, "a head that is gathered waits");
    written.ok_or_else(waits)??;
    let kept = ctx.inspection.as_mut().map(Inspection::answer_kept).unwrap_or_default();
    drop_if_over(ctx);
    Ok(kept)
}

/// Says where a body of unknown length ends, as pingora does behind its filter.
fn frame(head: &mut ResponseHeader) {
    let is_framed = head.headers.contains_key(header::CONTENT_LENGTH)
        || head.headers.contains_key(header::TRANSFER_ENCODING);
    if !is_framed {
        fields::change_response(head, |headers| {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        });
    }
}

/// Trailers after a body that is still withheld: the body goes before them. Where it must not,
/// the answer ends here without them, and `finish` tells the client why.
pub(super) async fn trailers(session: &mut Session, ctx: &mut Context) -> Option<Bytes> {
    if ctx.withheld.is_none() {
        return deliver::last_of_coding(ctx);
    }
    let inspection = ctx.inspection.as_mut().filter(|it| it.is_answer_open());
    if let Some(judged) = inspection.map(Inspection::answer_end) {
        drop_if_over(ctx);
        if let Err(blocked) = judged {
            // Pingora would not heed an error.
            ctx.failure = Some(blocked.into());
            return Some(Bytes::new());
        }
    }
    let head = ctx.withheld.take()?;
    if let Err(error) = write_withheld(head, session, ctx).await {
        ctx.error = Some(summary::of(&error));
        // Or a part would be taken for the whole.
        session.as_downstream_mut().shutdown().await;
    }
    None
}

async fn write_withheld(
    mut head: Box<ResponseHeader>,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<()> {
    let mut body = ctx.inspection.as_mut().map(Inspection::answer_kept);
    frame(&mut head);
    deliver::response_head(session, &mut head, ctx)?;
    session.write_response_header(head, false).await?;
    deliver::hurry(session, ctx);
    deliver::response_body(&mut body, Piece::Last, ctx)?;
    match body.filter(|body| !body.is_empty()) {
        Some(body) => session.write_response_body(Some(body), false).await,
        None => Ok(()),
    }
}

/// Ends what nobody has told the end of: an answer of HTTP/2 that is a head alone,
/// or whose last piece was no such piece.
pub(super) async fn finish(session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
    if error.is_some() && ctx.withheld.take().is_some() {
        // The client has been told of that instead.
        return;
    }
    let judged = match ctx.inspection.as_mut().filter(|it| it.is_answer_open()) {
        Some(inspection) => {
            let judged = inspection.answer_end().map_err(Refusal::from);
            drop_if_over(ctx);
            judged
        }
        // It was judged before its trailers.
        None => ctx.failure.take().filter(|_| ctx.withheld.is_some()).map_or(Ok(()), Err),
    };
    let Some(head) = ctx.withheld.take() else { return };
    let written = match judged {
        Ok(()) => Box::pin(deliver_whole(head, session, ctx)).await,
        Err(refusal) => Box::pin(refuse::send(&refusal, session, ctx)).await.map(|_| ()),
    };
    if let Err(error) = written {
        ctx.error = Some(summary::of(&error));
    }
}

/// Writes an answer that is all there.
async fn deliver_whole(
    mut head: Box<ResponseHeader>,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<()> {
    let body = ctx.inspection.as_mut().map(Inspection::answer_kept).unwrap_or_default();
    if body.is_empty() {
        // Or clients of HTTP/1 would wait for the end of the connection.
        fields::change_response(&mut head, |headers| {
            headers.remove(header::TRANSFER_ENCODING);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        });
    } else {
        frame(&mut head);
    }
    deliver::response_head(session, &mut head, ctx)?;
    if body.is_empty() {
        return answer::write_whole_head(*head, session, ctx).await;
    }
    session.write_response_header(head, false).await?;
    answer::write_body(Some(body), Piece::Last, session, ctx).await
}

/// Lets the rules see what a client gets of a file, where they only detect.
pub(super) fn watch(piece: &[u8], ctx: &mut Context) {
    if let Some(inspection) = ctx.inspection.as_mut().filter(|it| it.is_answer_open()) {
        // Who only detects refuses nothing.
        drop(inspection.answer_piece(piece));
        if !inspection.is_answer_open() {
            drop_if_over(ctx);
        }
    }
}

/// Judges a file that is to be sent; what was read of it for that.
pub(super) async fn file(
    served: &mut Served,
    headers: &HeaderMap,
    session: &Session,
    ctx: &mut Context,
) -> Result<Option<Bytes>, Refusal> {
    let Some(inspection) = ctx.inspection.as_mut().filter(|it| it.judges_answer()) else {
        return Ok(None);
    };
    let body = match served.body.length() {
        0 => Coming::Nothing,
        _ => coming(session, served.status, headers),
    };
    let answered = Answered { status: served.status, version: Version::HTTP_11, headers, body };
    let mut judged = inspection.answer_head(&answered);
    while judged == Ok(Step::Wait) {
        let piece = served.body.next().await.map_err(|error| {
            ctx.error = Some(error.to_string());
            Refusal::Internal
        })?;
        judged = match piece {
            Some(piece) => inspection.answer_piece(&piece),
            None => inspection.answer_end().map(|()| Step::Pass),
        };
    }
    let kept = inspection.answer_kept();
    drop_if_over(ctx);
    judged?;
    Ok(Some(kept).filter(|kept| !kept.is_empty()))
}
