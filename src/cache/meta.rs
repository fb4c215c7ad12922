//! What the store keeps beside a body, and what pingora is told of it.
//!
//! Pingora copies the head that it is told twice for each hit, so it gets one
//! of three fields; the true one is shared, and copied once, for its client.

use std::mem::size_of;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use pingora::cache::CacheMeta;
use pingora::http::ResponseHeader;
use tidegate_store::{Found, Labels, Meta, Moment, Tier, Version};

use super::policy::conditional::Stored;
use super::policy::rules::Rules;
use super::policy::storable::Unstored;
use super::policy::terms::{Answer, Terms, judge_stored};
use super::slices::Told;
use crate::values::announced;

/// Another layout of what is written needs another number; what has an unknown
/// one is a miss.
const VERSION: u8 = 1;
/// Fields that a client's copy of a head gets besides: a map has room for them.
const FIELDS_TO_COME: usize = 6;
/// What a field costs in a map, besides its bytes.
const FIELD: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 16;

/// The head of a response, less what no store may keep.
#[derive(Debug)]
pub(crate) struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// When it came.
    pub received: Moment,
    /// When its age was zero.
    pub born: Moment,
    /// The length of the body, if it is said.
    pub length: Option<u64>,
    // By the rules that asked last; others judge it anew.
    judged: ArcSwapOption<Judged>,
}

#[derive(Debug)]
struct Judged {
    rules: u64,
    terms: Result<Arc<Terms>, Unstored>,
}

impl Head {
    pub(crate) fn new(
        status: StatusCode,
        mut headers: HeaderMap,
        received: Moment,
        born: Moment,
    ) -> Self {
        // Each client's copy gets a few fields more, and has the room that this one has.
        headers.reserve(FIELDS_TO_COME);
        let length = announced(&headers);
        Head { status, headers, received, born, length, judged: ArcSwapOption::empty() }
    }

    /// What it may be used for by these rules; `of` tells rules apart.
    pub(crate) fn terms(&self, rules: &Rules, of: u64) -> Result<Arc<Terms>, Unstored> {
        if let Some(judged) = &*self.judged.load()
            && judged.rules == of
        {
            return judged.terms.clone();
        }
        let answer = Answer {
            status: self.status,
            headers: &self.headers,
            asked: self.born,
            received: self.received,
        };
        let terms = judge_stored(answer, rules).map(Arc::new);
        self.judged.store(Some(Arc::new(Judged { rules: of, terms: terms.clone() })));
        terms
    }

    /// Notes what these rules have said of it.
    pub(crate) fn note(&self, of: u64, terms: Terms) {
        let terms = Ok(Arc::new(terms));
        self.judged.store(Some(Arc::new(Judged { rules: of, terms })));
    }

    /// What conditions of requests are held against.
    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored { status: self.status, headers: &self.headers, received: self.received }
    }

    /// The same with the length of the body, where it was not announced.
    fn with_length(&self, length: u64) -> Self {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Head::new(self.status, headers, self.received, self.born)
    }
}

/// Where pingora has a response: among the variants of its URI, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub variant: Option<[u8; 16]>,
    pub created: Moment,
    /// Since when the variants beside it are good.
    pub provenance: Moment,
}

impl Place {
    pub(super) fn of(meta: &CacheMeta) -> Self {
        Place {
            variant: meta.variance(),
            created: moment(meta.created()),
            provenance: moment(meta.provenance()),
        }
    }
}

/// What the store keeps beside a body.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub head: Arc<Head>,
    pub(super) place: Place,
}

impl Kept {
    /// Which variant of its URI it is, where there are several.
    pub(crate) fn variant(&self) -> Option<[u8; 16]> {
        self.place.variant
    }

    /// The length of the body, if it is said.
    pub(super) fn length(&self) -> Option<u64> {
        self.head.length
    }

