//! A fetch of one slice, or of news about a large object, beside the clients that wait for it: what
//! is asked of the server, and what of its answer is kept.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::cache::{CacheMeta, ForcedFreshness, NoCacheReason, RespCacheable};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use pingora_proxy::subrequest::Ctx as Subrequest;
use tidegate_store::Key;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cache::{
    Asking, LASTING, LOCK_AGE, Moment, Object, Progress, Seen, Storable, Terms, Told, Vault,
    ask_about, before_storing, brought, is_about, judge, now, refreshed, storable, version,
};
use crate::ranges::Span;
use crate::site::State;

use super::cached::Cached;
use super::context::Context;
use super::keep::{answer, to_store};

/// What is said of an answer that is no part of an object which can be put together.
const NO_SLICE: &str = "no-slice";

/// A large object that is asked for in slices.
#[derive(Debug, Clone)]
pub(super) struct Large {
    pub(super) name: Key,
    /// Stands for its host.
    pub(super) host: Key,
    /// Bytes of a slice.
    pub(super) size: u64,
}

/// What is asked of the server.
#[derive(Debug, Clone)]
pub(super) enum Want {
    /// A slice of whatever version there is.
    First(Span),
    /// A slice of that version.
    More(Span, Vec<u8>),
    /// Whether what is stored is good still.
    News(Box<Object>),
}

/// What a fetch is for.
#[derive(Debug)]
pub(super) struct Wish {
    of: Large,
    want: Want,
    told: Told,
    _asking: Option<Asking>,
}

impl Want {
    /// Its bytes; an object may end before them.
    fn span(&self) -> Span {
        match self {
            Want::First(span) | Want::More(span, _) => *span,
            // As little as tells of another version.
            Want::News(_) => Span { first: 0, length: 1 },
        }
    }
}

/// Has something be fetched beside a client; how far that has come.
pub(super) fn begin(
    session: &Session,
    vault: &'static Vault,
    of: &Large,
    want: Want,
) -> Option<watch::Receiver<Progress>> {
    let spawner = session.subrequest_spawner.as_ref()?;
    let (progress, asks) = match want {
        Want::News(_) => {
            let (progress, asks) = vault.news.ask(&of.name);
            (progress, asks.map(|(told, asking)| (told, Some(asking))))
        }
        Want::First(_) | Want::More(..) => {
            let (told, progress) = watch::channel(Progress::Asking);
            (progress, Some((told, None)))
        }
    };
    if let Some((told, asking)) = asks {
        let wish = Box::new(Wish { of: of.clone(), want, told, _asking: asking });
        let context = Subrequest::builder().user_ctx(Box::new(Some(wish))).build();
        // It ends by itself, whoever is there by then.
        drop(spawner.spawn_background_subrequest(session.as_ref(), context));
    }
    Some(progress)
}

/// The same, and waits until it is on its way. None if no server could be asked.
pub(super) async fn fetch(
    session: &Session,
    ctx: &Context,
    vault: &'static Vault,
    of: &Large,
    want: Want,
) -> Option<Progress> {
    let mut progress = begin(session, vault, of, want)?;
    let left = ctx.exchange().and_then(|exchange| exchange.left());
    let patience = left.map_or(LOCK_AGE, |left| left.min(LOCK_AGE));
    let told = timeout(patience, progress.wait_for(|told| *told != Progress::Asking)).await;
    told.ok()?.ok().map(|told| *told)
}

/// Finds out what a fetch beside a client is for, if it is one of these.
pub(super) fn take(session: &mut Session) -> Option<Box<Wish>> {
    let context = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    context.downcast_mut::<Option<Box<Wish>>>()?.take()
}

/// Has a slice be found by a name of its own.
pub(super) fn name(ctx: &mut Context, vault: &Vault) {
    if let (Some(wish), Some(cached)) = (&ctx.slice, &mut ctx.cached)
        && let Want::First(span) | Want::More(span, _) = &wish.want
    {
        cached.key = vault.slice_name(&wish.of.name, wish.of.size, span.first);
    }
}

/// Whether it is for news, in which pingora's cache has no part: it knows no 304 but for what it
/// stores itself.
pub(super) fn is_for_news(ctx: &Context) -> bool {
    ctx.slice.as_ref().is_some_and(|wish| matches!(wish.want, Want::News(_)))
}

/// Takes in the news.
pub(super) fn heed_news(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
    state: &State,
) {
    if let (true, Some(wish), Some(cached)) =
        (is_for_news(ctx), ctx.slice.as_ref(), ctx.cached.as_mut())
    {
        judge_answer(session, response, wish, cached, state);
    }
}

