//! Large objects as the store has them: a head, and slices, each with a name of its own.
//!
//! A slice is fresh for as long as the head says: it belongs to the version that the head is of,
//! and is of no use to any other. So one validation is enough for all of them, and no two versions
//! are ever mixed, whatever a server does meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tidegate_store::{Body, Key, Labels, Start, Tier};

use super::meta::{Head, Kept, Place, Seen, Storable, seen};
use super::slices::{self, Cut};
use super::storage::{Vault, now};
use crate::ranges::Span;

/// What names begin with that no URI has.
const HOST: u8 = 0xfc;
const OBJECT: u8 = 0xfe;
const SLICE: u8 = 0xff;

/// A large object of which some slices may be stored.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub seen: Seen,
    pub total: u64,
    pub version: Vec<u8>,
}

impl Object {
    /// What is stored whole, if parts of it can be told from those of another version.
    pub(crate) fn of(seen: Seen) -> Option<Object> {
        let total = seen.head.length?;
        let version = slices::version(&seen.head.headers, total)?;
        Some(Object { seen, total, version })
    }
}

impl Vault {
    /// What stands for a host on a route.
    pub(crate) fn host_name(&self, route: &str, origin: &str) -> Key {
        self.store.key(&[&[HOST][..], route.as_bytes(), &[0], origin.as_bytes()].concat())
    }

    fn object_name(&self, whole: &Key) -> Key {
        self.store.key(&[&[OBJECT][..], whole.bytes()].concat())
    }

    /// The name of the slice that begins there, of an object cut at every `size`.
    pub(crate) fn slice_name(&self, whole: &Key, size: u64, first: u64) -> Key {
        let (size, first) = (size.to_be_bytes(), first.to_be_bytes());
        self.store.key(&[&[SLICE][..], &size, &first, whole.bytes()].concat())
    }

    /// What is known of a large object.
    pub(crate) async fn object(&self, whole: &Key) -> Option<Object> {
        let found = self.store.find(&self.object_name(whole), now()).await?;
        Object::of(seen(&found))
    }

    /// Notes the head of a large object, as one of its slices has told it.
    pub(crate) fn keep_object(&self, whole: &Key, slice: &Storable, total: u64) {
        let mut headers = slice.head.headers.clone();
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(total));
        self.keep(self.object_name(whole), (StatusCode::OK, headers), Bytes::new(), slice);
    }

    /// Keeps a slice that came with the others, in one answer that is told of in `of`.
    pub(crate) fn keep_slice(&self, whole: &Key, cut: Cut, bytes: (Span, Bytes), of: &Storable) {
        let (span, bytes) = bytes;
        let mut headers = of.head.headers.clone();
        let Ok(range) = HeaderValue::try_from(span.content_range(cut.total)) else { return };
        headers.insert(CONTENT_RANGE, range);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(span.length));
        let name = self.slice_name(whole, cut.size, span.first);
        self.keep(name, (StatusCode::PARTIAL_CONTENT, headers), bytes, of);
    }

    /// Keeps what an answer has told, under a name of its own.
    fn keep(&self, key: Key, head: (StatusCode, HeaderMap), body: Bytes, of: &Storable) {
        let (told, (status, headers)) = (&of.head, head);
        let head = Arc::new(Head::new(status, headers, told.received, told.born));
        let place = Place { variant: None, created: told.received, provenance: told.received };
        let start = Start {
            key,
            keep_until: of.keep_until,
            meta: Kept { head, place },
            labels: Labels::clone(&of.labels),
            length: Some(body.len() as u64),
        };
        let (mut fill, _) = self.store.begin(start, of.began);
        let filled = if body.is_empty() { Ok(()) } else { fill.push(body) };
        // Without it the next request asks once more.
        if let Err(error) = filled.and_then(|()| fill.finish(None)) {
            ::log::debug!("a part of a large object is not kept: {error}");
        }
    }

    /// Forgets a large object, whose slices are of no use then.
    pub(crate) fn forget_object(&self, whole: &Key) {
        self.store.remove(&self.object_name(whole), now());
    }

    /// The bytes of a slice of that version, there or on their way.
    pub(crate) async fn slice(
        &self,
        name: &Key,
        whole: Span,
        object: &Object,
    ) -> Option<(Body, Tier)> {
        let found = self.store.find(name, now()).await?;
        is_of(&found.meta.head, whole, object).then_some((found.body, found.tier))
    }
}

/// Whether a stored slice is those bytes of that version.
fn is_of(head: &Head, whole: Span, object: &Object) -> bool {
    let Some((span, total)) = slices::brought(&head.headers) else { return false };
    span == whole
        && total == object.total
        && slices::version(&head.headers, total).as_ref() == Some(&object.version)
}
