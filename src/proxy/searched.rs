//! By what a request is named, where its server has said what of a query does not count
//! (No-Vary-Search).

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tidegate_store::Key;

use crate::cache::{NamedBy, Profile, Search, Target, Vault};
use crate::site::State;

use super::admit::read_head;
use super::context::Context;
use super::named;

/// What a request is named by instead of its URI, if something was said of its path.
pub(super) fn name(
    profile: &Profile,
    space: &str,
    target: &Target<'_>,
    request: &HeaderMap,
    vault: &Vault,
) -> Option<(Key, Arc<Search>)> {
    if !vault.searches.is_used() {
        return None;
    }
    let path = path(profile, space, target, request, vault);
    let query = profile.shape.query.kept(target.query, &[]);
    let (search, named) = vault.searches.find(&path, query.as_deref())?;
    let key = match named {
        NamedBy::First(key) => key,
        NamedBy::Bytes(bytes) => vault.store.key(&bytes),
    };
    Some((key, search))
}

/// The name of a path without its query.
fn path(
    profile: &Profile,
    space: &str,
    target: &Target<'_>,
    request: &HeaderMap,
    vault: &Vault,
) -> Key {
    let target = Target { query: None, ..*target };
    vault.store.key(&profile.shape.key(space, &target, request, &[]))
}

/// Remembers what an answer says of its path; false if it was asked for by a name that it has no
/// right to.
pub(super) fn heed(
    session: &Session,
    response: &ResponseHeader,
    ctx: &Context,
    state: &State,
) -> bool {
    let Some(cached) = &ctx.cached else { return true };
    let said = Search::read(&response.headers);
    let named_by = cached.search.as_deref();
    if said.as_ref() == named_by {
        return true;
    }
    // What errors do not say is said of the path still.
    if response.status == StatusCode::OK {
        learn(session.req_header(), said, ctx, state.vault);
    }
    named_by.is_none()
}

fn learn(request: &RequestHeader, said: Option<Search>, ctx: &Context, vault: &Vault) {
    let Some(cached) = &ctx.cached else { return };
    with_target(request, ctx, |target, space| {
        let (profile, headers) = (&cached.profile, &request.headers);
        let path = path(profile, space, target, headers, vault);
        let Some(said) = said else { return vault.searches.forget(&path) };
        let query = profile.shape.query.kept(target.query, &[]);
        let own = Some(&cached.key).filter(|_| cached.search.is_none());
        vault.searches.note(&path, said, query.as_deref(), own);
    });
}

/// Lends what a request is for, and what tells it apart besides.
pub(super) fn with_target<T>(
    request: &RequestHeader,
    ctx: &Context,
    look: impl FnOnce(&Target<'_>, &str) -> T,
) -> Option<T> {
    let (route, client, exchange) = (ctx.route.as_ref()?, ctx.client.as_ref()?, ctx.exchange()?);
    let strict = ctx.site.strict(&exchange.connection.listener.name);
    let head = read_head(request, strict).ok()?;
    let scheme = named::scheme(client, &request.headers, exchange.connection.channel());
    let target = named::target(&head, request, strict, scheme);
    Some(look(&target, &named::space(route, client, &request.headers)))
}
