//! Fetches what a client will ask for next, before it does: the segment behind the one that
//! it gets, where the route's profile says how to find that.
//!
//! Such a fetch is nobody's request, as others beside clients are. It begins no other one, asks
//! no server for what is there or on its way, and keeps nothing but what is whole and good.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA, RANGE};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use pingora::cache::CachePhase;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, OrErr, Result};
use pingora_proxy::Session;
use pingora_proxy::subrequest::Ctx as Subrequest;
use tokio::sync::OwnedSemaphorePermit;

use crate::cache::{ask_for_all, make_anonymous};
use crate::log::Prefetched;
use crate::route::NoRoute;
use crate::site::{Route, State};

use super::cached::Cached;
use super::context::Context;
use super::fields;
use super::refuse::Refusal;
use super::searched::with_target;

/// What the names begin with under which is remembered what was fetched: no URI has one.
const AHEAD: u8 = 0xfd;

/// What one of these fetches is for.
#[derive(Debug)]
pub(super) struct Next {
    /// Its path and query.
    target: PathAndQuery,
    /// The route of the client, which is to be its own.
    route: Arc<str>,
    // Of the route's budget, until it is over.
    _turn: OwnedSemaphorePermit,
}

/// Begins to fetch what the client of this answer will ask for next, if there is such a thing.
pub(super) fn begin(session: &Session, response: &ResponseHeader, ctx: &Context, state: &State) {
    let (Some(cached), Some(route), false) = (&ctx.cached, &ctx.route, ctx.is_background) else {
        return;
    };
    if cached.profile.prefetch.is_off() || !is_followed(session, response, cached, route) {
        return;
    }
    let prefetch = &cached.profile.prefetch;
    let found = with_target(session.req_header(), ctx, |target, space| {
        let of = [&[AHEAD][..], space.as_bytes(), &[0], target.origin().as_bytes()].concat();
        (of, prefetch.after(target, &response.headers))
    });
    let Some((of, targets)) = found else { return };
    for next in targets {
        let Ok(target) = PathAndQuery::try_from(next.as_str()) else { continue };
        let Ok(turn) = route.ahead.clone().try_acquire_owned() else {
            state.metrics.cache().prefetched(Prefetched::OverBudget);
            return;
        };
        let name = state.vault.store.key(&[&of, next.as_bytes()].concat());
        if state.vault.passes.note_ahead(&name) {
            spawn(Next { target, route: route.name.clone(), _turn: turn }, session);
        }
    }
}

/// Whether what follows is worth a fetch: of what is not kept itself, nor will that be, and what is
/// for one client alone can be asked for by nobody else.
fn is_followed(
    session: &Session,
    response: &ResponseHeader,
    cached: &Cached,
    route: &Route,
) -> bool {
    let request = session.req_header();
    let is_whole = request.method == Method::GET
        && response.status == StatusCode::OK
        && !request.headers.contains_key(RANGE);
    let is_kept = match session.cache.phase() {
        CachePhase::Hit | CachePhase::Stale | CachePhase::StaleUpdating => true,
        CachePhase::Miss | CachePhase::Expired | CachePhase::Revalidated => {
            session.cache.maybe_cache_meta().is_some()
        }
        _ => cached.told.is_some(),
    };
    let is_for_all =
        !route.access.has_credentials() && !request.headers.contains_key(AUTHORIZATION);
    is_whole && is_kept && is_for_all
}

fn spawn(next: Next, session: &Session) {
    let Some(spawner) = session.subrequest_spawner.as_ref() else { return };
    let context = Subrequest::builder().user_ctx(Box::new(Some(Box::new(next)))).build();
    // It ends by itself, whoever is there by then.
    drop(spawner.spawn_background_subrequest(session.as_ref(), context));
}

/// Finds out whether a fetch beside a client is one of these.
pub(super) fn take(session: &mut Session) -> Option<Box<Next>> {
    let context = session.subrequest_ctx.as_mut()?.user_ctx_mut()?;
    context.downcast_mut::<Option<Box<Next>>>()?.take()
}

/// Makes the client's request one for what comes next.
pub(super) fn prepare(request: &mut RequestHeader, next: &Next) -> Result<()> {
    let mut parts = request.uri.clone().into_parts();
    parts.path_and_query = Some(next.target.clone());
    request.set_uri(Uri::from_parts(parts).or_err(ErrorType::InternalError, "what comes next")?);
    fields::change_request(request, |fields| {
        ask_for_all(fields);
        // What the client wishes of the cache is for its own request.
        for name in [CACHE_CONTROL, PRAGMA] {
            fields.remove(name);
        }
    });
    Ok(())
}

/// Whether it may go on, on the route that was found for it; then it is nobody's from here on.
pub(super) fn admit(
    next: &Next,
    request: &mut RequestHeader,
    route: &Route,
) -> Result<(), Refusal> {
    let profile = route.cache.as_ref().filter(|_| next.route == route.name);
    let profile = profile.ok_or(NoRoute::Unknown)?;
    fields::change_request(request, |fields| make_anonymous(fields, &profile.shape.headers));
    Ok(())
}

/// What became of it.
pub(super) fn outcome(session: &Session, error: Option<&Error>, ctx: &Context) -> Prefetched {
    let is_there = ctx.cached.as_ref().is_some_and(|cached| cached.is_there);
    match session.cache.phase() {
        _ if is_there => Prefetched::Fresh,
        CachePhase::Miss | CachePhase::Expired | CachePhase::Revalidated if error.is_none() => {
            Prefetched::Stored
        }
        _ => Prefetched::NotStored,
    }
}
