//! Asks another server who may pass. Whatever goes wrong, nobody passes.
//!
//! It is told what the servers behind are told: the target as it is sent on,
//! and the client as we know it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Granted;
use super::challenge::strip_passes;
use super::fields::{self, Fields};
use super::outbound::{self, Outbound, Unanswered};
use super::turns::{Bounds, Crowd, Turns};
use crate::client::Outgoing;
use crate::fault::Faults;
use crate::networks::ClientKey;
use crate::sanitise::{are_one_name, is_forwarding_name};
use crate::units::Period;

/// The largest body of an answer: a page that asks to sign in.
const LARGEST: usize = 64 * 1024;
/// Questions of one route: under way at the same time, those about one client
/// among them, and the same of those that wait.
const AT_ONCE: Bounds =
    Bounds { at_once: 256, of_client: 128, waiting: 1024, waiting_of_client: 256 };

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Fields of a request that are not for who judges it: they are about its body,
/// its connection, or would have the answer be another one than a verdict.
const NOT_ASKED: [HeaderName; 29] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::ACCEPT_ENCODING,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::PROXY_AUTHORIZATION,
    header::FORWARDED,
    HeaderName::from_static("proxy"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    // Names by which a client could speak of another request than its own.
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-request-id"),
];

/// Of an answer that refuses, what the client gets.
const TOLD: [HeaderName; 7] = [
    header::LOCATION,
    header::WWW_AUTHENTICATE,
    header::SET_COOKIE,
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_SECURITY_POLICY,
    header::RETRY_AFTER,
];

/// The key `access.forward`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The server to ask, and the path there.
    pub url: String,
    /// Fields of its answer that the server behind gets.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The longest wait for a whole answer.
    #[serde(default = "patience")]
    pub timeout: Period,
}

fn patience() -> Period {
    Period::from_secs(5)
}

/// Why a request is not let in.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// By the word of the server asked.
    #[error("the server says no")]
    Refused(Box<Verdict>),
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the server did not answer in time")]
    TooSlow,
    #[error("too many are to be asked about")]
    Busy,
    #[error("an answer that says neither yes nor no: {0}")]
    Unusable(String),
}

impl Fault {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Fault::Refused(_) => "forward_refused",
            Fault::Unreachable(_) => "forward_unreachable",
            Fault::TooSlow => "forward_too_slow",
            Fault::Busy => "forward_busy",
            Fault::Unusable(_) => "forward_answer",
        }
    }
}

impl From<Unanswered> for Fault {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Unreachable(why) => Fault::Unreachable(why),
            Unanswered::TooLarge => Fault::Unusable(why.to_string()),
        }
    }
}

/// The answer of the server asked, as the client gets it.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

/// What is asked about.
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    /// The target as the server behind gets it, before it is rewritten.
    pub(super) target: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// Who shares turns with it.
    pub(super) client: ClientKey,
    /// What servers are told of the client.
    pub(super) outgoing: Outgoing,
    /// What the client has proved by now.
    pub(super) granted: &'a Granted,
    pub(super) request_id: HeaderValue,
}

/// Lets in whom another server lets in.
#[derive(Debug)]
pub(super) struct Forward {
    url: Uri,
    copied: Vec<HeaderName>,
    /// Fields that tell what was verified before, if it was.
    verified: Vec<HeaderName>,
    patience: Duration,
    outbound: Outbound,
    turns: Turns,
}

