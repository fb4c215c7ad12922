//! A fetch of one slice, beside the clients that wait for it: what is asked of the server, and
//! what of its answer is kept.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::cache::{CacheMeta, ForcedFreshness, NoCacheReason, RespCacheable};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use tidegate_store::Key;

use crate::cache::{
    LASTING, Moment, Progress, Seen, Storable, Told, before_storing, brought, judge, now, storable,
    version,
};
use crate::ranges::Span;
use crate::site::State;

use super::cached::Cached;
use super::context::Context;
use super::keep::{answer, to_store};

/// What is said of an answer that is no part of an object which can be put together.
const NO_SLICE: &str = "no-slice";

/// The slice that a fetch is for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The object's name, and the slice's own.
    pub(super) whole: Key,
    pub(super) name: Key,
    /// Its bytes; an object may end before them.
    pub(super) span: Span,
    /// The version that it has to be of; any, where nobody knows one.
    pub(super) version: Option<Vec<u8>>,
    pub(super) told: Told,
}

impl Wish {
    fn tell(&self, progress: Progress) {
        self.told.send_replace(progress);
    }
}

/// Finds out what a fetch beside a client is for, if it is for a slice.
pub(super) fn take(session: &mut Session) -> Option<Box<Wish>> {
    let context = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    context.downcast_mut::<Option<Box<Wish>>>()?.take()
}

/// Has it be found by the slice's name.
pub(super) fn name(ctx: &mut Context) {
    if let (Some(wish), Some(cached)) = (&ctx.slice, &mut ctx.cached) {
        cached.key = wish.name.clone();
    }
}

/// Asks the server for the slice alone, as it is: a coding that it makes anew for each part could
/// be of another length.
pub(super) fn prepare(request: &mut HeaderMap, wish: &Wish) {
    let range = format!("bytes={}-{}", wish.span.first, wish.span.last());
    if let Ok(range) = HeaderValue::try_from(range) {
        request.insert(RANGE, range);
    }
    request.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether what is stored is the slice.
pub(super) fn judge_found(
    session: &Session,
    meta: &CacheMeta,
    wish: &Wish,
    arrived: Moment,
) -> ForcedFreshness {
    let Some(seen) = meta.extensions().get::<Seen>() else { return ForcedFreshness::ForceMiss };
    let head = &seen.head;
    let Some((span, total)) = brought(&head.headers) else { return ForcedFreshness::ForceMiss };
    // Who knows no version wants to hear of the newest, as another may have just now.
    let has_waited = session.cache.lock_duration().is_some() && head.received >= arrived;
    let is_wanted = match &wish.version {
        Some(wanted) => version(&head.headers, total).as_ref() == Some(wanted),
        None => has_waited,
    };
    if !is_wanted || span.first != wish.span.first {
        return ForcedFreshness::ForceMiss;
    }
    wish.tell(Progress::Here);
    ForcedFreshness::ForceFresh
}

/// Whether a server's answer is the slice, and is kept.
pub(super) fn judge_answer(
    session: &Session,
    response: &ResponseHeader,
    wish: &Wish,
    cached: &mut Cached,
    state: &State,
) -> RespCacheable {
    let received = now();
    match read(&session.req_header().headers, response, received, wish, cached) {
        Ok((mut kept, total)) => {
            if wish.version.is_none() {
                state.vault.keep_object(&wish.whole, &kept, total);
            }
            kept.told = Some(wish.told.clone());
            RespCacheable::Cacheable(storable(kept, received))
        }
        Err(unfit) => {
            match unfit {
                // It is another version by now.
                Unfit::Version => state.vault.forget_object(&wish.whole),
                Unfit::Object => state.vault.passes.note_unsliced(&wish.whole),
                Unfit::Answer => {}
            }
            cached.detail = Some(NO_SLICE);
            wish.tell(Progress::Otherwise);
            RespCacheable::Uncacheable(match unfit {
                Unfit::Object => NoCacheReason::Custom(LASTING),
                // The next fetch may fare better.
                Unfit::Version | Unfit::Answer => NoCacheReason::Deferred,
            })
        }
    }
}

/// Why an answer is no slice that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// It is of another version than is wanted.
    Version,
    /// None of this object would be one.
    Object,
    /// It says nothing of the object.
    Answer,
}

fn read(
    request: &HeaderMap,
    response: &ResponseHeader,
    received: Moment,
    wish: &Wish,
    cached: &Cached,
) -> Result<(Storable, u64), Unfit> {
    match response.status {
        StatusCode::PARTIAL_CONTENT => {}
        // It does not heed ranges, or is not for nobody.
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(Unfit::Object);
        }
        _ => return Err(Unfit::Answer),
    }
    let mut fields = response.headers.clone();
    let (span, total) = brought(&fields).ok_or(Unfit::Object)?;
    let wanted = wish.span.length.min(total.saturating_sub(wish.span.first));
    if (span.first, span.length) != (wish.span.first, wanted) {
        return Err(Unfit::Object);
    }
    let version = version(&fields, total).ok_or(Unfit::Object)?;
    if wish.version.as_ref().is_some_and(|wanted| *wanted != version) {
        return Err(Unfit::Version);
    }
    if total > cached.profile.max_object {
        return Err(Unfit::Object);
    }
    let range = fields.remove(CONTENT_RANGE).ok_or(Unfit::Object)?;
    // As a whole answer would be judged; that it is a part changes nothing about that.
    let whole = answer(StatusCode::OK, &fields, cached.asked, received);
    let terms = judge(&Method::GET, request, whole, &cached.profile.rules);
    let terms = terms.map_err(|_| Unfit::Object)?;
    let is_for_all = terms.vary.iter().all(|name| *name == ACCEPT_ENCODING)
        && !fields.contains_key(CONTENT_ENCODING);
    if !terms.vary.is_empty() && !is_for_all {
        return Err(Unfit::Object);
    }
    fields.insert(CONTENT_RANGE, range);
    before_storing(&mut fields, received);
    Ok((to_store(response.status, fields, received, terms, cached), total))
}
