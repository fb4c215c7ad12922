//! The operator's changes to header fields, towards the server and the client.

use std::collections::BTreeMap;

use http::header::{
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, KeyPath};
use crate::listen::Channel;
use crate::values::remove_rare;

/// Fields that tell strangers what software a server runs.
const REVEALING: [HeaderName; 4] = [
    http::header::SERVER,
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("x-aspnet-version"),
    HeaderName::from_static("x-aspnetmvc-version"),
];

/// What `preset: secure` adds. A policy for content, and one for features of
/// the browser, would break sites that it is not written for.
const SECURE: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "SAMEORIGIN"),
    (REFERRER_POLICY, "strict-origin-when-cross-origin"),
];
/// What it adds over TLS, for this host alone: other names of the domain may
/// have no TLS.
const ONE_YEAR: &str = "max-age=31536000";

/// Fields that are Tidegate's to write, and why.
const MANAGED: [(&str, &str); 8] = [
    ("connection", MANAGED_CONNECTION),
    ("keep-alive", MANAGED_CONNECTION),
    ("proxy-connection", MANAGED_CONNECTION),
    ("te", MANAGED_CONNECTION),
    ("trailer", MANAGED_CONNECTION),
    ("upgrade", MANAGED_CONNECTION),
    ("transfer-encoding", MANAGED_LENGTH),
    ("content-length", MANAGED_LENGTH),
];
const MANAGED_CONNECTION: &str = "is about one connection, which Tidegate manages itself";
const MANAGED_LENGTH: &str = "says where a body ends, which Tidegate manages itself";

/// What a route changes in header fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Of the request that the server gets.
    pub request: ChangesConfig,
    /// Of the response that the client gets.
    pub response: ResponseConfig,
}

/// Changes to the header fields of a response: what a preset adds first, then
/// removed, set, added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResponseConfig {
    /// Fields that protect a site's visitors, where the server does not say them itself.
    pub preset: Preset,
    /// Fields to have exactly once, with this value.
    pub set: BTreeMap<String, String>,
    /// Fields to have beside those of the same name.
    pub add: BTreeMap<String, String>,
    /// Fields to take away.
    pub remove: Vec<String>,
}

/// A choice of fields that are good for most sites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    #[default]
    Off,
    Secure,
}

/// Changes to the header fields of one message: removed first, then set, then added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangesConfig {
    /// Fields to have exactly once, with this value.
    pub set: BTreeMap<String, String>,
    /// Fields to have beside those of the same name.
    pub add: BTreeMap<String, String>,
    /// Fields to take away.
    pub remove: Vec<String>,
}

impl Config {
    /// Hides the values that servers get: many are what opens them.
    pub(crate) fn hide_secrets(&mut self) {
        let ChangesConfig { set, add, remove: _ } = &mut self.request;
        for value in set.values_mut().chain(add.values_mut()) {
            *value = HIDDEN.to_owned();
        }
    }
}

/// What is shown instead of a secret.
const HIDDEN: &str = "***";

/// The changes of a route in both directions.
#[derive(Debug, Clone)]
pub(crate) struct HeaderRules {
    pub request: Rules,
    pub response: ResponseRules,
}

impl HeaderRules {
    pub(crate) fn new(config: &Config) -> Result<HeaderRules, Faults> {
        let mut faults = Faults::none();
        let request = faults.collect("request", Rules::for_requests(&config.request));
        let response = faults.collect("response", ResponseRules::new(&config.response));
        faults.into_result(|| Some(HeaderRules { request: request?, response: response? }))
    }
}

/// Changes to the header fields of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

impl Rules {
    /// Changes to what a server gets.
    pub(crate) fn for_requests(config: &ChangesConfig) -> Result<Rules, Faults> {
        Rules::new(config, |name| match name {
            "host" => Some("names the site; rewrite.host changes it"),
            _ => managed(name),
        })
    }

