//! Who may: whether a client may ask this of a route.
//!
//! All that a route's `access` says must hold. How much a client may ask is
//! for the next room.

#[cfg(any(test, fuzzing))]
mod any_bytes;
mod basic;
mod challenge;
mod credentials;
mod denied;
mod fields;
mod forward;
mod granted;
mod jwt;
mod lists;
mod outbound;
mod password;
mod passwords;
mod places;
mod referers;
mod remembered;
mod signed;
mod sources;
mod turns;
mod user_agents;
mod users;
mod verifiers;

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, Method, Uri, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::{Client, Country, Geo, Place, RequestId};
use crate::fault::{Faults, KeyPath};
use crate::listen::Channel;
use crate::route::read_methods;
use crate::sanitise::Head;
use crate::units::Switch;

use self::challenge::{Ask, Challenge, Difficulty, Lasts, When};
use self::credentials::Credentials;
use self::lists::{Item, List};
use self::places::Places;
use self::referers::Referers;
use self::signed::Signed;
use self::user_agents::UserAgents;

#[cfg(any(test, fuzzing))]
pub(crate) use self::any_bytes::{Links, Tokens, Work};
pub(crate) use self::basic::Fault as BasicFault;
#[cfg(any(test, fuzzing))]
pub(crate) use self::challenge::Ask as AskForWork;
pub(crate) use self::challenge::{Challenged, Pressure, Seal, Unproven, show_pass, strip_passes};
#[cfg(any(test, fuzzing))]
pub(crate) use self::credentials::Shown;
pub(crate) use self::denied::Denied;
pub(crate) use self::forward::{Fault as ForwardFault, Verdict};
pub(crate) use self::granted::Granted;
pub(crate) use self::jwt::Fault as JwtFault;
#[cfg(any(test, fuzzing))]
pub(crate) use self::lists::parse_list;
pub(crate) use self::password::{
    LONGEST as LONGEST_PASSWORD, argon2 as hash_by_argon2, bcrypt as hash_by_bcrypt,
};
pub(crate) use self::sources::Sources;
pub(crate) use self::verifiers::Verifiers;

/// The key `access` of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Networks that may ask, or files of them; empty is everybody.
    pub(crate) allow: Vec<Item>,
    /// Networks that may not, whatever else is said.
    pub(crate) deny: Vec<Item>,
    /// Countries that clients may and may not be from.
    pub(crate) countries: places::Config<Country>,
    /// The same of autonomous systems.
    pub(crate) asns: places::Config<u32>,
    /// Methods that may be used, HEAD where GET is; empty is every method.
    pub(crate) methods: Vec<String>,
    /// Hosts whose pages may lead here, by Referer; `none` takes requests
    /// without one. Empty is every host.
    pub(crate) referers: Vec<String>,
    /// Programs that may not, by User-Agent.
    pub(crate) user_agents: user_agents::Config,
    /// Links must be signed.
    pub(crate) signed: Option<signed::Config>,
    /// Names and passwords.
    pub(crate) basic: Option<basic::Config>,
    /// Tokens.
    pub(crate) jwt: Option<jwt::Config>,
    /// Another server that is asked.
    pub(crate) forward: Option<forward::Config>,
    /// When browsers have to do some work first.
    pub(crate) challenge: When,
    pub(crate) challenge_difficulty: Difficulty,
    pub(crate) challenge_lasts: Lasts,
}

impl Config {
    /// Whether browsers have work to do as long as the route gets too much.
    pub(crate) fn asks_while_shedding(&self) -> bool {
        self.challenge == When::Shedding
    }

    /// The names of fields that hold something else once a request is let in, with
    /// the keys that say so: filled for all servers behind, or changed here alone.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (Changed, KeyPath, &str)> {
        let jwt = self.jwt.iter().flat_map(|jwt| jwt.headers.keys());
        let jwt = jwt
            .map(|name| (Changed::Filled, KeyPath::from_iter(["jwt", "headers", name]), &**name));
        let forward = self.forward.iter().flat_map(|forward| forward.headers.iter().enumerate());
        let forward = forward.map(|(index, name)| {
            let at = KeyPath::from_iter(["forward", "headers"]).child(index);
            (Changed::Filled, at, &**name)
        });
        let hidden = self.basic.iter().filter(|basic| basic.pass == Switch::OFF);
        let hidden = hidden.map(|_| {
            let at = KeyPath::from_iter(["basic", "pass"]);
            (Changed::Hidden, at, header::AUTHORIZATION.as_str())
        });
        jwt.chain(forward).chain(hidden)
    }

    /// Where keys of tokens come from over a network without TLS.
    pub(crate) fn cleartext_keys(&self) -> Option<&str> {
        self.jwt.as_ref().map(|jwt| &*jwt.jwks).filter(|jwks| jwt::is_cleartext(jwks))
    }

    /// Hides keys, and what URLs may hold besides an address.
    pub(crate) fn hide_secrets(&mut self) {
        if let Some(signed) = &mut self.signed {
            signed.hide_secrets();
        }
        let jwks = self.jwt.as_mut().map(|jwt| &mut jwt.jwks);
        let url = self.forward.as_mut().map(|forward| &mut forward.url);
        for url in jwks.into_iter().chain(url) {
            if let Some((address, _)) = url.split_once('?') {
                *url = format!("{address}?***");
            }
        }
    }
}

