//! What is asked of the cache for a request, and what is made of what it has.
//!
//! Pingora walks from look-up to server; here it is told what each find is good
//! for, and by whom a request is to be answered that is not for the cache.

use std::sync::Arc;
use std::time::Duration;

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, Method};
use pingora::cache::key::HashBinary;
use pingora::cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, ForcedFreshness, NoCacheReason, VarianceBuilder,
};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType};
use pingora_proxy::Session;
use tidegate_store::Key;

use crate::cache::{
    CacheStatus, Clients, Forward, LOCK_AGE, Looked, Moment, Needed, Place, Profile, Search, Seen,
    StoredHead, Terms, Unstored, Use, Vault, Wishes, now, simplify, variant,
};
use crate::log::CacheUse;
use crate::site::{Route, State};
use crate::upstream::Need;

use super::context::Context;
use super::named::{Named, scheme, space};
use super::refuse::Refusal;
use super::searched;
use super::slice;

/// How long one who asks for everybody waits for another who does the same.
const OTHERS: Duration = Duration::from_millis(250);

/// What a request wants of the cache, and how far it has come with it.
pub(super) struct Cached {
    pub(super) profile: Arc<Profile>,
    pub(super) place: Place,
    pub(super) key: Key,
    /// What its key has of the query, where its server has said what counts.
    pub(super) search: Option<Arc<Search>>,
    /// When it arrived.
    pub(super) arrived: Moment,
    /// Why it goes on to a server, if it does.
    pub(super) why: Forward,
    /// A word about that, or about why nothing is stored.
    pub(super) detail: Option<&'static str>,
    pub(super) found: Option<Found>,
    /// What was looked up before pingora does.
    pub(super) looked: Option<Looked>,
    /// It is not for the cache, which is to keep nothing of it.
    is_passed: bool,
    /// It is stored, and nobody waits to have it.
    pub(super) is_there: bool,
    /// When the server was asked, as the store counts that.
    pub(super) began: Moment,
    /// When it was sent to the server last.
    pub(super) asked: Moment,
    /// What a 304 said, until it is joined with what is stored.
    pub(super) update: Option<Update>,
    /// What a 304 made of a response that may no longer be stored.
    pub(super) refreshed: Option<Arc<StoredHead>>,
    /// The server said how old its answer is.
    pub(super) has_age: bool,
    /// The whole goes to whoever asked for a part of it.
    pub(super) ignores_range: bool,
    /// What is stored is not what its client asks for: 412.
    pub(super) is_another: bool,
    /// What is said of it, where pingora was not asked.
    pub(super) told: Option<(CacheStatus<'static>, CacheUse)>,
    /// What became of it.
    pub(super) outcome: Option<CacheUse>,
}

/// What a look-up found.
pub(super) struct Found {
    pub(super) seen: Seen,
    pub(super) terms: Arc<Terms>,
    pub(super) good_for: Use,
}

/// What a server said of a stored response.
pub(super) struct Update {
    pub(super) headers: HeaderMap,
    pub(super) received: Moment,
}

/// What a request wants of the cache of its route; nothing if it is a tunnel or
/// a call.
pub(super) fn wish(
    route: &Route,
    named: &Named,
    request: &RequestHeader,
    ctx: &Context,
    state: &State,
) -> Option<Cached> {
    let (profile, client) = (route.cache.as_ref()?, ctx.client.as_ref()?);
    let (exchange, forward) = (ctx.exchange.as_ref()?, ctx.forward.as_ref()?);
    if forward.need != Need::Exchange {
        return None;
    }
    let (vault, headers) = (state.vault, &request.headers);
    let scheme = scheme(client, headers, exchange.connection.channel());
    let target = named.target(request, scheme);
    let space = space(route, client, headers);
    let place = Place::new(&target, &profile.shape);
    Some(match searched::name(profile, &space, &target, headers, vault) {
        Some((key, search)) => {
            Cached { search: Some(search), ..Cached::new(profile.clone(), place, key) }
        }
        None => {
            let key = profile.shape.key(&space, &target, headers, &[]);
            Cached::new(profile.clone(), place, vault.store.key(&key))
        }
    })
}

impl Cached {
    pub(super) fn new(profile: Arc<Profile>, place: Place, key: Key) -> Self {
        let now = now();
        Cached {
            profile,
            place,
            key,
            search: None,
            arrived: now,
            why: Forward::Bypass,
            detail: None,
            found: None,
            looked: None,
            is_passed: false,
            is_there: false,
            began: Moment::default(),
            asked: now,
            update: None,
            refreshed: None,
            has_age: false,
            ignores_range: false,
            is_another: false,
            told: None,
            outcome: None,
        }
    }

