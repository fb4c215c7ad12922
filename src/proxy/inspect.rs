//! What the path asks of the room `waf`, and gives it: a head before anybody is
//! asked about it, and a body before a server sees any of it.
//!
//! All that is to be judged before it may go on is read before there is a server:
//! a refused request costs none a connection, a slow client holds none up. Files in
//! forms alone come through while more is judged, in `piece`.

use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Version, header};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};
use pingora_proxy::Session;

use crate::listen::{Exchange, KeptEnd, LastByte};
use crate::sanitise::Head;
use crate::site::{Route, State};
use crate::upstream::Need;
use crate::values::announced;
use crate::waf::{Answered, Asked, Blocked, Coming, Inspection, Step};

use super::attempt;
use super::context::{Context, Piece};
use super::deliver;
use super::meter;
use super::refuse::Refusal;

/// So many bytes pingora keeps of a body, and sends by itself.
const KEPT: u64 = 64 * 1024;

/// Judges a head, where its route has a profile.
pub(super) fn head(
    route: &Route,
    head: &Head<'_>,
    request: &RequestHeader,
    ctx: &mut Context,
) -> Result<(), Refusal> {
    let Some(profile) = route.waf.as_ref() else { return Ok(()) };
    let exchange = ctx.exchange.as_ref().ok_or(Refusal::Internal)?;
    let (connection, client) = (&exchange.connection, ctx.client.as_ref());
    let client = client.ok_or(Refusal::Internal)?;
    // The port is that of whoever opened the connection.
    let port = connection.peer.port();
    let (inspection, verdict) = profile.inspect(&Asked {
        head,
        target: ctx.absolute_target.as_deref().unwrap_or_else(|| path_and_query(request)),
        version: request.version,
        client: SocketAddr::new(client.address, port),
        server: connection.listener.address,
        request_id: ctx.request_id.as_ref().ok_or(Refusal::Internal)?.as_ref(),
    });
    ctx.inspection = Some(inspection);
    if verdict.is_err() {
        conclude(ctx);
    }
    Ok(verdict?)
}

fn path_and_query(request: &RequestHeader) -> &str {
    request.uri.path_and_query().map_or("", PathAndQuery::as_str)
}

/// Judges a body before anybody gets any of it; `is_sent` unless nobody will.
pub(super) async fn body(
    is_sent: bool,
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<(), Refusal> {
    let Some(mut inspection) = ctx.inspection.take() else { return Ok(()) };
    let judged = hold(is_sent, &mut inspection, session, ctx, state).await;
    let is_done = judged.is_err() || !is_needed(&inspection);
    ctx.inspection = Some(inspection);
    if is_done {
        conclude(ctx);
    }
    judged
}

/// Reads as much of a body as is to be judged.
async fn hold(
    is_sent: bool,
    inspection: &mut Inspection,
    session: &mut Session,
    ctx: &Context,
    state: &State,
) -> Result<(), Refusal> {
    let exchange = ctx.exchange.clone().ok_or(Refusal::Internal)?;
    let client = ctx.client.as_ref().ok_or(Refusal::Internal)?;
    let coming = if is_sent { coming(session, ctx) } else { Coming::Nothing };
    let owner = meter::is_told_apart(client, &ctx.site).then_some(client.network);
    if inspection.expect(coming, &state.held, owner)? == Step::Pass {
        return Ok(());
    }
    Box::pin(read_judged(inspection, session, &exchange, ctx.body_limit, coming)).await
}

async fn read_judged(
    inspection: &mut Inspection,
    session: &mut Session,
    exchange: &Exchange,
    limit: u64,
    coming: Coming,
) -> Result<(), Refusal> {
    let_go_on(session).await.map_err(Refusal::ClientLeft)?;
    session.as_downstream_mut().enable_retry_buffering();
    Reading { session, exchange, limit, coming }.all(inspection).await?;
    inspection.settle(attempt::is_kept(session));
    Ok(())
}

/// Ends an inspection that has no more to judge. What its rules that log find they would find
/// later, too, and what it holds is given back now; unless they look at what is answered.
pub(super) fn conclude(ctx: &mut Context) {
    let inspection = ctx.inspection.take_if(|inspection| !inspection.awaits_answer());
    if let Some(inspection) = inspection {
        ctx.findings = Some(inspection.conclude(None));
    }
}

/// Ends an inspection whatever has become of its request.
pub(super) fn close(session: &Session, ctx: &mut Context) {
    let Some(inspection) = ctx.inspection.take() else { return };
    let head = session.response_written().filter(|head| !deliver::is_interim(head.status));
    let answered = head.map(|head| Answered {
        status: head.status,
        version: head.version,
        headers: &head.headers,
        body: Coming::Nothing,
    });
    ctx.findings = Some(inspection.conclude(answered.as_ref()));
}

fn is_needed(inspection: &Inspection) -> bool {
    !inspection.is_over() || inspection.judges_answer()
}

/// What is known of a body that is to be judged.
fn coming(session: &mut Session, ctx: &Context) -> Coming {
    let need = ctx.forward.as_ref().map(|forward| forward.need);
    // A call or a tunnel may say nothing for days, and wait for an answer meanwhile.
    if session.is_body_empty() || need != Some(Need::Exchange) {
        return Coming::Nothing;
    }
    announced(&session.req_header().headers).map_or(Coming::Some, Coming::Bytes)
}

/// Whether a body was read before there is a server, and is more than pingora keeps; of what
/// announces its length the last byte is still to come.
pub(super) fn is_read_and_not_kept(session: &Session) -> bool {
    let read = session.body_bytes_read() as u64;
    let announced = announced(&session.req_header().headers).unwrap_or(0);
    read > 0 && read.max(announced) > KEPT
}

/// Tells a client to send its body that waits to be told; no server is to hear of it.
async fn let_go_on(session: &mut Session) -> Result<()> {
    let request = session.req_header_mut();
    let waits = request.remove_header(&header::EXPECT).is_some();
    if waits && request.version != Version::HTTP_10 {
        session.write_continue_response().await?;
    }
    Ok(())
}

/// What is read of a body before there is a server.
struct Reading<'a> {
    session: &'a mut Session,
    exchange: &'a Exchange,
    limit: u64,
    coming: Coming,
}

