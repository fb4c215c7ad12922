//! A large object, or a part of it, put together from slices: a server is asked for those alone that
//! nobody has, each by a fetch of its own that all who want it share.
//!
//! A fetch goes on when the client that began it leaves; at most it and the next one do.

use std::sync::Arc;

use http::header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora::{ErrorType, OkOrErr, OrErr, Result};
use pingora_proxy::Session;
use tidegate_store::{Body, Broken, Tier};

use crate::cache::{
    CacheStatus, Cut, Forward, Needed, Object, Progress, Shown, Slice, Source, Terms, Vault,
    before_sending, for_not_modified, for_part, now,
};
use crate::log::CacheUse;
use crate::ranges::{Part, Selection, Span, multipart, select};
use crate::site::State;

use super::ahead;
use super::answer;
use super::context::{Context, Piece};
use super::deliver;
use super::fields;
use super::show;
use super::slice::{self, Large, Want};

/// What the rest of an answer breaks off for.
const NOT_TO_BE_HAD: &str = "a slice of this version is not to be had";

/// An object that is sent in parts.
pub(super) struct Sliced {
    vault: &'static Vault,
    of: Large,
    cut: Cut,
    object: Object,
    terms: Arc<Terms>,
    standing: Standing,
}

/// How it comes to be the answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    Good,
    /// It is stale, and its server is asked about it beside this.
    Beside,
    /// Nobody knew of it, so its server was asked.
    Fetched,
    /// Its server has said that it is good, or that there is another.
    Validated(Forward),
    /// Its server has failed.
    InPlace(Option<StatusCode>),
}

/// A body that comes next.
struct Ready {
    body: Body,
    /// Where it was; none if a server was asked for it.
    tier: Option<Tier>,
}

impl Sliced {
    pub(super) fn new(
        vault: &'static Vault,
        of: Large,
        (object, terms): (Object, Arc<Terms>),
        standing: Standing,
    ) -> Self {
        let cut = Cut { size: of.size, total: object.total };
        Sliced { vault, of, cut, object, terms, standing }
    }

    /// Sends what a request asks for of it; false if that is not to be had, and nothing was sent.
    pub(super) async fn send(
        self,
        session: &mut Session,
        ctx: &mut Context,
        state: &State,
    ) -> Result<bool> {
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
        deliver::stored_head(session, &mut response, ctx)?;
        if parts.is_empty() {
            answer::write_whole_head(response, session, ctx).await?;
            return Ok(true);
        }
        session.write_response_header(Box::new(response), false).await?;
        self.send_parts(parts, first, session, ctx).await?;
        answer::write_body(None, Piece::Last, session, ctx).await.map(|()| true)
    }

    /// Sends all that is behind the first bytes of it, whose head is sent.
    pub(super) async fn send_rest(
        &self,
        first: u64,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<()> {
        let span = Span { first, length: self.cut.total - first };
        self.send_parts(vec![Part::Span(span)], None, session, ctx).await?;
        answer::write_body(None, Piece::Last, session, ctx).await
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
                let Ready { body, .. } = opened.or_err(ErrorType::InternalError, NOT_TO_BE_HAD)?;
                if let Some(next) = slices.peek() {
                    self.fetch_ahead(*next, session).await;
                }
                self.send_slice(body, slice, session, ctx).await?;
            }
        }
        Ok(())
    }

    async fn send_slice(
        &self,
        mut body: Body,
        slice: Slice,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<()> {
        let (mut at, end) = (slice.skip, slice.skip + slice.wanted);
        let mut is_stored = true;
        body.seek(at, Some(end)).or_err(ErrorType::InternalError, "seeking in a slice")?;
        while at < end {
            let bytes = match body.next().await {
                // It is found no more, so it is fetched anew.
                Err(Broken::Unreadable) if is_stored => {
                    is_stored = false;
                    let opened = self.open(slice, session, ctx).await;
                    body = opened.or_err(ErrorType::InternalError, NOT_TO_BE_HAD)?.body;
                    body.seek(at, Some(end)).or_err(ErrorType::InternalError, "seeking anew")?;
                    continue;
                }
                read => read.or_err(ErrorType::InternalError, "reading a slice")?,
            };
            let bytes = bytes.or_err(ErrorType::InternalError, "a slice that ends too soon")?;
            at += bytes.len() as u64;
            answer::write_body(Some(bytes), Piece::Inner, session, ctx).await?;
        }
        Ok(())
    }

    /// What is sent, but for the bytes of the object; nothing is selected of what the client has.
    fn outline(&self, selection: Option<Selection>) -> (StatusCode, HeaderMap, Vec<Part>) {
        let mut headers = self.object.seen.head.headers.clone();
        let total = self.cut.total;
        let shown = match self.standing {
            Standing::Fetched | Standing::Validated(_) => Shown::Validated,
            Standing::Good | Standing::Beside | Standing::InPlace(_) => Shown::Hit,
        };
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
        if let Some((body, tier)) = self.stored(slice).await {
            return Some(Ready { body, tier: Some(tier) });
        }
        let more = Want::More(slice.whole, self.object.version.clone());
        match slice::fetch(session, ctx, self.vault, &self.of, more).await? {
            Progress::Here => {
                let (body, _) = self.stored(slice).await?;
                Some(Ready { body, tier: None })
            }
            Progress::Asking | Progress::Otherwise | Progress::Failed(_) => None,
        }
    }

    async fn stored(&self, slice: Slice) -> Option<(Body, Tier)> {
        let name = self.vault.slice_name(&self.of.name, self.cut.size, slice.whole.first);
        self.vault.slice(&name, slice.whole, &self.object).await
    }

    /// Has the next slice be fetched while this one is sent.
    async fn fetch_ahead(&self, next: Slice, session: &Session) {
        if self.stored(next).await.is_none() {
            let more = Want::More(next.whole, self.object.version.clone());
            // Nobody waits for it yet.
            drop(slice::begin(session, self.vault, &self.of, more));
        }
    }

    /// Notes what is said of it in Cache-Status, and in the record.
    fn note(&self, tier: Option<Tier>, ctx: &mut Context) {
        let forwarded = Source::Forwarded;
        let (source, outcome) = match (self.standing, tier) {
            (Standing::Good, Some(tier)) => (Source::Stored, show::found_in(tier)),
            (Standing::Good, None) => (forwarded(Forward::Partial, None), CacheUse::Miss),
            (Standing::Beside, _) => (Source::Stored, CacheUse::Stale),
            (Standing::Fetched, _) => (forwarded(Forward::UriMiss, None), CacheUse::Miss),
            (Standing::Validated(why), Some(_)) => (forwarded(why, None), CacheUse::Revalidated),
            (Standing::Validated(why), None) => (forwarded(why, None), CacheUse::Miss),
            (Standing::InPlace(status), _) => (forwarded(Forward::Stale, status), CacheUse::Stale),
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
