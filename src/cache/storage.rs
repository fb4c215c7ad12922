//! The store as pingora asks it.
//!
//! Pingora keeps the variants of a URI apart: one is found by the URI alone and
//! tells by what the others differ. What is purged the store knows.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::lock::CacheLock;
use pingora::cache::storage::streaming_write::U64WriteId;
use pingora::cache::storage::{HandleHit, HandleMiss, MissFinishType};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{
    CacheKey, CacheMeta, HitHandler, MissHandler, NoCacheReason, PurgeOutcome, PurgeTarget,
    PurgeType, Storage,
};
use pingora::{Error, ErrorType, OrErr, Result};
use tidegate_store::{Body, Fill, Found, Key, Labels, Moment, Start, Store, Validated};

use super::meta::{self, Head, Kept, Place, Storable};
use super::news::News;
use super::passes::Passes;
use super::searches::Searches;
use super::slices::Progress;

/// A server that takes longer to begin its answer is no longer waited for by
/// others than who asked it: one of them asks again. Longer than playlists that
/// block until they have news take.
pub(crate) const LOCK_AGE: Duration = Duration::from_secs(35);

/// The store, and what requests for the same share while one of them asks.
pub(crate) struct Vault {
    pub(crate) store: Store<Kept>,
    pub(crate) lock: CacheLock,
    pub(crate) passes: Passes,
    pub(crate) searches: Searches,
    pub(crate) news: News,
    /// A longer body is not kept.
    pub(crate) longest: u64,
    // Bytes of bodies that are on their way, and how many there may be. A fill
    // that memory has no room for goes by, and does not wait for its readers:
    // rather nothing is kept of an answer than that a slow client loses it.
    coming: AtomicU64,
    most_coming: u64,
    has_disks: bool,
    // The first readers of fills, until they are asked for.
    readers: Mutex<HashMap<u64, Body>>,
}

impl Vault {
    /// `longest` is that of a body, `memory` all that there is.
    pub(crate) fn new(store: Store<Kept>, longest: u64, memory: u64) -> Self {
        Vault {
            lock: CacheLock::new(LOCK_AGE),
            passes: Passes::default(),
            searches: Searches::new(now()),
            news: News::default(),
            longest,
            coming: AtomicU64::new(0),
            most_coming: memory / 2,
            has_disks: !store.figures().disks.is_empty(),
            store,
            readers: Mutex::default(),
        }
    }

    /// The moment at which a server is asked, before it is.
    pub(crate) fn begin(&self) -> Moment {
        self.store.stamp(now())
    }

    pub(crate) fn has_disks(&self) -> bool {
        self.has_disks
    }

    /// What is stored under `key`.
    pub(crate) async fn look_up(&self, key: &Key, now: Moment) -> Looked {
        self.store.find(key, now).await
    }

    /// What pingora is to find a response under that the store has under `key`.
    /// Where that has been looked up before, it is not when pingora asks.
    pub(crate) fn key(key: Key, before: Option<Looked>) -> CacheKey {
        // All that is hashed of it is this.
        let mut found = CacheKey::new(Vec::new(), String::new());
        found.set_primary_bin_override(key.hash().to_be_bytes());
        found.extensions.insert(key);
        if let Some(looked) = before {
            found.extensions.insert(Before(Arc::new(Mutex::new(Some(looked)))));
        }
        found
    }

    /// Gives what is stored, and was found good still, another head; nothing
    /// happens if it has gone.
    pub(crate) async fn refresh(&'static self, validated: Validated<Arc<Head>>) -> bool {
        let Validated { key, of, began, keep_until, meta: head, labels } = validated;
        let Some(found) = self.store.find(&key, now()).await else { return false };
        let meta = Kept { head, place: found.meta.place };
        self.store.replace_meta(Validated { key, of, began, keep_until, meta, labels }).await
    }

    /// The name in the store, of a variant where pingora looks for one.
    pub(crate) fn named(&self, key: &CacheKey) -> Result<Key> {
        let Some(primary) = key.extensions.get::<Key>() else {
            return Error::e_explain(ErrorType::InternalError, "a key that is not ours");
        };
        Ok(match key.get_variance_key() {
            None => primary.clone(),
            Some(variant) => self.variant(primary, variant),
        })
    }

    /// The name of a variant; no URI has a name that begins so.
    fn variant(&self, primary: &Key, variant: &HashBinary) -> Key {
        self.store.key(&[&[0][..], variant, primary.bytes()].concat())
    }

