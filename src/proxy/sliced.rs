//! Which requests are answered from slices, and what is asked of a server before they are.

use std::sync::Arc;

use http::Method;
use http::header::{AUTHORIZATION, ETAG, IF_MATCH, IF_UNMODIFIED_SINCE};
use pingora::cache::NoCacheReason;
use pingora::http::RequestHeader;
use pingora::{ErrorType, OkOrErr, Result};
use pingora_proxy::Session;
use tidegate_store::Key;

use crate::cache::{Failure, Forward, Object, Progress, Seen, Terms, Use, Vault, around, now};
use crate::ranges::first_byte;
use crate::site::State;

use super::cached::Cached;
use super::context::Context;
use super::parts::{Sliced, Standing};
use super::slice::{self, Large, Want};

/// The slices of what else comes in none.
const REST: u64 = 1 << 20;

/// Answers a request for a large object, or a part of it; false if it goes the way of all others.
pub(super) async fn serve(session: &mut Session, ctx: &mut Context, state: &State) -> Result<bool> {
    match ctx.cached.as_ref().is_some_and(|cached| cached.profile.slice.is_some()) {
        true => Box::pin(send(session, ctx, state)).await,
        false => Ok(false),
    }
}

async fn send(session: &mut Session, ctx: &mut Context, state: &State) -> Result<bool> {
    let Some(sliced) = find(session, ctx, state.vault).await else { return Ok(false) };
    if session.cache.enabled() {
        // Nobody is to wait for the end of this.
        session.cache.disable(NoCacheReason::Deferred);
    }
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
    serve(session, ctx, state).await
}

async fn find(session: &mut Session, ctx: &Context, vault: &'static Vault) -> Option<Sliced> {
    let of = large(session, ctx, vault).await?;
    let cached = ctx.cached.as_ref()?;
    let request = &session.req_header().headers;
    let first = first_byte(request);
    let sliced = |found, standing| Sliced::new(vault, of.clone(), found, standing);
    let Some(known) = look_up(&of, cached, vault).await else {
        // The whole of what nobody knows is asked for as such: there may be no more than a slice.
        let want = Want::First(around(first?, of.size));
        let progress = slice::fetch(session, ctx, vault, &of, want).await;
        let found =
            look_up(&of, cached, vault).await.filter(|_| progress == Some(Progress::Here))?;
        return Some(sliced(found, Standing::Fetched));
    };
    let (object, terms) = &known;
    // It may come in codings, of which slices have none.
    if first.is_none() && !terms.vary.is_empty() {
        return None;
    }
    let good_for = terms.use_for(request, &cached.profile.rules, now());
    let why = if terms.ttl(now()) > 0 { Forward::Request } else { Forward::Stale };
    let news = Want::News(Box::new(object.clone()));
    match good_for {
        Use::Fresh | Use::StaleAsAsked => return Some(sliced(known, Standing::Good)),
        Use::WhileRevalidating => {
            // Nobody waits for that.
            drop(slice::begin(session, vault, &of, news));
            return Some(sliced(known, Standing::Beside));
        }
        Use::Refuse => return None,
        Use::Validate => {}
    }
    let (failure, status) = match slice::fetch(session, ctx, vault, &of, news).await {
        Some(Progress::Here) => {
            let mut found = look_up(&of, cached, vault).await?;
            if found.0.seen.stale_since.is_some() {
                // That was asked before a purge, and says nothing of what is since.
                let news = Want::News(Box::new(found.0));
                let progress = slice::fetch(session, ctx, vault, &of, news).await;
                progress.filter(|progress| *progress == Progress::Here)?;
                found = look_up(&of, cached, vault).await?;
            }
            return Some(sliced(found, Standing::Validated(why)));
        }
        Some(Progress::Failed(status)) => (Failure::Answered(status), Some(status)),
        Some(Progress::Asking | Progress::Otherwise) => return None,
        None => (Failure::Unreachable, None),
    };
    let stands_in = known.1.stands_in(failure, now());
    stands_in.then(|| sliced(known, Standing::InPlace(status)))
}

/// What a request is for, if that may be answered from slices.
async fn large(session: &mut Session, ctx: &Context, vault: &Vault) -> Option<Large> {
    let cached = ctx.cached.as_ref()?;
    let (name, size) = (&cached.key, cached.profile.slice?);
    if !is_for_slices(session.req_header(), ctx) || !session.is_body_empty() {
        return None;
    }
    let is_stored_whole = match &cached.looked {
        Some(looked) => looked.is_some(),
        None => vault.store.find(name, now()).await.is_some(),
    };
    let host = host(ctx, vault)?;
    let passes = &vault.passes;
    let is_other = is_stored_whole || passes.is_unsliced(name) || passes.is_heedless(&host);
    (!is_other).then(|| Large { name: name.clone(), host, size })
}

/// What stands for the host of a request, on its route.
pub(super) fn host(ctx: &Context, vault: &Vault) -> Option<Key> {
    let (route, cached) = (ctx.route.as_ref()?, ctx.cached.as_ref()?);
    Some(vault.host_name(&route.name, &cached.place.origin()))
}

/// What is stored of it, and may be used.
async fn look_up(of: &Large, cached: &Cached, vault: &Vault) -> Option<(Object, Arc<Terms>)> {
    let object = vault.object(&of.name).await?;
    let terms = cached.terms(&object.seen).ok()?;
    Some((object, terms))
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

/// Sends the rest of what is stored whole, and has turned out bad from there on: its server has
/// that still, if it has this very version.
pub(super) async fn send_rest(
    seen: Seen,
    from: u64,
    session: &mut Session,
    ctx: &mut Context,
    state: &State,
) -> Result<()> {
    ::log::debug!("a stored body is damaged from byte {from} on");
    let sliced = rest(seen, session.req_header(), ctx, state.vault);
    let sliced = sliced.or_err(ErrorType::InternalError, "a stored body is damaged")?;
    sliced.send_rest(from, session, ctx).await
}

fn rest(
    seen: Seen,
    request: &RequestHeader,
    ctx: &Context,
    vault: &'static Vault,
) -> Option<Sliced> {
    // A date alone may be that of two versions, which nobody sees in one body.
    if !seen.head.headers.contains_key(ETAG) || !is_for_slices(request, ctx) {
        return None;
    }
    let cached = ctx.cached.as_ref()?;
    let terms = seen.head.terms(&cached.profile.rules, cached.profile.of).ok()?;
    let object = Object::of(seen)?;
    let size = cached.profile.slice.unwrap_or(REST);
    let host = host(ctx, vault)?;
    let of = Large { name: cached.key.clone(), host, size };
    (size <= vault.longest).then(|| Sliced::new(vault, of, (object, terms), Standing::Good))
}
