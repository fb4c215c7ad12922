//! PURGE: what its URL names is forgotten, if its client may have that.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use pingora::http::RequestHeader;
use tidegate_store::{Manner, Target as Purged};

use crate::cache::{self, Place, label_of_searches};
use crate::client::Client;
use crate::respond::Answer;
use crate::sanitise::{Head, Strict};
use crate::site::{Route, Site, State};

use super::answer::Reply;
use super::context::Context;
use super::named;
use super::refuse::Refusal;

const METHOD: &str = "PURGE";
/// Where it is sent, what is stored is only stale from then on.
const SOFT: &str = "soft-purge";

/// Whether the request is one: on a route with a cache, no server sees it.
pub(super) fn is_one(route: &Route, head: &Head<'_>) -> bool {
    route.cache.is_some() && head.method.as_str() == METHOD
}

/// Purges all variants of what the URL names.
pub(super) async fn purge(
    route: &Route,
    head: &Head<'_>,
    request: &RequestHeader,
    strict: &Strict,
    ctx: &Context,
    state: &State,
) -> Result<Reply, Refusal> {
    let (Some(profile), Some(client)) = (&route.cache, &ctx.client) else {
        return Err(Refusal::Internal);
    };
    if !may(client, &ctx.site) {
        return Err(Refusal::NoPurge);
    }
    let channel = ctx.exchange().map(|exchange| exchange.connection.channel());
    let channel = channel.ok_or(Refusal::Internal)?;
    let scheme = named::scheme(client, &request.headers, channel);
    let target = named::target(head, request, strict, scheme);
    let place = Place::new(&target, &profile.shape);
    let manner = match request.headers.get(SOFT).map(HeaderValue::as_bytes) {
        None | Some(b"0") => Manner::Hard,
        Some(_) => Manner::Soft,
    };
    let vault = state.vault;
    // With disks it is written down, which waits for them.
    let purged = tokio::task::spawn_blocking(move || {
        let subject = place.subject();
        let targets = [Purged::Subject(subject), Purged::Tag(label_of_searches(subject))];
        vault.store.purge(&targets, manner, cache::now()).map(drop)
    });
    match purged.await {
        Ok(Ok(())) => Ok(Reply::Answer(told())),
        Ok(Err(error)) => {
            ::log::error!("a purge is not written down: {error}");
            Err(Refusal::Internal)
        }
        Err(_) => Err(Refusal::Internal),
    }
}

fn may(client: &Client, site: &Site) -> bool {
    site.config.cache.purge_from.iter().any(|network| network.contains(client.address))
}

fn told() -> Answer {
    let body = Bytes::from_static(b"purged\n");
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (CONTENT_LENGTH, HeaderValue::from(body.len())),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Answer { status: StatusCode::OK, headers, body }
}