/// Asks the server for the slice alone, as it is: a coding that it makes anew for each part could
/// be of another length.
pub(super) fn prepare(request: &mut HeaderMap, wish: &Wish) {
    if let Want::News(object) = &wish.want {
        ask_about(request, &object.seen.head.headers, now());
    }
    let span = wish.want.span();
    let range = format!("bytes={}-{}", span.first, span.last());
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
    let is_wanted = match &wish.want {
        Want::More(_, wanted) => version(&head.headers, total).as_ref() == Some(wanted),
        // Who knows no version wants to hear of the newest, as another may have just now.
        Want::First(_) => session.cache.lock_duration().is_some() && head.received >= arrived,
        Want::News(_) => false,
    };
    if !is_wanted || span.first != wish.want.span().first {
        return ForcedFreshness::ForceMiss;
    }
    wish.told.send_replace(Progress::Here);
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
    let (received, request) = (now(), &session.req_header().headers);
    let (vault, of) = (state.vault, &wish.of);
    let read = match (&wish.want, response.status) {
        (Want::News(object), StatusCode::NOT_MODIFIED) => {
            read_update(request, response, received, object, cached)
        }
        _ => read_part(request, response, received, &wish.want, cached),
    };
    let (mut kept, total) = match read {
        Ok(read) => read,
        Err(unfit) => return pass(response.status, unfit, wish, cached, state),
    };
    if response.status == StatusCode::PARTIAL_CONTENT {
        vault.passes.note_heedful(&of.host);
    }
    if !matches!(wish.want, Want::More(..)) {
        vault.keep_object(&of.name, &kept, total);
    }
    if matches!(wish.want, Want::News(_)) {
        // That was all of it.
        wish.told.send_replace(Progress::Here);
        return RespCacheable::Uncacheable(NoCacheReason::Deferred);
    }
    kept.told = Some(wish.told.clone());
    RespCacheable::Cacheable(storable(kept, received))
}

/// Keeps nothing of an answer, and says why.
fn pass(
    status: StatusCode,
    unfit: Unfit,
    wish: &Wish,
    cached: &mut Cached,
    state: &State,
) -> RespCacheable {
    let (vault, of) = (state.vault, &wish.of);
    match unfit {
        // It is another version by now, or none.
        Unfit::Version => vault.forget_object(&of.name),
        Unfit::Object => vault.passes.note_unsliced(&of.name),
        Unfit::Answer => {}
    }
    if status == StatusCode::OK {
        vault.passes.note_heedless(&of.host);
    }
    cached.detail = Some(NO_SLICE);
    wish.told.send_replace(match status.is_server_error() {
        true => Progress::Failed(status),
        false => Progress::Otherwise,
    });
    RespCacheable::Uncacheable(match unfit {
        Unfit::Object => NoCacheReason::Custom(LASTING),
        // The next fetch may fare better.
        Unfit::Version | Unfit::Answer => NoCacheReason::Deferred,
    })
}

/// Why an answer is no slice that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// It is of another version than is wanted, or there is none any more.
    Version,
    /// None of this object would be one.
    Object,
    /// It says nothing of the object.
    Answer,
}

fn read_part(
    request: &HeaderMap,
    response: &ResponseHeader,
    received: Moment,
    want: &Want,
    cached: &Cached,
) -> Result<(Storable, u64), Unfit> {
    match response.status {
        StatusCode::PARTIAL_CONTENT => {}
        // It does not heed ranges, or is not for nobody.
        StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(Unfit::Object);
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Unfit::Version),
        _ => return Err(Unfit::Answer),
    }
    let mut fields = response.headers.clone();
    let (span, total) = brought(&fields).ok_or(Unfit::Object)?;
    let asked = want.span();
    let wanted = asked.length.min(total.saturating_sub(asked.first));
    if (span.first, span.length) != (asked.first, wanted) {
        return Err(Unfit::Object);
    }
    let version = version(&fields, total).ok_or(Unfit::Object)?;
    if matches!(want, Want::More(_, wanted) if *wanted != version) {
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
    if !is_for_all(&terms, &fields) {
        return Err(Unfit::Object);
    }
    fields.insert(CONTENT_RANGE, range);
    before_storing(&mut fields, received);
    Ok((to_store(response.status, fields, received, terms, cached), total))
}

/// What is stored, as a 304 has it.
fn read_update(
    request: &HeaderMap,
    response: &ResponseHeader,
    received: Moment,
    object: &Object,
    cached: &Cached,
) -> Result<(Storable, u64), Unfit> {
    let head = &object.seen.head;
    if !is_about(&response.headers, &head.headers) {
        return Err(Unfit::Version);
    }
    let answer = answer(response.status, &response.headers, cached.asked, received);
    let merged = refreshed(&head.stored(), request, answer, &cached.profile.rules);
    let terms = merged.terms.map_err(|_| Unfit::Object)?;
    let is_same = version(&merged.headers, object.total).as_ref() == Some(&object.version);
    if !is_same || !is_for_all(&terms, &merged.headers) {
        return Err(Unfit::Version);
    }
    Ok((to_store(head.status, merged.headers, received, terms, cached), object.total))
}

/// Whether all who ask get the same bytes.
fn is_for_all(terms: &Terms, fields: &HeaderMap) -> bool {
    let is_plain = terms.vary.iter().all(|name| *name == ACCEPT_ENCODING)
        && !fields.contains_key(CONTENT_ENCODING);
    terms.vary.is_empty() || is_plain
}