    /// The same with the length of its body; none if it has that.
    pub(super) fn with_length(&self, length: u64) -> Option<Self> {
        // A 204 has no body, and says nothing of one (RFC 9110 §8.6).
        let is_known = self.head.headers.contains_key(CONTENT_LENGTH)
            || self.head.status == StatusCode::NO_CONTENT;
        (!is_known).then(|| Kept { head: Arc::new(self.head.with_length(length)), ..self.clone() })
    }
}

impl Meta for Kept {
    fn encode(&self, to: &mut Vec<u8>) {
        let Head { status, headers, received, born, .. } = &*self.head;
        to.push(VERSION);
        to.extend_from_slice(&status.as_u16().to_le_bytes());
        let Place { variant, created, provenance } = self.place;
        for moment in [*received, *born, created, provenance] {
            to.extend_from_slice(&moment.millis().to_le_bytes());
        }
        match variant {
            None => to.push(0),
            Some(variant) => {
                to.push(1);
                to.extend_from_slice(&variant);
            }
        }
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
                to.extend_from_slice(&length.to_le_bytes());
                to.extend_from_slice(part);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        (rest.array()? == [VERSION]).then_some(())?;
        let status = StatusCode::from_u16(u16::from_le_bytes(rest.array()?)).ok()?;
        let mut moment = || Some(Moment::from_millis(u64::from_le_bytes(rest.array()?)));
        let (received, born) = (moment()?, moment()?);
        let (created, provenance) = (moment()?, moment()?);
        let variant = match rest.array()? {
            [0] => None,
            [1] => Some(rest.array()?),
            _ => return None,
        };
        let mut headers = HeaderMap::new();
        while !rest.0.is_empty() {
            let name = HeaderName::from_bytes(rest.framed()?).ok()?;
            let value = HeaderValue::from_bytes(rest.framed()?).ok()?;
            headers.try_append(name, value).ok()?;
        }
        let head = Arc::new(Head::new(status, headers, received, born));
        Some(Kept { head, place: Place { variant, created, provenance } })
    }

    fn weight(&self) -> usize {
        let fields = self.head.headers.iter();
        let bytes: usize =
            fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum();
        let room = FIELDS_TO_COME * FIELD;
        size_of::<Self>() + size_of::<Head>() + size_of::<Terms>() + bytes + room
    }
}

/// What is not read yet of what was written.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn framed(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).ok()?)
    }
}

/// What a look-up found, for who decides about it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub head: Arc<Head>,
    /// For who finds it valid.
    pub version: Version,
    /// Since when a purge has it be stale.
    pub stale_since: Option<Moment>,
    pub tier: Tier,
}

/// What is to be stored, for the storage.
#[derive(Debug, Clone)]
pub(crate) struct Storable {
    pub head: Arc<Head>,
    pub labels: Arc<Labels>,
    pub keep_until: Moment,
    /// What the store said before the server was asked.
    pub began: Moment,
    /// What was validated, where something was.
    pub of: Option<Version>,
    /// Who waits until it is on its way.
    pub told: Option<Told>,
}

/// What pingora is told of a found response. It has a place of its own only
/// where it is a variant: the one that the others are found by counts from
/// where they all come.
pub(super) fn found(found: &Found<Kept>, is_variant: bool) -> CacheMeta {
    let Kept { head, place } = &*found.meta;
    let since = if is_variant { place.created } else { place.provenance };
    let mut meta = told(head, since);
    if let Some(variant) = place.variant {
        meta.set_variance(variant);
    }
    meta.extensions_mut().insert(seen(found));
    meta
}

/// What is seen of a found response.
pub(crate) fn seen(found: &Found<Kept>) -> Seen {
    Seen {
        head: found.meta.head.clone(),
        version: found.version(),
        stale_since: found.stale_since,
        tier: found.tier,
    }
}

/// What pingora is told of a response that is to be stored.
pub(crate) fn storable(storable: Storable, now: Moment) -> CacheMeta {
    let mut meta = told(&storable.head, now);
    meta.extensions_mut().insert(storable);
    meta
}

