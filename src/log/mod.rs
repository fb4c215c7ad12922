//! What is remembered of a request: its line in the access log, and figures.
//!
//! `proxy/deliver.rs` builds one [`Record`] a request; [`Logs`] and [`Metrics`]
//! are its only readers. The error log, for what the process has
//! to say about itself, is set up here as well. Who may see any of it is for
//! `control`.

mod access;
mod cache;
mod combined;
mod connections;
mod error_log;
mod family;
mod json;
mod limits;
mod logs;
mod matches;
mod metrics;
mod record;
mod secrets;
mod security;
mod shed;
mod sink;
mod text;
mod traffic;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) use self::cache::{CacheUse, Holding, Prefetched};
pub(crate) use self::error_log::{ErrorLog, init};
pub(crate) use self::limits::RateMetrics;
pub(crate) use self::logs::Logs;
pub(crate) use self::matches::{Excerpt, Matched};
pub(crate) use self::metrics::Metrics;
pub(crate) use self::record::{
    Blame, Cause, Detected, Failure, Findings, Protocol, Record, Room, Tls, split_target,
    without_user,
};
pub(crate) use self::shed::ShedMetrics;
pub(crate) use self::sink::check_place;
pub(crate) use self::traffic::{RouteMetrics, UpstreamMetrics};
pub(crate) use self::writer::Drain;

/// A time as logs write it: `2026-01-31T12:00:00.000Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let mut line = Vec::new();
    text::Moment::of(time).rfc3339(&mut line);
    String::from_utf8_lossy(&line).into_owned()
}

/// The section `log`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What the error log shows; below debug, nothing of single requests.
    pub level: Level,
    /// One line a request.
    pub access: Access,
    /// One line a refusal, or a request that rules only detected.
    pub security: security::Config,
}

/// The least urgent messages that the error log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl From<Level> for ::log::LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => ::log::LevelFilter::Error,
            Level::Warn => ::log::LevelFilter::Warn,
            Level::Info => ::log::LevelFilter::Info,
            Level::Debug => ::log::LevelFilter::Debug,
            Level::Trace => ::log::LevelFilter::Trace,
        }
    }
}

/// The section `log.access`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// stdout, stderr, off, or the path of a file.
    pub to: To,
    /// json, or nginx's combined.
    pub format: Format,
}

/// Where access lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum To {
    #[default]
    Stdout,
    Stderr,
    Off,
    Path(PathBuf),
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Stdout => f.write_str("stdout"),
            To::Stderr => f.write_str("stderr"),
            To::Off => f.write_str("off"),
            To::Path(path) => path.display().fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Plain YAML reads `off` as text and `false` as a switch.
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "write stdout, stderr, off or a path")]
        enum Written {
            Switch(bool),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Switch(false) => Ok(To::Off),
            Written::Text(text) => match text.as_str() {
                "stdout" => Ok(To::Stdout),
                "stderr" => Ok(To::Stderr),
                "off" | "false" => Ok(To::Off),
                "" | "on" | "true" => Err(de::Error::custom(format!(
                    "`{text}` names no place; write stdout, stderr, off or a path"
                ))),
                _ => Ok(To::Path(text.into())),
            },
            Written::Switch(true) => {
                Err(de::Error::custom("`true` names no place; write stdout, stderr, off or a path"))
            }
        }
    }
}

impl Serialize for To {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for To {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "log-destination".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean"], "format": "log-destination" })
    }
}

/// How an access line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// One JSON object a line, pure ASCII.
    #[default]
    Json,
    /// nginx's and Apache's combined format, which every log tool reads.
    Combined,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, expected: Option<To>) {
        let access: Result<Access, _> = serde_yaml::from_str(yaml);
        assert_eq!(access.ok().map(|access| access.to), expected, "{yaml}");
    }

    #[test]
    fn reads_places() {
        check("{}", Some(To::Stdout));
        check("to: stderr", Some(To::Stderr));
        check("to: off", Some(To::Off));
        check("to: false", Some(To::Off));
        check("to: logs/access.log", Some(To::Path("logs/access.log".into())));
        check("to: ./stdout", Some(To::Path("./stdout".into())));
        for bad in ["to: true", "to: on", "to: ''", "to: 7", "to: [a]", "two: off"] {
            check(bad, None);
        }
    }

    #[test]
    fn prints_what_it_reads() {
        let config = Config {
            level: Level::Debug,
            access: Access { to: To::Path("a.log".into()), format: Format::Combined },
            security: security::Config { to: To::Off, per_second: 7 },
        };
        let yaml = serde_yaml::to_string(&config).expect("plain values");
        assert_eq!(
            yaml,
            "level: debug\naccess:\n  to: a.log\n  format: combined\n\
                        security:\n  to: off\n  per_second: 7\n"
        );
        assert_eq!(serde_yaml::from_str::<Config>(&yaml).expect("its own words"), config);
    }
}
