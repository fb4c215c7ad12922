//! Who proves to be whom: by a password, a token, or the word of another server.

use http::{HeaderName, header};

use super::basic::Basic;
use super::forward::{Forward, Question};
use super::jwt::Jwt;
use super::{Asked, Config, Denied, Granted, Sources};
use crate::fault::Faults;

/// What a route wants to see. Invariant: at least one of them.
#[derive(Debug)]
pub(super) struct Credentials {
    basic: Option<Basic>,
    jwt: Option<Jwt>,
    forward: Option<Forward>,
}

impl Credentials {
    /// None where nothing is to be shown.
    pub(super) fn new(config: &Config, sources: &Sources) -> Result<Option<Self>, Faults> {
        let Config { basic, jwt, forward, .. } = config;
        if basic.is_none() && jwt.is_none() && forward.is_none() {
            return Ok(None);
        }
        let mut faults = Faults::none();
        if basic.is_some() && jwt.is_some() {
            let what = "a request has one Authorization, and `basic` wants a password there";
            faults.extend(Faults::at("jwt", what));
        }
        let Sources { users, key_files, verifiers, .. } = sources;
        let basic = basic
            .as_ref()
            .map(|basic| faults.collect("basic", Basic::new(basic, users, &verifiers.passwords)));
        let jwt =
            jwt.as_ref().map(|jwt| faults.collect("jwt", Jwt::new(jwt, key_files, verifiers)));
        let forward = forward
            .as_ref()
            .map(|forward| faults.collect("forward", Forward::new(forward, &verifiers.outbound)));
        // It is told what tokens say, and not what clients say in its place.
        let forward = forward.map(|built| {
            built.map(|forward| forward.behind(jwt.iter().flatten().flat_map(Jwt::names)))
        });
        if let (Some(Some(jwt)), Some(Some(forward))) = (&jwt, &forward)
            && let Some(name) = forward.names().find(|name| jwt.names().any(|own| own == *name))
        {
            let what = format!("`{name}` is filled by jwt already");
            faults.extend(Faults::at("headers", what).under("forward"));
        }
        faults.into_result(|| {
            Some(Some(Credentials {
                basic: basic.map_or(Some(None), |built| built.map(Some))?,
                jwt: jwt.map_or(Some(None), |built| built.map(Some))?,
                forward: forward.map_or(Some(None), |built| built.map(Some))?,
            }))
        })
    }

    /// Whether everything that is wanted was shown.
    pub(super) async fn check(&self, asked: &Asked<'_>) -> Result<Granted, Denied> {
        let headers = asked.head.headers;
        // One of two servers would read the first, the other the last.
        if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Denied::TwoCredentials);
        }
        let mut granted = Granted::default();
        if let Some(basic) = &self.basic {
            let user = basic.check(asked.client.network, headers).await;
            granted.user =
                Some(user.map_err(|fault| Denied::Basic(fault, basic.challenge()))?.into());
            granted.hides_credentials = !basic.passes();
        }
        if let Some(jwt) = &self.jwt {
            let verified = jwt.check(headers).await.map_err(Denied::Jwt)?;
            granted.user = verified.subject;
            granted.fields.extend(verified.fields.iter().cloned());
        }
        if let Some(forward) = &self.forward {
            let host = asked.head.host_and_port();
            let question = Question {
                method: asked.head.method,
                target: asked.target,
                headers,
                outgoing: asked.client.outgoing(headers, &host, asked.channel),
                granted: &granted,
                client: asked.client.network,
                request_id: asked.request_id.to_value(),
            };
            let fields = forward.check(question).await.map_err(Denied::Forward)?;
            granted.fields.extend(fields.iter().cloned());
        }
        Ok(granted)
    }

    /// The names of fields that only we may fill.
    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let of_jwt = self.jwt.iter().flat_map(Jwt::names);
        of_jwt.chain(self.forward.iter().flat_map(Forward::names))
    }
}

/// What a request shows, whoever it is true of; for those who try any bytes.
#[cfg(any(test, fuzzing))]
pub(crate) enum Shown<'a> {
    Password { name: String, password: Vec<u8> },
    Token { text: &'a str, signed: &'a [u8], signature: Vec<u8> },
}

#[cfg(any(test, fuzzing))]
impl<'a> Shown<'a> {
    pub(crate) fn read(headers: &'a http::HeaderMap) -> Option<Self> {
        if let Ok((name, password)) = super::basic::read(headers.get(header::AUTHORIZATION)?) {
            return Some(Shown::Password { name, password });
        }
        let text = super::jwt::bearer(headers)?;
        let (signed, signature) = super::jwt::parts(text).ok()?;
        Some(Shown::Token { text, signed, signature })
    }
}