/// What becomes of a field of a request that is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It says what was verified; what clients say there reaches none of the
    /// servers, by no route.
    Filled,
    /// It is taken away.
    Hidden,
}

/// What a request shows before anybody else is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screened<'a> {
    pub(crate) head: &'a Head<'a>,
    pub(crate) address: IpAddr,
    /// Where that is, as [`Access::locate`] found.
    pub(crate) place: Place,
    /// The target as the client wrote it.
    pub(crate) written: &'a Uri,
    pub(crate) channel: Channel,
    /// How much the route has to do.
    pub(crate) pressure: Pressure,
    pub(crate) seal: &'a Seal,
}

/// The query that rooms and servers see from here on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Query {
    AsWritten,
    /// What is left without the parameters that only we were to read.
    Left(Option<String>),
}

/// What is asked of this room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) head: &'a Head<'a>,
    pub(crate) client: &'a Client,
    /// The target as the server gets it, but for the route's rewrites.
    pub(crate) target: &'a str,
    pub(crate) channel: Channel,
    pub(crate) request_id: &'a RequestId,
}

/// What one route asks of those who come.
#[derive(Debug, Default)]
pub(crate) struct Access {
    // None where nothing is asked.
    rules: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Rules {
    // None where everybody is allowed.
    allow: Option<List>,
    deny: Option<List>,
    countries: Places<Country>,
    asns: Places<u32>,
    // Empty is every method.
    methods: Vec<Method>,
    referers: Referers,
    user_agents: UserAgents,
    signed: Option<Signed>,
    credentials: Option<Credentials>,
    challenge: Option<Challenge>,
}

impl Access {
    pub(crate) fn new(config: &Config, sources: &Sources) -> Result<Self, Faults> {
        if *config == Config::default() {
            return Ok(Access::default());
        }
        let mut faults = Faults::none();
        let methods = faults.collect("methods", read_methods(&config.methods));
        let allow = faults.collect("allow", List::new(&config.allow, &sources.lists));
        let deny = faults.collect("deny", List::new(&config.deny, &sources.lists));
        let referers = faults.collect("referers", Referers::new(&config.referers));
        let user_agents = faults.collect("user_agents", UserAgents::new(&config.user_agents));
        let (countries, asns) = (Places::new(&config.countries), Places::new(&config.asns));
        let has = &sources.geo;
        for (key, is_asked, name, database) in [
            ("countries", countries.ask(), "country", &has.country),
            ("asns", asns.ask(), "asn", &has.asn),
        ] {
            if is_asked && database.is_none() {
                let what = format!("needs a database; write its path at clients.geo.{name}");
                faults.extend(Faults::at(key, what));
            }
        }
        let signed = match &config.signed {
            Some(signed) => faults.collect("signed", Signed::new(signed)).map(Some),
            None => Some(None),
        };
        let credentials = Credentials::new(config, sources);
        let credentials = credentials.map_err(|found| faults.extend(found));
        let challenge =
            Challenge::new(config.challenge, config.challenge_difficulty, config.challenge_lasts);
        let challenge = challenge.map_err(|found| faults.extend(found)).ok();
        faults.into_result(|| {
            let rules = Rules {
                allow: allow?,
                deny: deny?,
                countries,
                asns,
                methods: methods?,
                referers: referers?,
                user_agents: user_agents?,
                signed: signed?,
                credentials: credentials.ok()?,
                challenge: challenge?,
            };
            Some(Access { rules: Some(Box::new(rules)) })
        })
    }

