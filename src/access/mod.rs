//! Who may: whether a client may ask this of a route.
//!
//! All that a route's `access` says must hold. How much a client may ask is
//! for the next room.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::fault::Faults;
use crate::networks::{Network, Networks};
use crate::route::read_methods;
use crate::sanitise::Head;

/// The key `access` of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Networks that may ask; empty is everybody.
    pub(crate) allow: Vec<Network>,
    /// Networks that may not, whatever else is said.
    pub(crate) deny: Vec<Network>,
    /// Methods that may be used, HEAD where GET is; empty is every method.
    pub(crate) methods: Vec<String>,
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
}

impl Denied {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Denied::Network => "network",
            Denied::Method { .. } => "method",
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
    allow: Option<Networks>,
    deny: Networks,
    // Empty is every method.
    methods: Vec<Method>,
}

impl Access {
    pub(crate) fn new(config: &Config) -> Result<Self, Faults> {
        if *config == Config::default() {
            return Ok(Access::default());
        }
        let mut faults = Faults::none();
        let methods = faults.collect("methods", read_methods(&config.methods));
        let allow = (!config.allow.is_empty()).then(|| Networks::new(&config.allow));
        let deny = Networks::new(&config.deny);
        faults.into_result(|| {
            let rules = Rules { allow, deny, methods: methods? };
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
        Ok(Granted::default())
    }

    fn check_network(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let address = asked.client.address;
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(address));
        if !is_allowed || self.deny.contains(address) {
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
}
