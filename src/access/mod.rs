//! Who may: whether a client may ask this of a route.
//!
//! All that a route's `access` says must hold. How much a client may ask is
//! for the next room.

mod basic;
mod credentials;
mod fields;
mod forward;
mod jwt;
mod lists;
mod outbound;
mod password;
mod passwords;
mod referers;
mod remembered;
mod user_agents;
mod users;
mod verifiers;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::{Client, RequestId};
use crate::fault::Faults;
use crate::listen::Channel;
use crate::route::read_methods;
use crate::sanitise::Head;

use self::credentials::Credentials;
use self::lists::{Item, List};
use self::referers::Referers;
use self::user_agents::UserAgents;

pub(crate) use self::basic::Fault as BasicFault;
#[cfg(any(test, fuzzing))]
pub(crate) use self::credentials::Shown;
pub(crate) use self::forward::{Fault as ForwardFault, Verdict};
pub(crate) use self::jwt::Fault as JwtFault;
pub(crate) use self::lists::ListFiles;
pub(crate) use self::password::{
    LONGEST as LONGEST_PASSWORD, argon2 as hash_by_argon2, bcrypt as hash_by_bcrypt,
};
pub(crate) use self::verifiers::Verifiers;

/// The key `access` of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Networks that may ask, or files of them; empty is everybody.
    pub(crate) allow: Vec<Item>,
    /// Networks that may not, whatever else is said.
    pub(crate) deny: Vec<Item>,
    /// Methods that may be used, HEAD where GET is; empty is every method.
    pub(crate) methods: Vec<String>,
    /// Hosts whose pages may lead here, by Referer; `none` takes requests
    /// without one. Empty is every host.
    pub(crate) referers: Vec<String>,
    /// Programs that may not, by User-Agent.
    pub(crate) user_agents: user_agents::Config,
    /// Names and passwords.
    pub(crate) basic: Option<basic::Config>,
    /// Tokens.
    pub(crate) jwt: Option<jwt::Config>,
    /// Another server that is asked.
    pub(crate) forward: Option<forward::Config>,
}

impl Config {
    /// Hides what URLs may hold besides an address.
    pub(crate) fn hide_secrets(&mut self) {
        let jwks = self.jwt.as_mut().map(|jwt| &mut jwt.jwks);
        let url = self.forward.as_mut().map(|forward| &mut forward.url);
        for url in jwks.into_iter().chain(url) {
            if let Some((address, _)) = url.split_once('?') {
                *url = format!("{address}?***");
            }
        }
    }
}

/// What the rules of all routes look things up in.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) lists: ListFiles,
    pub(crate) verifiers: Verifiers,
}

impl Sources {
    /// Opens the files that `configs` name; a bad one is a fault of each rule
    /// that needs it. `previous` is what there was before a reload.
    pub(crate) fn open<'a>(
        configs: impl Iterator<Item = &'a Config> + Clone,
        previous: Option<&Verifiers>,
    ) -> Self {
        let items = configs.clone().flat_map(|config| config.allow.iter().chain(&config.deny));
        Sources { lists: ListFiles::open(items), verifiers: Verifiers::new(configs, previous) }
    }
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

/// What a request that may pass is changed by.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// Who proved to be this, for the record.
    pub(crate) user: Option<Arc<str>>,
    /// What servers are told besides.
    fields: Vec<(HeaderName, HeaderValue)>,
    hides_credentials: bool,
}

/// Why a request may not pass.
#[derive(Debug, Clone)]
pub(crate) enum Denied {
    /// Its client's network is denied, or not among those allowed.
    Network,
    /// The route takes other methods.
    Method { allow: Vec<Method> },
    /// It was led here by another site, or does not say by which.
    Referer,
    /// Its program is not let in.
    UserAgent,
    /// More than one Authorization, of which servers may read different ones.
    TwoCredentials,
    /// No name and password that are right; with what is asked for.
    Basic(BasicFault, HeaderValue),
    /// No token that is good.
    Jwt(JwtFault),
    /// Another server has not let it pass.
    Forward(ForwardFault),
}

impl Denied {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Denied::Network => "network",
            Denied::Method { .. } => "method",
            Denied::Referer => "referer",
            Denied::UserAgent => "user_agent",
            Denied::TwoCredentials => "credentials_twice",
            Denied::Basic(fault, _) => fault.tag(),
            Denied::Jwt(fault) => fault.tag(),
            Denied::Forward(fault) => fault.tag(),
        }
    }
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
    // Empty is every method.
    methods: Vec<Method>,
    referers: Referers,
    user_agents: UserAgents,
    credentials: Option<Credentials>,
}

impl Access {
    /// Reads what is in files; blocks on them.
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
        let credentials = Credentials::new(config, &sources.verifiers);
        let credentials = credentials.map_err(|found| faults.extend(found));
        faults.into_result(|| {
            let rules = Rules {
                allow: allow?,
                deny: deny?,
                methods: methods?,
                referers: referers?,
                user_agents: user_agents?,
                credentials: credentials.ok()?,
            };
            Some(Access { rules: Some(Box::new(rules)) })
        })
    }

    /// Whether the request may pass, and how it is changed then.
    pub(crate) async fn check(&self, asked: &Asked<'_>) -> Result<Granted, Denied> {
        match &self.rules {
            None => Ok(Granted::default()),
            Some(rules) => rules.check(asked).await,
        }
    }

    /// Whether a request that may pass is another one then.
    pub(crate) fn changes_requests(&self) -> bool {
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
    // Cheap questions first; what waits for others comes last.
    async fn check(&self, asked: &Asked<'_>) -> Result<Granted, Denied> {
        self.check_network(asked)?;
        self.check_method(asked.head.method)?;
        self.check_words(asked.head.headers)?;
        match &self.credentials {
            None => Ok(Granted::default()),
            Some(credentials) => credentials.check(asked).await,
        }
    }

    fn check_network(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let address = asked.client.address;
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(address));
        let is_denied = self.deny.as_ref().is_some_and(|deny| deny.contains(address));
        if !is_allowed || is_denied {
            return Err(Denied::Network);
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
}