    /// Where a client is from, as far as the rules ask for it.
    pub(crate) fn locate(&self, geo: &Geo, address: IpAddr) -> Place {
        let Some(rules) = &self.rules else {
            return Place::default();
        };
        Place {
            country: rules.countries.ask().then(|| geo.country(address)).flatten(),
            asn: rules.asns.ask().then(|| geo.asn(address)).flatten(),
        }
    }

    /// Whether anybody is asked to do some work first.
    pub(crate) fn may_challenge(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.challenge.is_some())
    }

    /// The query parameter whose value no log shows, if there is one.
    pub(crate) fn secret_parameter(&self) -> Option<&str> {
        self.rules.as_ref()?.signed.as_ref().map(Signed::parameter)
    }

    /// Whether the request may pass by what it shows.
    pub(crate) fn screen(&self, screened: &Screened<'_>) -> Result<Query, Denied> {
        match &self.rules {
            None => Ok(Query::AsWritten),
            Some(rules) => rules.screen(screened),
        }
    }

    /// The query of a request that asks for everybody, who has been let in before.
    pub(crate) fn without_proof(&self, query: Option<&str>) -> Query {
        match self.rules.as_ref().and_then(|rules| rules.signed.as_ref()) {
            None => Query::AsWritten,
            Some(signed) => Query::Left(signed.left(query)),
        }
    }

    /// Whether a request that passed [`Access::screen`] is by somebody who may,
    /// and how it is changed then. Others may be asked, and waited for.
    pub(crate) async fn check(&self, asked: &Asked<'_>) -> Result<Granted, Denied> {
        match self.rules.as_ref().and_then(|rules| rules.credentials.as_ref()) {
            None => Ok(Granted::default()),
            Some(credentials) => credentials.check(asked).await,
        }
    }

    /// Whether it matters who asks: a request that may pass is another one then.
    pub(crate) fn has_credentials(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.credentials.is_some())
    }

    /// The names of fields of requests that only we may fill.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let credentials = self.rules.iter().filter_map(|rules| rules.credentials.as_ref());
        credentials.flat_map(Credentials::names)
    }

    /// Puts what was granted in the place of what the client said.
    pub(crate) fn apply(&self, granted: &Granted, request: &mut HeaderMap) {
        for name in self.names() {
            request.remove(name);
        }
        if granted.hides_credentials {
            request.remove(header::AUTHORIZATION);
        }
        for (name, value) in &granted.fields {
            request.append(name.clone(), value.clone());
        }
    }
}

impl Rules {
    // Cheap questions first.
    fn screen(&self, screened: &Screened<'_>) -> Result<Query, Denied> {
        self.check_network(screened.address)?;
        self.check_place(screened.place)?;
        self.check_method(screened.head.method)?;
        if let Some(challenge) = &self.challenge {
            // Solutions are taken here: they come from a page of this site.
            let ask = Ask::of(screened, SystemTime::now());
            challenge.check(&ask, screened.seal).map_err(Denied::Challenge)?;
        }
        self.check_words(screened.head.headers)?;
        self.check_link(screened)
    }

    fn check_network(&self, address: IpAddr) -> Result<(), Denied> {
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(address));
        let is_denied = self.deny.as_ref().is_some_and(|deny| deny.contains(address));
        if !is_allowed || is_denied {
            return Err(Denied::Network);
        }
        Ok(())
    }

    fn check_place(&self, place: Place) -> Result<(), Denied> {
        if !self.countries.take(place.country) {
            return Err(Denied::Country);
        }
        if !self.asns.take(place.asn) {
            return Err(Denied::Asn);
        }
        Ok(())
    }

    fn check_method(&self, method: &Method) -> Result<(), Denied> {
        if self.methods.is_empty() || self.methods.contains(method) {
            return Ok(());
        }
        Err(Denied::Method { allow: self.methods.clone() })
    }

    /// What any program may say as it likes: it keeps out who does not lie.
    fn check_words(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if !self.referers.take(headers) {
            return Err(Denied::Referer);
        }
        if !self.user_agents.take(headers) {
            return Err(Denied::UserAgent);
        }
        Ok(())
    }

    fn check_link(&self, screened: &Screened<'_>) -> Result<Query, Denied> {
        let Some(signed) = &self.signed else {
            return Ok(Query::AsWritten);
        };
        // While the clock is plainly wrong, no link is good.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(u64::MAX, |since| since.as_secs());
        let Screened { head, written, .. } = screened;
        Ok(Query::Left(signed.check(head.method, written.path(), head.query, now)?))
    }
}