    /// What is stored is good for; nothing if it may not be stored by this profile, or has no
    /// right to its name any more.
    pub(super) fn judge(&self, seen: Seen, request: &HeaderMap, now: Moment) -> Option<Found> {
        let is_named_so = self.search.is_none()
            || Search::read(&seen.head.headers).as_ref() == self.search.as_deref();
        let terms = self.terms(&seen).ok().filter(|_| is_named_so)?;
        let good_for = terms.use_for(request, &self.profile.rules, now);
        Some(Found { seen, terms, good_for })
    }

    /// What is stored may be used for by this profile, less what was purged.
    pub(super) fn terms(&self, seen: &Seen) -> Result<Arc<Terms>, Unstored> {
        let terms = seen.head.terms(&self.profile.rules, self.profile.of)?;
        Ok(match seen.stale_since {
            None => terms,
            Some(since) => Arc::new(Terms::clone(&terms).stale_since(since)),
        })
    }

    fn pass(&mut self, why: Forward) -> ForcedFreshness {
        self.why = why;
        self.is_passed = true;
        ForcedFreshness::ForceMiss
    }
}

/// Has pingora ask the cache, where the request is for it.
pub(super) fn enable(session: &mut Session, ctx: &mut Context, state: &State) {
    let is_for_cache = is_for_cache(session, ctx) && !slice::is_for_news(ctx);
    let Some(cached) = ctx.cached.as_mut() else { return };
    if !is_read(&session.req_header().method) {
        cached.why = Forward::Method;
        return;
    }
    if !is_for_cache {
        return;
    }
    cached.why = Forward::UriMiss;
    let mut options = CacheOptionOverrides::default();
    let left = ctx.exchange.as_ref().and_then(|exchange| exchange.left());
    // For a slice a client waits.
    let has_time = !ctx.is_background || ctx.slice.is_some();
    let patience = if has_time { LOCK_AGE } else { OTHERS };
    options.wait_timeout = Some(left.map_or(patience, |left| left.min(patience)));
    let vault = state.vault;
    session.cache.enable(vault, None, Some(&vault.passes), Some(&vault.lock), Some(options));
}

/// Whether what is stored may answer a request at all.
pub(super) fn is_for_cache(session: &mut Session, ctx: &Context) -> bool {
    // What is judged is not sent before it is whole, and what comes with a body is not
    // named by its key.
    let is_judged = ctx.inspection.as_ref().is_some_and(|it| it.judges_answer());
    is_read(&session.req_header().method) && !is_judged && session.is_body_empty()
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// What pingora finds it by.
pub(super) fn key(ctx: &mut Context) -> pingora::Result<CacheKey> {
    match &mut ctx.cached {
        Some(cached) => Ok(Vault::key(cached.key.clone(), cached.looked.take())),
        None => Error::e_explain(ErrorType::InternalError, "a request without a key"),
    }
}

/// What pingora finds a variant by; none where all get the same.
pub(super) fn vary(meta: &CacheMeta, request: &RequestHeader, ctx: &Context) -> Option<HashBinary> {
    variance(&*super::keep::head_of(meta)?, request, ctx.cached.as_ref()?)
}

/// What tells a variant of a stored response from others, for this request.
pub(super) fn variance(
    head: &StoredHead,
    request: &RequestHeader,
    cached: &Cached,
) -> Option<HashBinary> {
    let names = &head.terms(&cached.profile.rules, cached.profile.of).ok()?.vary;
    if names.is_empty() {
        return None;
    }
    let said = match names.contains(&http::header::ACCEPT_ENCODING) {
        false => variant(names, &request.headers),
        true => {
            // As the server is asked.
            let mut simple = request.headers.clone();
            simplify(&mut simple);
            variant(names, &simple)
        }
    };
    let mut hash = VarianceBuilder::new();
    hash.add_value("", &said);
    hash.finalize()
}

/// What a stored response is good for.
pub(super) fn judge_found(
    session: &mut Session,
    meta: &CacheMeta,
    ctx: &mut Context,
) -> ForcedFreshness {
    let Some(cached) = ctx.cached.as_mut() else { return ForcedFreshness::ForceMiss };
    if let Some(wish) = &ctx.slice {
        return slice::judge_found(session, meta, wish, cached.arrived);
    }
    let mut decided = decide(session, meta, ctx.is_background, cached);
    if ctx.is_background && matches!(decided, ForcedFreshness::ForceFresh) {
        // It ends before a server is asked. Pingora would have it keep the right to fill what it
        // was begun for, which it calls a fault of ours.
        cached.is_there = true;
        decided = cached.pass(Forward::Request);
    }
    if cached.is_passed {
        // Nobody is waited for, and nobody waits.
        session.cache.set_cache_lock(None, None);
    }
    decided
}

fn decide(
    session: &Session,
    meta: &CacheMeta,
    is_background: bool,
    cached: &mut Cached,
) -> ForcedFreshness {
    let Some(seen) = meta.extensions().get::<Seen>() else { return ForcedFreshness::ForceMiss };
    let (now, request) = (now(), session.req_header());
    let headers = &request.headers;
    let Some(mut found) = cached.judge(seen.clone(), headers, now) else {
        return ForcedFreshness::ForceMiss;
    };
    // Whoever waited for an answer that was asked for later than it has one of its own.
    let has_waited = session.cache.lock_duration().is_some();
    if found.good_for == Use::Validate && has_waited && seen.head.received >= cached.arrived {
        found.good_for = Use::Fresh;
    }
    let needed = match is_background {
        true => Needed::Send,
        false => seen.head.stored().needed_by(headers, now),
    };
    let (good_for, is_fresh) = (found.good_for, found.terms.ttl(now) > 0);
    cached.found = Some(found);
    let is_head = request.method == Method::HEAD;
    match good_for {
        Use::Refuse => cached.pass(Forward::Request),
        _ if needed == Needed::Another && good_for != Use::Validate => {
            cached.pass(Forward::Request)
        }
        Use::Fresh | Use::StaleAsAsked => ForcedFreshness::ForceFresh,
        Use::Validate if is_head => {
            cached.pass(if is_fresh { Forward::Request } else { Forward::Stale })
        }
        Use::Validate | Use::WhileRevalidating => {
            cached.why = if is_fresh { Forward::Request } else { Forward::Stale };
            ForcedFreshness::ForceExpiredServeStale { expired_at: None }
        }
    }
}

/// Nothing is stored that the request could have: whether something is to be.
pub(super) fn miss(session: &mut Session, ctx: &mut Context) {
    let Some(cached) = ctx.cached.as_mut() else { return session.cache.cache_miss() };
    let request = session.req_header();
    let has = |name: &HeaderName| request.headers.contains_key(name);
    let is_head = request.method == Method::HEAD;
    // These conditions are for the server, and their answers no whole responses.
    let is_passed = cached.is_passed || is_head || has(&IF_MATCH) || has(&IF_UNMODIFIED_SINCE);
    if is_passed {
        session.cache.disable(NoCacheReason::Deferred);
        return;
    }
    let key = session.cache.maybe_cache_key();
    if cached.why == Forward::UriMiss && key.is_some_and(|key| key.get_variance_key().is_some()) {
        cached.why = Forward::VaryMiss;
    }
    session.cache.cache_miss();
}

/// Whether the request may go on to a server, which it is about to.
pub(super) fn ask(session: &Session, ctx: &mut Context, state: &State) -> Result<(), Refusal> {
    let is_kept = session.cache.enabled() || slice::is_for_news(ctx);
    let Some(cached) = ctx.cached.as_mut() else { return Ok(()) };
    let is_heeded = cached.profile.rules.clients == Clients::Heeded && !ctx.is_background;
    let is_for_cache = matches!(session.req_header().method, Method::GET | Method::HEAD);
    if is_heeded && is_for_cache && Wishes::read(&session.req_header().headers).is_only_if_cached()
    {
        return Err(Refusal::NotStored);
    }
    // Another one asks, or has asked; or nothing of it would be kept, and nobody gets it.
    if ctx.is_background && (cached.is_there || !is_kept) {
        return Err(Refusal::NotStored);
    }
    cached.began = state.vault.begin();
    Ok(())
}
