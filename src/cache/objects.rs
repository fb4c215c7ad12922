//! Large objects as the store has them: a head, and slices, each with a name of its own.
//!
//! A slice is fresh for as long as the head says: it belongs to the version that the head is of,
//! and is of no use to any other. So one validation is enough for all of them, and no two versions
//! are ever mixed, whatever a server does meanwhile.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderValue, StatusCode};
use tidegate_store::{Body, Key, Labels, Start, Tier};

use super::meta::{Head, Kept, Place, Seen, Storable, seen};
use super::slices;
use super::storage::{Vault, now};
use crate::ranges::Span;

/// What names begin with that no URI has.
const OBJECT: u8 = 0xfe;
const SLICE: u8 = 0xff;

/// A large object of which some slices may be stored.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub seen: Seen,
    pub total: u64,
    pub version: Vec<u8>,
}

impl Vault {
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
        let total = found.meta.length()?;
        let version = slices::version(&found.meta.head.headers, total)?;
        Some(Object { seen: seen(&found), total, version })
    }

    /// Notes the head of a large object, as one of its slices has told it.
    pub(crate) fn keep_object(&self, whole: &Key, slice: &Storable, total: u64) {
        let told = &slice.head;
        let mut headers = told.headers.clone();
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(total));
        let head = Arc::new(Head::new(StatusCode::OK, headers, told.received, told.born));
        let place = Place { variant: None, created: told.received, provenance: told.received };
        let start = Start {
            key: self.object_name(whole),
            keep_until: slice.keep_until,
            meta: Kept { head, place },
            labels: Labels::clone(&slice.labels),
            length: Some(0),
        };
        let (fill, _) = self.store.begin(start, slice.began);
        // Without it the next request asks once more.
        if let Err(error) = fill.finish(None) {
            ::log::debug!("the head of a large object is not kept: {error}");
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