    /// Every field that is changed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let given = self.set.iter().chain(&self.add).map(|(name, _)| name);
        self.remove.iter().chain(given)
    }

    pub(crate) fn apply(&self, message: &mut HeaderMap) {
        remove_rare(message, &self.remove);
        for (name, value) in &self.set {
            message.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            message.append(name.clone(), value.clone());
        }
    }

    fn new(
        config: &ChangesConfig,
        managed: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Rules, Faults> {
        let mut faults = Faults::none();
        let mut remove = Vec::with_capacity(config.remove.len());
        for (item, name) in config.remove.iter().enumerate() {
            match read_name(name, &managed) {
                Ok(name) => remove.push(name),
                Err(what) => faults.add(KeyPath::root().child("remove").child(item), what),
            }
        }
        let set = faults.collect("set", read_fields(&config.set, &managed));
        let add = faults.collect("add", read_fields(&config.add, &managed));
        faults.into_result(|| Some(Rules { remove, set: set?, add: add? }))
    }
}

/// Changes to the header fields of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseRules {
    preset: Preset,
    rules: Rules,
}

impl ResponseRules {
    /// Changes to what a client gets; what reveals a server's software goes unasked.
    pub(crate) fn new(config: &ResponseConfig) -> Result<ResponseRules, Faults> {
        let ResponseConfig { preset, set, add, remove } = config.clone();
        let mut rules = Rules::new(&ChangesConfig { set, add, remove }, managed)?;
        for name in REVEALING {
            if !rules.remove.contains(&name) {
                rules.remove.push(name);
            }
        }
        Ok(ResponseRules { preset, rules })
    }

    pub(crate) fn apply(&self, message: &mut HeaderMap, channel: Channel) {
        self.preset.apply(message, channel);
        self.rules.apply(message);
    }
}

impl Preset {
    /// Adds what is missing: a server that says a field knows its site better.
    fn apply(self, message: &mut HeaderMap, channel: Channel) {
        if self == Preset::Off {
            return;
        }
        for (name, value) in SECURE {
            message.entry(name).or_insert(HeaderValue::from_static(value));
        }
        // RFC 6797 §7.2: never over a channel that is not secure.
        if channel == Channel::Tls {
            let year = HeaderValue::from_static(ONE_YEAR);
            message.entry(STRICT_TRANSPORT_SECURITY).or_insert(year);
        }
    }
}

fn managed(name: &str) -> Option<&'static str> {
    MANAGED.iter().find(|(managed, _)| *managed == name).map(|(_, why)| *why)
}

fn read_fields(
    fields: &BTreeMap<String, String>,
    managed: impl Fn(&str) -> Option<&'static str>,
) -> Result<Vec<(HeaderName, HeaderValue)>, Faults> {
    let mut faults = Faults::none();
    let mut read: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let field = read_name(name, &managed).and_then(|name| Ok((name, read_value(value)?)));
        match field {
            Ok((found, _)) if read.iter().any(|(other, _)| *other == found) => {
                faults.add(
                    KeyPath::root().child(name.as_str()),
                    "is given twice; case is no difference",
                );
            }
            Ok(field) => read.push(field),
            Err(what) => faults.add(KeyPath::root().child(name.as_str()), what),
        }
    }
    faults.into_result(|| Some(read))
}

fn read_name(
    text: &str,
    managed: impl Fn(&str) -> Option<&'static str>,
) -> Result<HeaderName, String> {
    // HTTP allows `*` in a name; nobody uses it but in the hope of a pattern.
    if text.contains('*') {
        return Err(format!("`{text}`: names are exact, `*` is no pattern here"));
    }
    let name: HeaderName =
        text.parse().map_err(|_| format!("`{text}` is no name of a header field"))?;
    match managed(name.as_str()) {
        Some(why) => Err(format!("`{name}` {why}")),
        None => Ok(name),
    }
}

