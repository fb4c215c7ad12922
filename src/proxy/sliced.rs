//! A part of a large object, put together from slices: a server is asked for those alone that
//! nobody has, each by a fetch of its own that all who want it share.
//!
//! A fetch goes on when the client that began it leaves; at most it and the next one do.

use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, AGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_MATCH,
    IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::cache::NoCacheReason;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_proxy::Session;
use pingora_proxy::subrequest::Ctx as Subrequest;
use tidegate_store::{Body, Key, Tier};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cache::{
    CacheStatus, Cut, Failure, Forward, LOCK_AGE, Needed, Object, Progress, Shown, Slice, Source,
    Terms, Use, Vault, around, before_sending, for_not_modified, for_part, now,
};
use crate::log::CacheUse;
use crate::ranges::{Part, Selection, Span, first_byte, multipart, select};
use crate::site::State;

use super::ahead;
use super::answer;
use super::cached::Cached;
use super::context::{Context, Piece};
use super::deliver;
use super::fields;
use super::show;
use super::slice::Wish;

/// An object that is sent in parts.
struct Sliced {
    vault: &'static Vault,
    whole: Key,
    cut: Cut,
    object: Object,
    terms: Arc<Terms>,
    /// Why a server was asked about it, if it was.
    asked: Option<Forward>,
}

/// A body that comes next.
struct Ready {
    body: Body,
    /// Where it was; none if a server was asked for it.
    tier: Option<Tier>,
}

/// Answers a request for a large object, or a part of it; false if it goes the way of all others.
pub(super) async fn serve(session: &mut Session, ctx: &mut Context, state: &State) -> Result<bool> {
    let Some(sliced) = find(session, ctx, state.vault).await else { return Ok(false) };
    sliced.send(session, ctx, state).await
}