/// What stands for a meta that nobody looks at.
pub(super) fn nothing() -> CacheMeta {
    let at = SystemTime::UNIX_EPOCH;
    CacheMeta::new(at, at, 0, 0, Response::new(()).into_parts().0.into())
}

/// Pingora is told that anything may be served at any time: it asks before each
/// use, and the terms answer.
fn told(head: &Head, created: Moment) -> CacheMeta {
    let created = SystemTime::UNIX_EPOCH + Duration::from_millis(created.millis());
    CacheMeta::new(created, created, u32::MAX, u32::MAX, outline(head))
}

/// As much of a head as pingora looks at.
fn outline(head: &Head) -> ResponseHeader {
    let mut parts: Parts = Response::new(()).into_parts().0;
    parts.status = head.status;
    for name in [CONTENT_LENGTH, CONTENT_TYPE] {
        if let Some(value) = head.headers.get(&name) {
            parts.headers.insert(name, value.clone());
        }
    }
    parts.into()
}

fn moment(time: SystemTime) -> Moment {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(variant: Option<[u8; 16]>, fields: &[(&'static str, &'static str)]) -> Kept {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = fields.iter().map(field).collect();
        let at = Moment::from_millis;
        let head = Arc::new(Head::new(StatusCode::NOT_FOUND, headers, at(5), at(3)));
        Kept { head, place: Place { variant, created: at(4), provenance: at(2) } }
    }

    fn written(kept: &Kept) -> Vec<u8> {
        let mut bytes = Vec::new();
        kept.encode(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_reads_back() {
        let fields = [("x-a", "1"), ("set-cookie", "a=1"), ("etag", "\"x\""), ("x-empty", "")];
        for variant in [None, Some(*b"0123456789abcdef")] {
            let one = kept(variant, &fields);
            let other = Kept::decode(&written(&one)).expect("it reads");
            assert_eq!(other.place, one.place);
            assert_eq!(other.head.headers, one.head.headers);
            assert_eq!(other.head.status, StatusCode::NOT_FOUND);
            assert_eq!((other.head.received, other.head.born), (one.head.received, one.head.born));
        }
    }

    #[test]
    fn what_is_cut_or_of_another_version_does_not_read() {
        let bytes = written(&kept(Some([7; 16]), &[("x-a", "1")]));
        // Whole fields may be missing: there is no telling.
        let least = bytes.len() - "x-a".len() - "1".len() - 8;
        for end in (0..bytes.len()).filter(|end| *end != least) {
            assert!(Kept::decode(&bytes[..end]).is_none(), "{end}");
        }
        let mut other = bytes;
        other[0] = VERSION + 1;
        assert!(Kept::decode(&other).is_none());
    }

    #[test]
    fn a_body_that_came_without_a_length_gets_one() {
        let known = kept(None, &[("content-length", "3")]);
        assert!(known.with_length(3).is_none());
        let told = kept(None, &[("x-a", "1")]).with_length(3).expect("another");
        assert_eq!(told.head.headers[CONTENT_LENGTH], "3");
    }

    #[test]
    fn other_rules_judge_anew() {
        let head = kept(None, &[("date", "Thu, 01 Jan 1970 00:00:00 GMT")]).head;
        let ttl = |seconds| Rules {
            statuses: [(404, Duration::from_secs(seconds))].into(),
            ..Rules::default()
        };
        let ttl_of = |rules: &Rules, of| {
            head.terms(rules, of).map(|terms| terms.ttl(Moment::from_millis(3)))
        };
        assert_eq!(ttl_of(&ttl(60), 1), Ok(60));
        assert_eq!(ttl_of(&ttl(90), 1), Ok(60), "the same rules are not asked again");
        assert_eq!(ttl_of(&ttl(90), 2), Ok(90));
        assert_eq!(ttl_of(&Rules::default(), 3), Err(Unstored::Useless));
    }
}