    /// Room for so many bytes that are on their way; none if too many are.
    pub(crate) fn room(&'static self, bytes: u64) -> Option<Room> {
        let before = self.coming.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { vault: self, bytes };
        (before.saturating_add(bytes) <= self.most_coming).then_some(room)
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<u64, Body>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for bytes that are on their way, until it is dropped.
#[must_use]
pub(crate) struct Room {
    vault: &'static Vault,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.vault.coming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What was found, if anything was.
pub(crate) type Looked = Option<Found<Kept>>;

/// What was found before pingora asks; it is for its first look-up.
#[derive(Clone)]
struct Before(Arc<Mutex<Option<Looked>>>);

fn before(key: &CacheKey) -> Option<Looked> {
    if key.get_variance_key().is_some() {
        return None;
    }
    let Before(looked) = key.extensions.get()?;
    looked.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The time, as the store counts it.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[async_trait]
impl Storage for Vault {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let found = match before(key) {
            Some(looked) => looked,
            None => self.look_up(&self.named(key)?, now()).await,
        };
        let Some(found) = found else { return Ok(None) };
        let meta = meta::found(&found, key.get_variance_key().is_some());
        Ok(Some((meta, Box::new(Hit(found.body)))))
    }

    async fn lookup_streaming_write(
        &'static self,
        key: &CacheKey,
        tag: Option<&[u8]>,
        trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let tag = tag.and_then(|tag| U64WriteId::try_from(tag).ok()).map(u64::from);
        let Some(tag) = tag else { return self.lookup(key, trace).await };
        let reader = self.readers().remove(&tag).map(Hit);
        // The meta is passed over: who fills has it.
        Ok(reader.map(|reader| (meta::nothing(), Box::new(reader) as HitHandler)))
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<MissHandler> {
        let Some(storable) = meta.extensions().get::<Storable>() else {
            return Error::e_explain(ErrorType::InternalError, "a response that nobody judged");
        };
        let kept = Kept { head: storable.head.clone(), place: Place::of(meta) };
        let length = kept.length();
        let Some(room) = self.room(length.unwrap_or(0)) else {
            return Error::e_explain(ErrorType::InternalError, "too many bodies are on their way");
        };
        let start = Start {
            key: self.named(key)?,
            keep_until: storable.keep_until,
            meta: kept.clone(),
            labels: Labels::clone(&storable.labels),
            length,
        };
        let (fill, reader) = self.store.begin(start, storable.began);
        if let Some(told) = &storable.told {
            told.send_replace(Progress::Here);
        }
        let tag = fill.id().bits();
        self.readers().insert(tag, reader);
        Ok(Box::new(Miss {
            fill: Some(fill),
            kept,
            tag,
            id: tag.into(),
            length: 0,
            _room: room,
            hash: u128::from_be_bytes(key.primary_bin()),
            vault: self,
        }))
    }

    async fn purge(
        &'static self,
        _: PurgeTarget<'_>,
        _: PurgeType,
        _: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        // Pingora has no eviction here, and purges are the store's: a hash names nothing.
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<bool> {
        let storable = meta.extensions().get::<Storable>();
        let Some((storable, of)) = storable.and_then(|it| Some((it, it.of?))) else {
            return Ok(false);
        };
        let validated = Validated {
            key: self.named(key)?,
            of,
            began: storable.began,
            keep_until: storable.keep_until,
            meta: Kept { head: storable.head.clone(), place: Place::of(meta) },
            labels: Labels::clone(&storable.labels),
        };
        Ok(self.store.replace_meta(validated).await)
    }

    /// Who asks for what is being fetched reads along.
    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// A body that is read.
struct Hit(Body);

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        // One that breaks off must not look like one that ends.
        self.0.next().await.or_err(ErrorType::InternalError, "reading a stored body")
    }

    async fn finish(
        self: Box<Self>,
        _: &'static (dyn Storage + Sync),
        _: &CacheKey,
        _: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let end = end.map(|end| end as u64);
        self.0.seek(start as u64, end).or_err(ErrorType::InternalError, "seeking in a stored body")
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// A body that is filled; dropped, it has failed.
struct Miss {
    // None once it is finished.
    fill: Option<Fill<Kept>>,
    kept: Kept,
    tag: u64,
    id: U64WriteId,
    length: u64,
    // For the bytes that were announced.
    _room: Room,
    hash: u128,
    vault: &'static Vault,
}

#[async_trait]
impl HandleMiss for Miss {
    async fn write_body(&mut self, data: Bytes, _: bool) -> Result<()> {
        let Some(fill) = &mut self.fill else {
            return Error::e_explain(ErrorType::InternalError, "a body after its end");
        };
        self.length += data.len() as u64;
        fill.push(data).or_err(ErrorType::InternalError, "filling a body")
    }

    async fn finish(mut self: Box<Self>) -> Result<MissFinishType> {
        let Some(fill) = self.fill.take() else {
            return Error::e_explain(ErrorType::InternalError, "a body that has ended ends");
        };
        let meta = self.kept.with_length(self.length);
        let stored = fill.finish(meta).or_err(ErrorType::InternalError, "the end of a body")?;
        Ok(MissFinishType::Created(usize::try_from(stored.length).unwrap_or(usize::MAX)))
    }

    fn streaming_write_tag(&self) -> Option<&[u8]> {
        Some(self.id.as_bytes())
    }
}

impl Drop for Miss {
    fn drop(&mut self) {
        self.vault.readers().remove(&self.tag);
        if self.length > self.vault.longest {
            // Nobody knew before. The next request for it goes past the cache.
            self.vault.passes.note(self.hash, NoCacheReason::ResponseTooLarge);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use pingora::cache::trace::Span;

    use super::*;
    use crate::cache::{StoredHead, storable};

    fn told(length: Option<u64>) -> CacheMeta {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            let name = HeaderName::from_static("content-length");
            headers.insert(name, HeaderValue::from(length));
        }
        let at = now();
        let head = Arc::new(StoredHead::new(StatusCode::OK, headers, at, at));
        let keep_until = at.after(Duration::from_secs(60));
        let labels = Arc::default();
        let began = now();
        storable(Storable { head, labels, keep_until, began, of: None, told: None }, at)
    }

    async fn begin(vault: &'static Vault, name: &str, length: Option<u64>) -> Result<MissHandler> {
        let key = Vault::key(vault.store.key(name.as_bytes()), None);
        vault.get_miss_handler(&key, &told(length), &Span::inactive().handle()).await
    }

    async fn found(vault: &'static Vault, name: &str) -> Option<(CacheMeta, HitHandler)> {
        let key = Vault::key(vault.store.key(name.as_bytes()), None);
        vault.lookup(&key, &Span::inactive().handle()).await.expect("no fault")
    }

    #[tokio::test]
    async fn a_fill_that_is_dropped_is_an_error_to_who_reads_along() {
        let vault = Vault::small();
        let mut fill = begin(vault, "a", None).await.expect("begun");
        fill.write_body(Bytes::from_static(b"half"), false).await.expect("written");
        let (_, mut reader) = found(vault, "a").await.expect("it is on its way");
        assert_eq!(reader.read_body().await.expect("there"), Some(Bytes::from_static(b"half")));
        drop(fill);
        reader.read_body().await.expect_err("it is no end");
        assert!(found(vault, "a").await.is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_shorter_than_was_said_is_not_kept() {
        let vault = Vault::small();
        let mut fill = begin(vault, "a", Some(5)).await.expect("begun");
        fill.write_body(Bytes::from_static(b"half"), false).await.expect("written");
        assert!(fill.finish().await.is_err());
        assert!(found(vault, "a").await.is_none());
    }

    #[tokio::test]
    async fn the_first_reader_is_that_of_its_own_fill() {
        let vault = Vault::small();
        let key = Vault::key(vault.store.key(b"a"), None);
        let mut fills = Vec::new();
        for body in [&b"one"[..], b"two"] {
            let mut fill = begin(vault, "a", None).await.expect("begun");
            fill.write_body(Bytes::from_static(body), false).await.expect("written");
            fills.push(fill);
        }
        for (fill, body) in fills.iter().zip([&b"one"[..], b"two"]) {
            let tag = fill.streaming_write_tag();
            let span = Span::inactive().handle();
            let read = vault.lookup_streaming_write(&key, tag, &span).await.expect("no fault");
            let (_, mut reader) = read.expect("a reader");
            assert_eq!(reader.read_body().await.expect("there").as_deref(), Some(body));
        }
        drop(fills);
        assert!(vault.readers().is_empty());
        assert_eq!(vault.coming.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn no_more_bodies_are_begun_than_there_is_room_for() {
        let vault = Vault::small();
        let begun = begin(vault, "a", Some(vault.most_coming)).await.expect("room");
        assert!(begin(vault, "b", Some(1)).await.is_err());
        drop(begun);
        begin(vault, "b", Some(1)).await.expect("room again");
    }

    #[tokio::test]
    async fn variants_are_objects_of_their_own_and_one_is_found_first() {
        let vault = Vault::small();
        let mut key = Vault::key(vault.store.key(b"a"), None);
        let primary = vault.named(&key).expect("ours");
        key.set_variance_key([7; 16]);
        let variant = vault.named(&key).expect("ours");
        assert_ne!(primary, variant);
        let mut meta = told(None);
        meta.set_variance_key([7; 16]);
        let span = Span::inactive().handle();
        vault
            .get_miss_handler(&key, &meta, &span)
            .await
            .expect("begun")
            .finish()
            .await
            .expect("kept");
        assert!(found(vault, "a").await.is_none());
        let (meta, _) = vault.lookup(&key, &span).await.expect("no fault").expect("found");
        assert_eq!(meta.variance(), Some([7; 16]));
    }
}
