//! A large answer that goes whole to its client is kept in slices, each of them when it is complete.
//!
//! Pingora keeps nothing of it: what it fills goes on to the end, though nobody is left who wants
//! it. Here what is kept ends with its client. Nobody reads along: it comes as fast as that client
//! takes it, and others ask for what they want of it by themselves.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;
use tidegate_store::Key;

use crate::cache::{
    CacheStatus, Cut, Room, Search, Source, Storable, Vault, before_storing, judge, now, version,
};
use crate::log::CacheUse;
use crate::site::State;
use crate::values::{announced, only};

use super::cached::Cached;
use super::context::Context;
use super::keep::{answer, to_store};
use super::sliced;

/// What is said of an answer that is kept in this way, and not by pingora.
pub(super) const CUT: &str = "cut";
/// An answer of no more slices is stored whole, if there is room for it: it is fetched once for all
/// who ask for it at the same time, and costs little where nobody is left who does.
const MOST_WHOLE: u64 = 16;

/// Who asks so may be sent less than the server sends.
const NOT_WHOLE: [HeaderName; 3] = [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE];

/// An answer on its way, and what of it makes no slice yet.
pub(super) struct Cutting {
    vault: &'static Vault,
    whole: Key,
    cut: Cut,
    of: Storable,
    // The slice that comes next.
    number: u64,
    held: BytesMut,
    // For one slice.
    _room: Room,
}

/// Begins to keep an answer in slices, if it is one for that.
pub(super) fn begin(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
    state: &State,
) -> bool {
    ctx.cutting = find(session, response, ctx, state.vault).map(Box::new);
    let (Some(cutting), Some(cached)) = (&ctx.cutting, &mut ctx.cached) else { return false };
    let terms = cutting.of.head.terms(&cached.profile.rules, cached.profile.of).ok();
    let ttl = terms.map(|terms| terms.ttl(now()));
    let status = CacheStatus::new(Source::Forwarded(cached.why, None));
    cached.told = Some((CacheStatus { ttl, stored: true, ..status }, CacheUse::Miss));
    true
}

fn find(
    session: &Session,
    response: &ResponseHeader,
    ctx: &Context,
    vault: &'static Vault,
) -> Option<Cutting> {
    let cached = ctx.cached.as_ref()?;
    let (request, fields) = (session.req_header(), &response.headers);
    let is_for_slices = response.status == StatusCode::OK
        && request.method == Method::GET
        && !NOT_WHOLE.iter().any(|name| request.headers.contains_key(name))
        && !ctx.is_background
        && cached.found.is_none()
        && sliced::is_for_slices(request, ctx);
    let cut = is_for_slices.then(|| cut(fields, cached, vault)).flatten()?;
    let received = now();
    let answer = answer(StatusCode::OK, fields, cached.asked, received);
    let terms = judge(&request.method, &request.headers, answer, &cached.profile.rules).ok()?;
    let is_one_for_all = terms.vary.is_empty() && Search::read(fields).is_none();
    let (passes, host) = (&vault.passes, sliced::host(ctx, vault)?);
    // Where none is asked for slices, they would be of no use.
    let is_asked = !passes.is_unsliced(&cached.key) && !passes.is_heedless(&host);
    if !is_one_for_all || !is_asked {
        return None;
    }
    let room = vault.room(cut.size)?;
    let mut fields = fields.clone();
    before_storing(&mut fields, received);
    let of = to_store(StatusCode::OK, fields, received, terms, cached);
    // From now on whoever asks for it asks for slices.
    vault.keep_object(&cached.key, &of, cut.total);
    let (whole, held) = (cached.key.clone(), BytesMut::new());
    Some(Cutting { vault, whole, cut, of, number: 0, held, _room: room })
}

/// How an answer is cut, if it is long, and its server has parts of it for who asks.
fn cut(fields: &HeaderMap, cached: &Cached, vault: &Vault) -> Option<Cut> {
    let size = cached.profile.slice?;
    let total = announced(fields)?;
    let is_long = total > MOST_WHOLE.saturating_mul(size) || total > vault.longest;
    let is_kept = total <= cached.profile.max_object && size <= vault.longest;
    let has_parts = only(fields.get_all(ACCEPT_RANGES))
        .is_some_and(|unit| unit.as_bytes().eq_ignore_ascii_case(b"bytes"));
    let has_version = version(fields, total).is_some() && !fields.contains_key(CONTENT_ENCODING);
    (is_long && is_kept && has_parts && has_version).then_some(Cut { size, total })
}

impl Cutting {
    /// What comes next of the answer's body.
    pub(super) fn push(&mut self, bytes: &Bytes) {
        let mut rest = &bytes[..];
        while !rest.is_empty() && self.number * self.cut.size < self.cut.total {
            let span = self.cut.slice(self.number);
            let length = usize::try_from(span.length).unwrap_or(usize::MAX);
            if self.held.is_empty() {
                self.held.reserve(length);
            }
            let (piece, behind) = rest.split_at(rest.len().min(length - self.held.len()));
            self.held.extend_from_slice(piece);
            rest = behind;
            if self.held.len() == length {
                let slice = self.held.split().freeze();
                self.vault.keep_slice(&self.whole, self.cut, (span, slice), &self.of);
                self.number += 1;
            }
        }
    }
}
