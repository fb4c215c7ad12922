//! What of servers' answers is stored.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{AGE, AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora::Result;
use pingora::cache::{CacheMeta, CachePhase, NoCacheReason, RespCacheable};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use tidegate_store::{Labels, Validated};

use crate::cache::{
    Answer, HeadSays, LASTING, Moment, Search, Seen, Storable, StoredHead, Terms, Unstored,
    ask_about, ask_for_all, before_storing, by_head, is_about, judge, label_of_searches, labels,
    make_anonymous, now, refreshed, simplify, storable,
};
use crate::listen::STAND_IN;
use crate::site::State;
use crate::upstream::headers;
use crate::values::announced;

use super::cached::{Cached, Update};
use super::context::Context;
use super::cutting::{self, CUT};
use super::searched;
use super::slice;

/// What is said of an answer that has no end in sight.
const STREAM: &str = "stream";
/// What is said of one that is too long.
const TOO_LARGE: &str = "too-large";
/// What is said of what a server does not have, and nobody has asked for.
const TOO_EARLY: &str = "too-early";
/// What is said of a 304 that is about another response than ours.
const OF_ANOTHER: &str = "not-about";

/// Has a request ask for what is to be stored, or whether what is stored is good still.
pub(super) fn prepare(session: &Session, request: &mut HeaderMap, ctx: &mut Context) {
    let is_for_news = slice::is_for_news(ctx);
    let Some(cached) = ctx.cached.as_mut() else { return };
    cached.asked = now();
    if !session.cache.enabled() && !is_for_news {
        return;
    }
    match (&cached.found, session.cache.phase()) {
        (Some(found), CachePhase::Stale) => {
            ask_about(request, &found.seen.head.headers, cached.asked);
        }
        _ => ask_for_all(request),
    }
    simplify(request);
    if ctx.is_background {
        make_anonymous(request, &depends_on(cached));
    }
    if let Some(wish) = &ctx.slice {
        slice::prepare(request, wish);
    }
}

/// The fields that a response which is fetched for everybody depends on: what it is named by, and
/// what one that is stored says.
fn depends_on(cached: &Cached) -> Vec<HeaderName> {
    let vary = cached.found.as_ref().map_or(&[][..], |found| &found.terms.vary);
    cached.profile.shape.headers.iter().chain(vary).cloned().collect()
}

/// Passes an interim answer on by itself: pingora forgets those that come with
/// a final one that is stored.
pub(super) async fn pass_interim(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &Context,
) -> Result<()> {
    let is_old = session.req_header().version == http::Version::HTTP_10;
    if !session.cache.enabled() || ctx.is_background || is_old {
        return Ok(());
    }
    session.as_downstream_mut().set_ignore_info_resp(false);
    session.write_response_header(Box::new(response.clone()), false).await?;
    session.as_downstream_mut().set_ignore_info_resp(true);
    if let Some(exchange) = ctx.exchange() {
        exchange.withhold_head();
    }
    response.set_status(STAND_IN)
}

/// Looks at the head of an answer, before pingora decides about it.
pub(super) async fn answered(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
    state: &State,
) {
    // Of an attempt before this one.
    ctx.cutting = None;
    slice::heed_news(session, response, ctx, state);
    let Some(cached) = ctx.cached.as_mut() else { return };
    cached.has_age = response.headers.contains_key(AGE);
    if response.status == StatusCode::NOT_MODIFIED && session.cache.phase() == CachePhase::Stale {
        cached.update = Some(Update { headers: response.headers.clone(), received: now() });
    } else if session.req_header().method == Method::HEAD {
        Box::pin(heed_head(session, response, ctx, state)).await;
    }
}

