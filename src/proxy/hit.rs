//! What is stored and good goes to its client at once. Pingora has a way for that, which takes
//! longer than all else that is done for such a request: it is for what a server has a part in,
//! for parts of a body and for what a client has already.

use http::header::{ACCEPT_RANGES, AGE, RANGE};
use http::{HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{ErrorType, OkOrErr, OrErr, Result};
use pingora_proxy::Session;
use tidegate_store::{Body, Broken, Tier};

use crate::cache::{CacheStatus, Moment, Needed, Seen, Shown, Source, Use, before_sending, seen};
use crate::site::State;

use super::ahead;
use super::answer;
use super::cached::{Cached, Found, is_for_cache, variance};
use super::context::{Context, Piece};
use super::deliver;
use super::fields;
use super::show;
use super::sliced;

/// Answers a request by what is stored; false if it goes the way of all others.
pub(super) async fn serve(session: &mut Session, ctx: &mut Context, state: &State) -> Result<bool> {
    let Some(now) = ctx.cached.as_ref().map(|cached| cached.arrived) else { return Ok(false) };
    let Some((hit, body)) = find(session, ctx, state, now).await else { return Ok(false) };
    let response = Box::new(head(&hit, now, ctx));
    ahead::begin(session, &response, ctx, state);
    send(response, (body, hit.seen), session, ctx, state).await.map(|()| true)
}

/// What is stored, if it is the answer.
async fn find(
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
    now: Moment,
) -> Option<(Found, Body)> {
    if !is_for_cache(session, ctx) || session.req_header().headers.contains_key(RANGE) {
        return None;
    }
    let cached = ctx.cached.as_mut()?;
    let looked = state.vault.look_up(&cached.key, now).await;
    let hit = looked.as_ref().and_then(|found| {
        let (seen, request) = (seen(found), session.req_header());
        let is_variant = |wanted| found.meta.variant() == Some(wanted);
        variance(&seen.head, request, cached).is_none_or(is_variant).then_some(())?;
        let hit = cached.judge(seen, &request.headers, now)?;
        is_whole_answer(&hit, session, now).then_some(hit)
    });
    match (hit, looked) {
        (Some(hit), Some(found)) => Some((hit, found.body)),
        (_, looked) => {
            cached.looked = Some(looked);
            None
        }
    }
}

/// Whether the client is to get all of it, as it is stored.
fn is_whole_answer(hit: &Found, session: &Session, now: Moment) -> bool {
    let head = &hit.seen.head;
    let needed = || head.stored().needed_by(&session.req_header().headers, now);
    matches!(hit.good_for, Use::Fresh | Use::StaleAsAsked)
        && hit.seen.tier != Tier::Running
        && (head.length.is_some() || head.status == StatusCode::NO_CONTENT)
        && needed() == Needed::Send
}

/// The head of the answer, with what the cache has to say in it.
fn head(hit: &Found, now: Moment, ctx: &mut Context) -> ResponseHeader {
    if let Some(cached) = &mut ctx.cached {
        note(hit, now, cached);
    }
    stored_head(hit, now)
}

/// What is stored, as a client gets it whose server was not asked, or did not answer.
pub(super) fn stored_head(hit: &Found, now: Moment) -> ResponseHeader {
    let (head, mut headers) = (&hit.seen.head, hit.seen.head.headers.clone());
    before_sending(&mut headers, &hit.terms, Shown::Hit);
    headers.insert(AGE, hit.terms.age_field(now));
    if head.status == StatusCode::OK {
        headers.entry(ACCEPT_RANGES).or_insert(HeaderValue::from_static("bytes"));
    }
    fields::response(head.status, headers)
}

async fn send(
    mut response: Box<ResponseHeader>,
    (body, seen): (Body, Seen),
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<()> {
    deliver::stored_head(session, &mut response, ctx)?;
    if seen.head.length.unwrap_or(0) == 0 || session.req_header().method == Method::HEAD {
        return Box::pin(answer::write_whole_head(*response, session, ctx)).await;
    }
    session.write_response_header(response, false).await?;
    send_body(body, seen, session, ctx, state).await
}

async fn send_body(
    mut body: Body,
    seen: Seen,
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<()> {
    let mut left = seen.head.length.unwrap_or(0);
    while left > 0 {
        let bytes = match body.next().await {
            Err(Broken::Unreadable) => {
                let rest = sliced::send_rest(seen, body.position(), session, ctx, state);
                return Box::pin(rest).await;
            }
            read => read.or_err(ErrorType::InternalError, "reading a stored body")?,
        };
        let bytes = bytes.or_err(ErrorType::InternalError, "a stored body that ends too soon")?;
        left = left.saturating_sub(bytes.len() as u64);
        let piece = if left == 0 { Piece::Last } else { Piece::Inner };
        answer::write_body(Some(bytes), piece, session, ctx).await?;
    }
    Ok(())
}

/// Notes what is said of it in Cache-Status, and in the record.
fn note(hit: &Found, now: Moment, cached: &mut Cached) {
    let status = CacheStatus { ttl: Some(hit.terms.ttl(now)), ..CacheStatus::new(Source::Stored) };
    cached.told = Some((status, show::found_in(hit.seen.tier)));
}
