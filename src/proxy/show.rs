//! What of a stored response a client sees, and what it is told of the cache.

use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::cache::CachePhase;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::{RangeType, Session, range_header_filter};
use tidegate_store::Tier;

use crate::cache::{
    CacheStatus, Forward, Moment, Needed, Shown, Source, Stored, StoredHead, Terms, before_sending,
    for_not_modified, for_part, now,
};

use crate::log::CacheUse;
use crate::ranges::{Selection, select};
use crate::values::announced;

use super::cached::Cached;
use super::context::Context;
use super::fields;
use super::keep::head_of;

/// More parts than any client has a reason to ask for.
const MOST_RANGES: usize = 200;
/// Fields that tell what a body is, which an answer without one does not have.
const OF_THE_BODY: [http::HeaderName; 4] =
    [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE, ACCEPT_RANGES];

/// The stored response that the client gets, if it is one.
fn shown(session: &Session, cached: &Cached) -> Option<Arc<StoredHead>> {
    match session.cache.phase() {
        CachePhase::RevalidatedNoCache(_) => cached.refreshed.clone(),
        _ => session.cache.maybe_cache_meta().and_then(head_of),
    }
}

/// Whether the client has the response that is the answer. It has none where it
/// asks for another than is stored: that is told in `head`.
pub(super) fn is_not_modified(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
) -> bool {
    let is_background = ctx.is_background;
    let Some(cached) = ctx.cached.as_mut().filter(|_| !is_background) else { return false };
    let now = now();
    let request = &session.req_header().headers;
    let head = shown(session, cached);
    let needed = match &head {
        Some(head) => head.stored().needed_by(request, now),
        None => {
            let stored =
                Stored { status: response.status, headers: &response.headers, received: now };
            stored.needed_by(request, now)
        }
    };
    // A body of a server that is on its way cannot be held back any more.
    cached.is_another = needed == Needed::Another && head.is_some();
    needed == Needed::NotModified || cached.is_another
}

/// Which part of the body the client gets; what it is told of that is written
/// into `response`.
pub(super) fn range(session: &Session, response: &mut ResponseHeader, ctx: &Context) -> RangeType {
    let Some(cached) = ctx.cached.as_ref().filter(|_| !ctx.is_background) else {
        return RangeType::None;
    };
    let request = session.req_header();
    let range = request.headers.get(RANGE).filter(|_| request.method == Method::GET);
    let (Some(range), StatusCode::OK) = (range, response.status) else { return RangeType::None };
    if cached.ignores_range {
        return RangeType::None;
    }
    let now = now();
    let continues = match shown(session, cached) {
        Some(head) => head.stored().continues(&request.headers, now),
        None => {
            let stored =
                Stored { status: response.status, headers: &response.headers, received: now };
            stored.continues(&request.headers, now)
        }
    };
    let range = match announced(&response.headers)
        .map(|length| (select(&request.headers, length), length))
    {
        None => range.clone(),
        Some((Selection::Whole, _)) => return RangeType::None,
        Some((Selection::Spans(_), _)) => range.clone(),
        // Pingora knows other syntax as well, and an end that is before all.
        Some((Selection::Unsatisfiable, length)) => behind(length),
    };
    let asked = RequestHeader::build(Method::GET, b"/", Some(1));
    match asked.and_then(|mut asked| asked.insert_header(RANGE, range).map(|()| asked)) {
        Ok(asked) if continues => range_header_filter(&asked, response, Some(MOST_RANGES)),
        _ => RangeType::None,
    }
}

/// A Range that so many bytes do not have.
fn behind(length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={length}-")).expect("digits are visible ASCII")
}

/// Puts a stored head in the place of its outline.
pub(super) fn head(session: &Session, response: &mut ResponseHeader, ctx: &Context) {
    let Some(cached) = &ctx.cached else { return };
    let Some(head) = shown(session, cached) else { return };
    let (phase, now) = (session.cache.phase(), now());
    let (shown, terms) = match phase {
        CachePhase::Miss | CachePhase::Expired => (Shown::First, terms_of(&head, cached)),
        CachePhase::Revalidated => (Shown::Validated, terms_of(&head, cached)),
        CachePhase::RevalidatedNoCache(_) => (Shown::Validated, found(cached)),
        _ => (Shown::Hit, found(cached)),
    };
    let Some(terms) = terms else { return };
    let tier = cached.found.as_ref().map(|found| found.seen.tier);
    if let (Shown::Hit, Some(Tier::Running), Some(exchange)) = (shown, tier, ctx.exchange()) {
        // Pingora sends what it has of it when there is more.
        exchange.leaving.send_at_once();
    }
    let mut headers = head.headers.clone();
    before_sending(&mut headers, &terms, shown);
    if shown != Shown::First || cached.has_age {
        headers.insert(AGE, terms.age_field(now));
    }
    let status = match cached.is_another {
        true => StatusCode::PRECONDITION_FAILED,
        false => response.status,
    };
    outline(status, &response.headers, &mut headers);
    // It was 304 for pingora, which then writes no body.
    if cached.is_another {
        response.set_status(status).ok();
    }
    fields::change_response(response, |fields| *fields = headers);
}