fn read_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text.trim())
        .map_err(|_| "the value has characters that no header field can carry".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(yaml: &str) -> ChangesConfig {
        serde_yaml::from_str(yaml).expect("changes")
    }

    fn message(fields: &[(&str, &str)]) -> HeaderMap {
        let parse = |(n, v): &(&str, &str)| {
            (n.parse::<HeaderName>().expect("a name"), v.parse().expect("a value"))
        };
        fields.iter().map(parse).collect()
    }

    fn respond(yaml: &str, message: &mut HeaderMap, channel: Channel) {
        let config: ResponseConfig = serde_yaml::from_str(yaml).expect("changes");
        ResponseRules::new(&config).expect("rules").apply(message, channel);
    }

    fn check_faults(yaml: &str, expected: &[&str]) {
        let config: Config = serde_yaml::from_str(yaml).expect("a configuration");
        let faults = HeaderRules::new(&config).expect_err("a fault");
        let keys: Vec<_> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(keys, expected, "{yaml}");
    }

    #[test]
    fn removes_then_sets_then_adds() {
        let config =
            changes("{ set: { x-a: '1' }, add: { X-B: ' 3 ', x-c: c }, remove: [X-D, x-c] }");
        let rules = Rules::for_requests(&config).expect("rules");
        let mut fields = message(&[("x-a", "old"), ("x-b", "2"), ("x-c", "old"), ("x-d", "4")]);
        fields.append("x-a", HeaderValue::from_static("older"));
        rules.apply(&mut fields);
        let mut expected = message(&[("x-a", "1"), ("x-b", "2"), ("x-c", "c")]);
        expected.append("x-b", HeaderValue::from_static("3"));
        assert_eq!(fields, expected);
    }

    #[test]
    fn servers_are_hidden_unless_set() {
        let revealing = [
            ("server", "nginx/1.0"),
            ("x-powered-by", "PHP"),
            ("x-aspnet-version", "4"),
            ("x-a", "a"),
        ];
        let mut fields = message(&revealing);
        respond("{}", &mut fields, Channel::Tls);
        assert_eq!(fields, message(&[("x-a", "a")]));

        let mut fields = message(&revealing);
        respond("{ set: { server: us }, remove: [server] }", &mut fields, Channel::Tls);
        assert_eq!(fields, message(&[("server", "us"), ("x-a", "a")]));

        let mut fields = message(&revealing);
        Rules::for_requests(&ChangesConfig::default()).expect("rules").apply(&mut fields);
        assert_eq!(fields, message(&revealing));
    }

    #[test]
    fn every_fault_names_its_key() {
        check_faults(
            "{ request: { set: { 'a b': x }, add: { x-a: \"a\\r\\nb: c\" }, remove: ['', 'x-*'] } }",
            &["request.remove[0]", "request.remove[1]", "request.set.a b", "request.add.x-a"],
        );
        check_faults("{ request: { set: { Host: x } } }", &["request.set.Host"]);
        check_faults("{ response: { set: { X-A: x, x-a: y } } }", &["response.set.x-a"]);
        for name in ["Connection", "TE", "transfer-encoding", "content-length", "upgrade"] {
            for direction in ["request", "response"] {
                let yaml = format!("{{ {direction}: {{ remove: [{name}] }} }}");
                check_faults(&yaml, &[&format!("{direction}.remove[0]")]);
            }
        }
    }

    #[test]
    fn host_may_be_said_to_clients() {
        let mut fields = HeaderMap::new();
        respond("{ set: { host: x } }", &mut fields, Channel::Plain);
        assert_eq!(fields, message(&[("host", "x")]));
    }

    #[test]
    fn unknown_keys_are_refused() {
        for bad in ["{ response: { preset: safe } }", "{ request: { preset: secure } }"] {
            assert!(serde_yaml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_secure_preset_adds_what_is_missing() {
        let secure = [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
        ];
        let check = |yaml: &str, channel, before: &[(&str, &str)], after: &[(&str, &str)]| {
            let mut fields = message(before);
            respond(yaml, &mut fields, channel);
            assert_eq!(fields, message(after), "{yaml} {channel:?} {before:?}");
        };
        check("{}", Channel::Tls, &[], &[]);
        check("{ preset: \"off\" }", Channel::Tls, &[], &[]);
        check("{ preset: secure }", Channel::Plain, &[], &secure);
        let hsts = ("strict-transport-security", "max-age=31536000");
        let over_tls = [secure[0], secure[1], secure[2], hsts];
        check("{ preset: secure }", Channel::Tls, &[], &over_tls);
        // Whoever knows better has the word: the server, then the operator.
        let own = [secure[0], ("x-frame-options", "DENY"), secure[2]];
        check("{ preset: secure }", Channel::Plain, &[("x-frame-options", "DENY")], &own);
        let set = "{ preset: secure, set: { x-frame-options: DENY } }";
        check(set, Channel::Plain, &[], &own);
        let remove = "{ preset: secure, remove: [x-frame-options, strict-transport-security] }";
        check(remove, Channel::Tls, &[], &[secure[0], secure[2]]);
    }
}