/// Learns from the answer to a HEAD what has become of what is stored.
async fn heed_head(session: &Session, response: &ResponseHeader, ctx: &Context, state: &State) {
    let Some(cached) = &ctx.cached else { return };
    let Some(found) = &cached.found else { return };
    let key = session.cache.maybe_cache_key().and_then(|key| state.vault.named(key).ok());
    let Some(key) = key else { return };
    let head = &found.seen.head;
    match by_head(response.status, &response.headers, &head.headers) {
        HeadSays::Nothing => {}
        HeadSays::Outdates => {
            state.vault.store.remove(&key, now());
        }
        HeadSays::Updates => {
            let received = now();
            let answer = answer(response.status, &response.headers, cached.asked, received);
            let request = &session.req_header().headers;
            let merged = refreshed(&head.stored(), request, answer, &cached.profile.rules);
            let Ok(terms) = for_all(merged.terms) else { return };
            let kept = to_store(head.status, merged.headers, received, terms, cached);
            state
                .vault
                .refresh(Validated {
                    key,
                    of: found.seen.version,
                    began: cached.began,
                    keep_until: kept.keep_until,
                    meta: kept.head,
                    labels: Labels::clone(&kept.labels),
                })
                .await;
        }
    }
}

/// Whether an answer is stored, and for what.
pub(super) fn judge_answer(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
    state: &State,
) -> RespCacheable {
    if let (Some(wish), Some(cached)) = (&ctx.slice, &mut ctx.cached) {
        return slice::judge_answer(session, response, wish, cached, state);
    }
    let (tells_who, is_background) = (ctx.granted.tells_who(), ctx.is_background);
    let Some(cached) = ctx.cached.as_mut() else {
        return RespCacheable::Uncacheable(NoCacheReason::InternalError);
    };
    if let Some(update) = cached.update.take() {
        let judged = judge_update(session, update, cached);
        if !judged.is_cacheable() {
            // It is sent once more, to who asked.
            let key = session.cache.maybe_cache_key().and_then(|key| state.vault.named(key).ok());
            key.map(|key| state.vault.store.remove(&key, now()));
        }
        return judged;
    }
    if !searched::heed(session, response, ctx, state) {
        return RespCacheable::Uncacheable(NoCacheReason::Deferred);
    }
    if cutting::begin(session, response, ctx, state) {
        // Whoever waits for it goes on at once: there are slices now.
        return RespCacheable::Uncacheable(NoCacheReason::Custom(CUT));
    }
    let Some(cached) = ctx.cached.as_mut() else {
        return RespCacheable::Uncacheable(NoCacheReason::InternalError);
    };
    if ctx.ahead.is_some() && response.status != StatusCode::OK {
        // It may be too early for it.
        cached.detail = Some(TOO_EARLY);
        return RespCacheable::Uncacheable(NoCacheReason::Deferred);
    }
    let received = now();
    let request = session.req_header();
    let mut fields = Cow::Borrowed(&request.headers);
    if tells_who && !fields.contains_key(AUTHORIZATION) {
        // The server knows who asks, if by other fields than this.
        fields.to_mut().insert(AUTHORIZATION, HeaderValue::from_static("Tidegate"));
    }
    if is_background {
        // As the server was asked.
        make_anonymous(fields.to_mut(), &depends_on(cached));
    }
    let judged = judge_new(&request.method, &fields, response, received, cached, state);
    let is_long_known = response.headers.contains_key(CONTENT_LENGTH);
    if let (Ok(_), true, Some(exchange)) = (&judged, is_long_known, &ctx.exchange) {
        // There is room for all of it, and others may wait for it.
        exchange.leaving.run_ahead();
    }
    match judged {
        Ok(storable_) => RespCacheable::Cacheable(storable(storable_, received)),
        Err(reason) => RespCacheable::Uncacheable(reason),
    }
}

fn judge_new(
    method: &Method,
    request: &HeaderMap,
    response: &ResponseHeader,
    received: Moment,
    cached: &mut Cached,
    state: &State,
) -> Result<Storable, NoCacheReason> {
    let status = response.status;
    if headers::is_stream(&response.headers) || status == StatusCode::SWITCHING_PROTOCOLS {
        cached.detail = Some(STREAM);
        return Err(NoCacheReason::Custom(LASTING));
    }
    let answer = answer(status, &response.headers, cached.asked, received);
    let terms = match for_all(judge(method, request, answer, &cached.profile.rules)) {
        Ok(terms) => terms,
        Err(unstored) => {
            cached.detail = Some(unstored.word());
            return Err(reason(unstored, status));
        }
    };
    let longest = state.vault.longest.min(cached.profile.max_object);
    if announced(&response.headers).is_some_and(|length| length > longest) {
        cached.detail = Some(TOO_LARGE);
        cached.ignores_range = true;
        return Err(NoCacheReason::ResponseTooLarge);
    }
    let mut fields = response.headers.clone();
    before_storing(&mut fields, received);
    Ok(to_store(status, fields, received, terms, cached))
}

