//! What a request that changed something makes worthless of what is stored
//! (RFC 9111 §4.4, RFC 9875 §3).

use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use tidegate_store::{Manner, Target as Purged};

use crate::cache::{
    self, Place, Target, Vault, changes, invalidated, label_of_searches, worthless,
};
use crate::client::Client;
use crate::sanitise::{Head, Strict};
use crate::site::{Site, State};

use super::admit::read_head;
use super::context::Context;
use super::named::{scheme, space, target};

/// Forgets what the answer to a request makes worthless, before its client has
/// it: whoever asks after that gets what is new.
pub(super) async fn forget(
    request: &RequestHeader,
    response: &ResponseHeader,
    ctx: &Context,
    state: &State,
) {
    if changes(&request.method, response.status) && ctx.site.caches() {
        Box::pin(forget_changed(request, response, ctx, state)).await;
    }
}

async fn forget_changed(
    request: &RequestHeader,
    response: &ResponseHeader,
    ctx: &Context,
    state: &State,
) {
    let (Some(exchange), Some(client)) = (ctx.exchange.as_ref(), ctx.client.as_ref()) else {
        return;
    };
    let connection = &exchange.connection;
    let strict = ctx.site.strict(&connection.listener.name);
    let Ok(head) = read_head(request, strict) else { return };
    let mut fields = request.headers.clone();
    // A request of HTTP/2 names its host in the target alone.
    if let Ok(host) = HeaderValue::try_from(head.host_and_port()) {
        fields.insert(header::HOST, host);
    }
    let scheme = scheme(client, &request.headers, connection.channel());
    let change = Change { site: &ctx.site, strict, client, fields };
    let target = target(&head, request, strict, scheme);
    let found = change.find((&request.method, &target), response, state.vault);
    let Some(found) = found else { return };
    let vault = state.vault;
    // What is written down waits for a disk.
    let purged = tokio::task::spawn_blocking(move || found.purge(vault)).await;
    if let Err(error) = purged {
        ::log::error!("purging what a request changed: {error}");
    }
}

/// A request that changed something.
struct Change<'a> {
    site: &'a Site,
    strict: &'a Strict,
    client: &'a Client,
    /// Those of the request, with its host.
    fields: HeaderMap,
}

/// What is worthless since, as far as it is stored.
#[derive(Default)]
struct Worthless {
    subjects: Vec<Vec<u8>>,
    tags: Vec<u64>,
}

impl Change<'_> {
    fn find(
        &self,
        (method, target): (&Method, &Target<'_>),
        response: &ResponseHeader,
        vault: &'static Vault,
    ) -> Option<Worthless> {
        let (status, headers) = (response.status, &response.headers);
        let places = worthless(method, target, status, headers);
        let labels = invalidated(&target.origin(), method, status, headers);
        let tags = labels.into_iter().map(|label| label.0).collect();
        let subjects = places.iter().filter_map(|place| self.stored(place, target, vault));
        let found = Worthless { subjects: subjects.collect(), tags };
        (!found.subjects.is_empty() || !found.tags.is_empty()).then_some(found)
    }

    /// The subject of what is stored at a place of the same origin, if something may be.
    fn stored(&self, place: &str, origin: &Target<'_>, vault: &'static Vault) -> Option<Vec<u8>> {
        let uri: Uri = place.parse().ok()?;
        let (method, version) = (Method::GET, Version::HTTP_11);
        let head = Head::read(&method, &uri, version, &self.fields, self.strict).ok()?;
        let (route, _) = self.site.find(&head).ok()?;
        let profile = route.cache.as_ref()?;
        let target = Target { path: &head.path, query: head.query, ..*origin };
        let space = space(route, self.client, &self.fields);
        let key = profile.shape.key(&space, &target, &self.fields, &[]);
        let is_stored = vault.store.remove(&vault.store.key(&key), cache::now());
        // Others may have what this client's fields do not lead to, nor this query.
        let shape = &profile.shape;
        let has_others = !shape.headers.is_empty() || shape.device || vault.searches.is_used();
        (is_stored || has_others).then(|| Place::new(&target, &profile.shape).subject().to_vec())
    }
}

impl Worthless {
    fn purge(&self, vault: &Vault) {
        let subjects = self.subjects.iter().map(|subject| Purged::Subject(subject));
        let searches = self.subjects.iter().map(|subject| label_of_searches(subject));
        let tags = self.tags.iter().copied().chain(searches).map(Purged::Tag);
        let targets: Vec<Purged<'_>> = subjects.chain(tags).collect();
        if let Err(error) = vault.store.purge(&targets, Manner::Hard, cache::now()) {
            ::log::error!("a purge is not written down: {error}");
        }
    }
}
