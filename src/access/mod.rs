//! Who may: whether a client may ask this of a route.
//!
//! All that a route's `access` says must hold. How much a client may ask is
//! for the next room.

mod lists;
mod referers;
mod user_agents;

use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::fault::Faults;
use crate::route::read_methods;
use crate::sanitise::Head;

use self::lists::{Item, List};
use self::referers::Referers;
use self::user_agents::UserAgents;

pub(crate) use self::lists::ListFiles;

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
}

/// What the rules of all routes look things up in.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) lists: ListFiles,
}

impl Sources {
    /// Opens the files that `configs` name; a bad one is a fault of each rule
    /// that needs it.
    pub(crate) fn open<'a>(configs: impl Iterator<Item = &'a Config>) -> Self {
        let items = configs.flat_map(|config| config.allow.iter().chain(&config.deny));
        Sources { lists: ListFiles::open(items) }
    }
}

/// What is asked of this room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) head: &'a Head<'a>,
    pub(crate) client: &'a Client,
}

/// What a request that may pass is changed by.
#[derive(Debug, Default)]
pub(crate) struct Granted {}

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
}

impl Denied {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Denied::Network => "network",
            Denied::Method { .. } => "method",
            Denied::Referer => "referer",
            Denied::UserAgent => "user_agent",
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
        faults.into_result(|| {
            let rules = Rules {
                allow: allow?,
                deny: deny?,
                methods: methods?,
                referers: referers?,
                user_agents: user_agents?,
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
}

impl Rules {
    // Cheap questions first; what waits for others comes last.
    #[expect(clippy::unused_async, reason = "rules that ask others wait for them")]
    async fn check(&self, asked: &Asked<'_>) -> Result<Granted, Denied> {
        self.check_network(asked)?;
        self.check_method(asked.head.method)?;
        self.check_words(asked.head.headers)?;
        Ok(Granted::default())
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