/// What a 304 makes of what is stored.
fn judge_update(session: &Session, update: Update, cached: &mut Cached) -> RespCacheable {
    let Some(found) = &cached.found else {
        return RespCacheable::Uncacheable(NoCacheReason::InternalError);
    };
    let Update { headers, received } = update;
    let head = found.seen.head.clone();
    if !is_about(&headers, &head.headers) {
        cached.detail = Some(OF_ANOTHER);
        cached.refreshed = Some(head);
        return RespCacheable::Uncacheable(NoCacheReason::Custom(OF_ANOTHER));
    }
    let answer = answer(StatusCode::NOT_MODIFIED, &headers, cached.asked, received);
    let request = &session.req_header().headers;
    let merged = refreshed(&head.stored(), request, answer, &cached.profile.rules);
    match for_all(merged.terms) {
        Ok(terms) => {
            let kept = to_store(head.status, merged.headers, received, terms, cached);
            let kept = Storable { of: Some(found.seen.version), ..kept };
            RespCacheable::Cacheable(storable(kept, received))
        }
        Err(unstored) => {
            cached.detail = Some(unstored.word());
            let born = found.terms.born();
            let head = StoredHead::new(head.status, merged.headers, received, born);
            cached.refreshed = Some(Arc::new(head));
            RespCacheable::Uncacheable(reason(unstored, StatusCode::OK))
        }
    }
}

/// What differs by who asks is not for all, whatever else is said of it. Of what servers are told
/// of that, the cache sees only what the client said.
fn for_all(terms: Result<Terms, Unstored>) -> Result<Terms, Unstored> {
    match terms {
        Ok(terms) if terms.vary.iter().any(headers::tells_who) => Err(Unstored::Vary),
        terms => terms,
    }
}

pub(super) fn answer<'a>(
    status: StatusCode,
    headers: &'a HeaderMap,
    asked: Moment,
    received: Moment,
) -> Answer<'a> {
    Answer { status, headers, asked, received }
}

pub(super) fn to_store(
    status: StatusCode,
    fields: HeaderMap,
    received: Moment,
    terms: Terms,
    cached: &Cached,
) -> Storable {
    let labels = labels(&cached.place.origin(), &fields);
    let subject = cached.place.subject();
    let searched = Search::read(&fields).map(|_| label_of_searches(subject));
    let tags = labels.into_iter().map(|label| label.0).chain(searched).collect();
    let labels = Labels { subject: subject.into(), tags };
    let keep_until = terms.keep_until();
    let head = StoredHead::new(status, fields, received, terms.born());
    head.note(cached.profile.of, terms);
    Storable {
        head: Arc::new(head),
        labels: Arc::new(labels),
        keep_until,
        began: cached.began,
        of: None,
        told: None,
    }
}

/// What those who wait are told: whoever is next asks for all of them, or all
/// of them ask by themselves as nobody helps the next one.
fn reason(unstored: Unstored, status: StatusCode) -> NoCacheReason {
    if status.is_server_error() {
        NoCacheReason::UpstreamError
    } else if unstored.is_lasting() {
        NoCacheReason::Custom(LASTING)
    } else {
        NoCacheReason::Deferred
    }
}

/// The head behind what pingora was told of it.
pub(super) fn head_of(meta: &CacheMeta) -> Option<Arc<StoredHead>> {
    let new = meta.extensions().get::<Storable>().map(|storable| &storable.head);
    let head = new.or_else(|| meta.extensions().get::<Seen>().map(|seen| &seen.head));
    head.cloned()
}

/// Gives up what was being stored, as the attempt that it came from has failed:
/// what another one brings goes to its client alone. Pingora would begin to store
/// a second answer, and break.
pub(super) fn give_up(session: &mut Session) {
    let is_filling = matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired)
        && session.cache.maybe_cache_meta().is_some();
    if is_filling {
        session.cache.disable(NoCacheReason::UpstreamError);
    }
}