/// The same for a request that has waited for another one, by whose answer it may be known now.
pub(super) async fn serve_late(
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<bool> {
    if ctx.is_background || session.cache.lock_duration().is_none() {
        return Ok(false);
    }
    let Some(sliced) = find(session, ctx, state.vault).await else { return Ok(false) };
    if session.cache.enabled() {
        // Nobody is to wait for the end of this.
        session.cache.disable(NoCacheReason::Deferred);
    }
    sliced.send(session, ctx, state).await
}

async fn find(session: &mut Session, ctx: &Context, vault: &'static Vault) -> Option<Sliced> {
    let cached = ctx.cached.as_ref()?;
    let (whole, size) = (cached.key.clone(), cached.profile.slice?);
    if !is_for_slices(session.req_header(), ctx) || !session.is_body_empty() {
        return None;
    }
    let is_stored_whole = match &cached.looked {
        Some(looked) => looked.is_some(),
        None => vault.store.find(&whole, now()).await.is_some(),
    };
    if is_stored_whole || vault.passes.is_unsliced(&whole) {
        return None;
    }
    let first = first_byte(&session.req_header().headers);
    let sliced = |object: Object, terms, asked| {
        let cut = Cut { size, total: object.total };
        Sliced { vault, whole: whole.clone(), cut, object, terms, asked }
    };
    let known = vault.object(&whole).await;
    let known = known.and_then(|object| Some((terms_of(&object, cached)?, object)));
    // The whole of what nobody knows is asked for as such, for there may be no more to it than a
    // slice; and so is the whole of what comes in codings, which slices have none of.
    let is_for_whole = |(terms, _): &(Arc<Terms>, Object)| terms.vary.is_empty();
    if first.is_none() && !known.as_ref().is_some_and(is_for_whole) {
        return None;
    }
    let first = first.unwrap_or(0);
    if let Some((terms, object)) = &known
        && is_good(terms, session, cached)
    {
        return Some(sliced(object.clone(), terms.clone(), None));
    }
    let why = if known.is_some() { Forward::Stale } else { Forward::UriMiss };
    let span = around(first, size);
    match fetch(session, ctx, vault, &whole, (size, span), None).await {
        Some(Progress::Here) => {
            let object = vault.object(&whole).await?;
            let terms = terms_of(&object, cached)?;
            Some(sliced(object, terms, Some(why)))
        }
        Some(_) => None,
        // What is stored stands in for a server that cannot be asked.
        None => {
            let (terms, object) = known?;
            let stands_in = terms.stands_in(Failure::Unreachable, now());
            stands_in.then(|| sliced(object, terms, Some(why)))
        }
    }
}

/// Whether a request, if it has no body, may be answered by what is asked for in nobody's name.
pub(super) fn is_for_slices(request: &RequestHeader, ctx: &Context) -> bool {
    let is_judged = ctx.inspection.as_ref().is_some_and(|it| it.judges_answer());
    let tells_who = ctx.route.as_ref().is_none_or(|route| route.access.has_credentials());
    let has_other_terms = [IF_MATCH, IF_UNMODIFIED_SINCE, AUTHORIZATION]
        .iter()
        .any(|name| request.headers.contains_key(name));
    // Slices are named by their URI.
    let is_named_so = ctx.cached.as_ref().is_some_and(|cached| cached.search.is_none());
    request.method == Method::GET && !is_judged && !tells_who && !has_other_terms && is_named_so
}

fn terms_of(object: &Object, cached: &Cached) -> Option<Arc<Terms>> {
    let terms = object.seen.head.terms(&cached.profile.rules, cached.profile.of).ok()?;
    Some(match object.seen.stale_since {
        None => terms,
        Some(since) => Arc::new(Terms::clone(&terms).stale_since(since)),
    })
}

fn is_good(terms: &Terms, session: &Session, cached: &Cached) -> bool {
    let headers = &session.req_header().headers;
    let good_for = terms.use_for(headers, &cached.profile.rules, now());
    matches!(good_for, Use::Fresh | Use::StaleAsAsked)
}

/// Has a slice be fetched beside this client, and waits until it is on its way. None if no server
/// could be asked.
async fn fetch(
    session: &Session,
    ctx: &Context,
    vault: &Vault,
    whole: &Key,
    (size, span): (u64, Span),
    version: Option<Vec<u8>>,
) -> Option<Progress> {
    let mut progress = begin(session, vault, whole, (size, span), version)?;
    let left = ctx.exchange().and_then(|exchange| exchange.left());
    let patience = left.map_or(LOCK_AGE, |left| left.min(LOCK_AGE));
    let told = timeout(patience, progress.wait_for(|told| *told != Progress::Asking)).await;
    told.ok()?.ok().map(|told| *told)
}

fn begin(
    session: &Session,
    vault: &Vault,
    whole: &Key,
    (size, span): (u64, Span),
    version: Option<Vec<u8>>,
) -> Option<watch::Receiver<Progress>> {
    let (told, progress) = watch::channel(Progress::Asking);
    let name = vault.slice_name(whole, size, span.first);
    let wish = Box::new(Wish { whole: whole.clone(), name, span, version, told });
    let context = Subrequest::builder().user_ctx(Box::new(Some(wish))).build();
    // It ends by itself, whoever is there by then.
    drop(
        session.subrequest_spawner.as_ref()?.spawn_background_subrequest(session.as_ref(), context),
    );
    Some(progress)
}

impl Sliced {
    async fn send(self, session: &mut Session, ctx: &mut Context, state: &State) -> Result<bool> {
        let now = now();
        let request = &session.req_header().headers;
        let stored = self.object.seen.head.stored();
        let selection = match stored.needed_by(request, now) {
            Needed::NotModified => None,
            _ if stored.continues(request, now) => Some(select(request, self.cut.total)),
            _ => Some(Selection::Whole),
        };
        let (status, headers, parts) = self.outline(selection);
        let first = first_span(&parts).and_then(|span| self.cut.touched(span).next());
        let first = match first {
            None => None,
            Some(slice) => match self.open(slice, session, ctx).await {
                Some(ready) => Some(ready),
                // Nothing is sent yet.
                None => return Ok(false),
            },
        };
        self.note(first.as_ref().and_then(|ready| ready.tier), ctx);
        let mut response = fields::response(status, headers);
        ahead::begin(session, &response, ctx, state);
        deliver::response_head(session, &mut response, ctx)?;
        if parts.is_empty() {
            answer::write_whole_head(response, session, ctx).await?;
            return Ok(true);
        }
        session.write_response_header(Box::new(response), false).await?;
        self.send_parts(parts, first, session, ctx).await?;
        answer::write_body(None, Piece::Last, session, ctx).await.map(|()| true)
    }

    async fn send_parts(
        &self,
        parts: Vec<Part>,
        mut ready: Option<Ready>,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<()> {
        for part in parts {
            let span = match part {
                Part::Text(text) => {
                    answer::write_body(Some(text), Piece::Inner, session, ctx).await?;
                    continue;
                }
                Part::Span(span) => span,
            };
            let mut slices = self.cut.touched(span).peekable();
            while let Some(slice) = slices.next() {
                let opened = match ready.take() {
                    Some(ready) => Some(ready),
                    None => self.open(slice, session, ctx).await,
                };
                let Some(Ready { mut body, .. }) = opened else {
                    let what = "a slice of this version is not to be had";
                    return Error::e_explain(ErrorType::InternalError, what);
                };
                if let Some(next) = slices.peek() {
                    self.fetch_ahead(*next, session).await;
                }
                send_slice(&mut body, slice, session, ctx).await?;
            }
        }
        Ok(())
    }

    /// What is sent, but for the bytes of the object; nothing is selected of what the client has.
    fn outline(&self, selection: Option<Selection>) -> (StatusCode, HeaderMap, Vec<Part>) {
        let mut headers = self.object.seen.head.headers.clone();
        let total = self.cut.total;
        let shown = if self.asked.is_some() { Shown::Validated } else { Shown::Hit };
        before_sending(&mut headers, &self.terms, shown);
        headers.insert(AGE, self.terms.age_field(now()));
        let Some(selection) = selection else {
            for_not_modified(&mut headers);
            return (StatusCode::NOT_MODIFIED, headers, Vec::new());
        };
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let parts = match selection {
            Selection::Whole => {
                return (StatusCode::OK, headers, whole(total));
            }
            Selection::Unsatisfiable => {
                for_part(&mut headers);
                headers.remove(CONTENT_TYPE);
                insert(&mut headers, CONTENT_RANGE, format!("bytes */{total}"));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
                return (StatusCode::RANGE_NOT_SATISFIABLE, headers, Vec::new());
            }
            Selection::Spans(spans) => match *spans {
                [span] => {
                    insert(&mut headers, CONTENT_RANGE, span.content_range(total));
                    vec![Part::Span(span)]
                }
                _ => {
                    let of = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok());
                    let of = of.unwrap_or("application/octet-stream");
                    let (media_type, parts) = multipart(&spans, of, total);
                    insert(&mut headers, CONTENT_TYPE, media_type);
                    parts
                }
            },
        };
        for_part(&mut headers);
        let length: u64 = parts.iter().map(Part::length).sum();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        (StatusCode::PARTIAL_CONTENT, headers, parts)
    }

    /// The bytes of a slice, from wherever they are.
    async fn open(&self, slice: Slice, session: &Session, ctx: &Context) -> Option<Ready> {
        let name = self.vault.slice_name(&self.whole, self.cut.size, slice.whole.first);
        if let Some((body, tier)) = self.vault.slice(&name, slice.whole, &self.object).await {
            return Some(Ready { body, tier: Some(tier) });
        }
        let version = Some(self.object.version.clone());
        let span = (self.cut.size, slice.whole);
        match fetch(session, ctx, self.vault, &self.whole, span, version).await? {
            Progress::Here => {
                let (body, _) = self.vault.slice(&name, slice.whole, &self.object).await?;
                Some(Ready { body, tier: None })
            }
            Progress::Asking | Progress::Otherwise => None,
        }
    }

    /// Has the next slice be fetched while this one is sent.
    async fn fetch_ahead(&self, next: Slice, session: &Session) {
        let name = self.vault.slice_name(&self.whole, self.cut.size, next.whole.first);
        if self.vault.slice(&name, next.whole, &self.object).await.is_none() {
            let version = Some(self.object.version.clone());
            // Nobody waits for it yet.
            drop(begin(session, self.vault, &self.whole, (self.cut.size, next.whole), version));
        }
    }

    /// Notes what is said of it in Cache-Status, and in the record.
    fn note(&self, tier: Option<Tier>, ctx: &mut Context) {
        let (source, outcome) = match (self.asked, tier) {
            (Some(why), _) => (Source::Forwarded(why, None), CacheUse::Miss),
            (None, None) => (Source::Forwarded(Forward::Partial, None), CacheUse::Miss),
            (None, Some(tier)) => (Source::Stored, show::found_in(tier)),
        };
        let ttl = Some(self.terms.ttl(now()));
        let stored = outcome == CacheUse::Miss;
        let status = CacheStatus { ttl, stored, ..CacheStatus::new(source) };
        if let Some(cached) = &mut ctx.cached {
            cached.told = Some((status, outcome));
        }
    }
}

fn whole(total: u64) -> Vec<Part> {
    match total {
        0 => Vec::new(),
        length => vec![Part::Span(Span { first: 0, length })],
    }
}

fn first_span(parts: &[Part]) -> Option<Span> {
    parts.iter().find_map(|part| match part {
        Part::Text(_) => None,
        Part::Span(span) => Some(*span),
    })
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

async fn send_slice(
    body: &mut Body,
    slice: Slice,
    session: &mut Session,
    ctx: &mut Context,
) -> Result<()> {
    let end = slice.skip + slice.wanted;
    body.seek(slice.skip, Some(end)).or_err(ErrorType::InternalError, "seeking in a slice")?;
    while let Some(bytes) = body.next().await.or_err(ErrorType::InternalError, "reading a slice")? {
        answer::write_body(Some(bytes), Piece::Inner, session, ctx).await?;
    }
    Ok(())
}