/// Makes the fields of a whole response those of an answer with that status, of
/// which pingora has said what it is to say.
fn outline(status: StatusCode, said: &HeaderMap, headers: &mut HeaderMap) {
    let mut copy = |name: http::HeaderName| match said.get(&name) {
        Some(value) => drop(headers.insert(name, value.clone())),
        None => drop(headers.remove(name)),
    };
    match status {
        StatusCode::NOT_MODIFIED => for_not_modified(headers),
        StatusCode::PARTIAL_CONTENT => {
            for name in [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE] {
                copy(name);
            }
            for_part(headers);
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            for name in [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, CONTENT_ENCODING] {
                copy(name);
            }
            for_part(headers);
        }
        StatusCode::PRECONDITION_FAILED => {
            for name in &OF_THE_BODY {
                headers.remove(name);
            }
            for_part(headers);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        StatusCode::OK if headers.contains_key(CONTENT_LENGTH) => {
            let bytes = HeaderValue::from_static("bytes");
            headers.entry(ACCEPT_RANGES).or_insert(bytes);
        }
        _ => {}
    }
    // Without a length, pingora says that it comes in chunks.
    if !headers.contains_key(CONTENT_LENGTH)
        && let Some(coding) = said.get(TRANSFER_ENCODING)
    {
        headers.insert(TRANSFER_ENCODING, coding.clone());
    }
}

fn terms_of(head: &StoredHead, cached: &Cached) -> Option<Arc<Terms>> {
    head.terms(&cached.profile.rules, cached.profile.of).ok()
}

fn found(cached: &Cached) -> Option<Arc<Terms>> {
    cached.found.as_ref().map(|found| found.terms.clone())
}

/// Says in Cache-Status what the cache did, and notes it for the record.
pub(super) fn mark(session: &Session, response: &mut HeaderMap, ctx: &mut Context) {
    let Some(cached) = &ctx.cached else { return };
    let (status, outcome) = cached.told.unwrap_or_else(|| {
        let status = status(session, cached, ctx, now());
        (status, outcome(session, cached, &status))
    });
    status.add_to(response);
    if let Some(cached) = &mut ctx.cached {
        cached.outcome = Some(outcome);
    }
}

/// What the record says of an answer that was stored.
pub(super) fn found_in(tier: Tier) -> CacheUse {
    match tier {
        Tier::Memory => CacheUse::Memory,
        Tier::Running => CacheUse::Collapsed,
        Tier::Disk => CacheUse::Disk,
    }
}

fn outcome(session: &Session, cached: &Cached, status: &CacheStatus<'_>) -> CacheUse {
    let tier = cached.found.as_ref().map(|found| found.seen.tier);
    match session.cache.phase() {
        CachePhase::Hit if status.collapsed => CacheUse::Collapsed,
        CachePhase::Hit => tier.map_or(CacheUse::Memory, found_in),
        CachePhase::Stale | CachePhase::StaleUpdating => CacheUse::Stale,
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => CacheUse::Revalidated,
        _ if status.stored => CacheUse::Miss,
        _ => CacheUse::Pass,
    }
}

fn status(session: &Session, cached: &Cached, ctx: &Context, now: Moment) -> CacheStatus<'static> {
    let phase = session.cache.phase();
    let collapsed = session.cache.lock_duration().is_some();
    let asked = ctx.forward.as_ref().and_then(|forward| forward.status);
    let answered = asked.and_then(|status| StatusCode::from_u16(status).ok());
    let forwarded = |why, status| CacheStatus {
        collapsed,
        detail: cached.detail,
        ..CacheStatus::new(Source::Forwarded(why, status))
    };
    let ttl = |terms: Option<Arc<Terms>>| terms.map(|terms| terms.ttl(now));
    let new = || {
        let meta = session.cache.maybe_cache_meta().and_then(head_of);
        ttl(meta.and_then(|head| terms_of(&head, cached)))
    };
    match phase {
        CachePhase::Hit if collapsed => {
            CacheStatus { ttl: ttl(found(cached)), ..forwarded(Forward::UriMiss, None) }
        }
        CachePhase::Hit | CachePhase::StaleUpdating => {
            CacheStatus { ttl: ttl(found(cached)), ..CacheStatus::new(Source::Stored) }
        }
        // It stands in for a server that was asked.
        CachePhase::Stale => {
            CacheStatus { ttl: ttl(found(cached)), ..forwarded(Forward::Stale, answered) }
        }
        CachePhase::Revalidated => CacheStatus { ttl: new(), ..forwarded(cached.why, answered) },
        CachePhase::RevalidatedNoCache(_) => forwarded(cached.why, answered),
        CachePhase::Miss | CachePhase::Expired => {
            let ttl = new();
            CacheStatus { ttl, stored: ttl.is_some(), ..forwarded(cached.why, None) }
        }
        _ => forwarded(cached.why, None),
    }
}