impl Forward {
    pub(super) fn new(config: &Config, outbound: &Outbound) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let url = faults.collect("url", outbound.read_url(&config.url).map_err(Faults::one));
        let copied = faults.collect("headers", read_names(&config.headers));
        if config.timeout.0.is_zero() {
            faults.extend(Faults::at("timeout", "must be longer than 0"));
        }
        faults.into_result(|| {
            Some(Forward {
                url: url?,
                copied: copied?,
                verified: Vec::new(),
                patience: config.timeout.0,
                outbound: outbound.clone(),
                turns: Turns::new(AT_ONCE),
            })
        })
    }

    /// The same, where tokens fill fields of these names before it is asked.
    pub(super) fn behind<'a>(mut self, filled: impl Iterator<Item = &'a HeaderName>) -> Self {
        self.verified = filled.cloned().collect();
        self
    }

    /// What the server behind is told, if the other one lets the request in.
    pub(super) async fn check(&self, question: Question<'_>) -> Result<Fields, Fault> {
        let client = question.client;
        let request = self.request(question)?;
        let judged = timeout(self.patience, async {
            let _turn = self.turns.take(client).await.map_err(|Crowd| Fault::Busy)?;
            self.judge(request).await
        });
        judged.await.map_err(|_| Fault::TooSlow)?
    }

    /// The head of an answer says all but what a refusal looks like: nobody
    /// waits for the body of a yes.
    async fn judge(&self, request: Request<Empty<Bytes>>) -> Result<Fields, Fault> {
        let (head, body) = self.outbound.send(request).await?.into_parts();
        let status = head.status;
        if status.is_success() {
            return Ok(self.copy(&head.headers));
        }
        // 304 and 300 are about what was asked for, which is a verdict here.
        let is_verdict = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308 | 401 | 403);
        if !is_verdict {
            return Err(Fault::Unusable(format!("it answered {}", status.as_u16())));
        }
        let told = TOLD.iter().flat_map(|name| {
            let values = head.headers.get_all(name).iter();
            values.map(|value| (name.clone(), value.clone()))
        });
        let headers = told.collect();
        let body = outbound::read(body, LARGEST).await?;
        Err(Fault::Refused(Box::new(Verdict { status, headers, body })))
    }

    /// The names of fields that only the server asked may fill.
    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.copied.iter()
    }

    fn request(&self, question: Question<'_>) -> Result<Request<Empty<Bytes>>, Fault> {
        let unusable = |error: &dyn std::fmt::Display| Fault::Unusable(error.to_string());
        let mut request = Request::get(&self.url).body(Empty::new()).map_err(|e| unusable(&e))?;
        let target = HeaderValue::from_str(question.target).map_err(|error| unusable(&error))?;
        let method = HeaderValue::from_str(question.method.as_str()).map_err(|e| unusable(&e))?;
        let nominated = nominated(question.headers);
        let headers = request.headers_mut();
        for (name, value) in question.headers {
            let is_hidden = question.granted.hides_credentials && name == header::AUTHORIZATION;
            if self.is_asked(name) && !is_hidden && !nominated.contains(name.as_str()) {
                headers.append(name.clone(), value.clone());
            }
        }
        for (name, value) in &question.granted.fields {
            headers.append(name.clone(), value.clone());
        }
        strip_passes(headers);
        question.outgoing.write(headers);
        headers.insert(X_FORWARDED_METHOD, method);
        headers.insert(X_FORWARDED_URI, target);
        headers.insert("x-request-id", question.request_id);
        Ok(request)
    }

    /// Whether a field of the client's is shown to the server asked.
    fn is_asked(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        let is_one = |other: &HeaderName| are_one_name(name, other.as_str());
        let is_ours = || self.copied.iter().chain(&self.verified).any(is_one);
        !is_forwarding_name(name) && !NOT_ASKED.iter().any(is_one) && !is_ours()
    }

    fn copy(&self, answer: &HeaderMap) -> Fields {
        let copied = self.copied.iter().flat_map(|name| {
            let values = answer.get_all(name).iter();
            values.map(|value| (name.clone(), value.clone()))
        });
        copied.collect()
    }
}

/// Fields that the client says are of its connection (RFC 9110 §7.6.1): the
/// server behind does not get them either.
fn nominated(headers: &HeaderMap) -> BTreeSet<String> {
    let values = headers.get_all(header::CONNECTION).iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn read_names(names: &[String]) -> Result<Vec<HeaderName>, Faults> {
    let mut faults = Faults::none();
    let mut read: Vec<HeaderName> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let found = fields::read_name(name).map_err(Faults::one);
        if let Some(name) = faults.collect(index, found) {
            if read.contains(&name) {
                faults.extend(Faults::at(index, format!("`{name}` is there twice")));
            }
            read.push(name);
        }
    }
    faults.into_result(|| Some(read))
}