/// What comes of a body.
enum Came {
    Bytes(Bytes),
    /// The end, and a byte that was kept from who reads.
    End(Option<u8>),
}

impl Reading<'_> {
    /// Reads as much as is to be judged.
    async fn all(mut self, inspection: &mut Inspection) -> Result<(), Refusal> {
        // A larger one pingora does not keep. It would not ask for more, and there
        // would be no piece to send it with, if it had seen the end.
        let is_small = matches!(self.coming, Coming::Bytes(bytes) if bytes <= KEPT);
        let kept_end = (!is_small).then(|| self.exchange.keep_end());
        let judged = loop {
            match self.next(kept_end.as_ref()).await? {
                Came::Bytes(bytes) => match inspection.take(&bytes) {
                    Ok(Step::Wait) => {}
                    Ok(Step::Pass) => return Ok(()),
                    Err(blocked) => return Err(blocked.into()),
                },
                Came::End(last) => {
                    let size = self.session.body_bytes_read() as u64 + u64::from(last.is_some());
                    break inspection.end(last).map(|()| size);
                }
            }
        };
        drop(kept_end);
        // What pingora keeps it sends by itself, and the connection of a client that
        // is refused has nothing left to read.
        if judged.as_ref().map_or(true, |size| *size <= KEPT) {
            while read(self.session).await.map_err(Refusal::ClientLeft)?.is_some() {}
        }
        judged?;
        Ok(())
    }

    async fn next(&mut self, kept_end: Option<&KeptEnd<'_>>) -> Result<Came, Refusal> {
        let came = match kept_end {
            None => read(self.session).await,
            Some(kept_end) => tokio::select! {
                biased;
                read = read(self.session) => read,
                last = kept_end.came() => return self.end(last),
            },
        };
        self.check(0)?;
        Ok(came.map_err(Refusal::ClientLeft)?.map_or(Came::End(None), Came::Bytes))
    }

    fn end(&self, last: LastByte) -> Result<Came, Refusal> {
        let last = match last {
            LastByte::Data(byte) => Some(byte),
            LastByte::Framing => None,
        };
        self.check(u64::from(last.is_some()))?;
        Ok(Came::End(last))
    }

    /// Whether the body may be as large as what was read, and this many bytes.
    fn check(&self, more: u64) -> Result<(), Refusal> {
        match self.session.body_bytes_read() as u64 + more > self.limit {
            true => Err(Refusal::BodyTooLarge),
            false => Ok(()),
        }
    }
}

async fn read(session: &mut Session) -> Result<Option<Bytes>> {
    session.read_request_body().await.map_err(Error::into_down)
}

/// Judges a further piece of a body on its way to a server.
pub(super) fn piece(body: &mut Option<Bytes>, piece: Piece, ctx: &mut Context) -> Result<()> {
    let inspection = ctx.inspection.as_mut().filter(|inspection| !inspection.is_over());
    let Some(inspection) = inspection else { return Ok(()) };
    let passed = inspection.pass(body, piece == Piece::Last);
    if passed.is_ok() && !is_needed(inspection) {
        conclude(ctx);
    }
    passed.map_err(|blocked| refused(blocked, "the rules are against the body", ctx))
}

/// Tells pingora by an error that a request goes no further; `failure` tells the client.
pub(super) fn refused(blocked: Blocked, what: &'static str, ctx: &mut Context) -> Box<Error> {
    let refusal = Refusal::from(blocked);
    let status = refusal.told().status;
    ctx.failure = Some(refusal);
    Error::explain(ErrorType::HTTPStatus(status), what).into_down()
}
