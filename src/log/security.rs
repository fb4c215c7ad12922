//! The security log: refusals of clients, one JSON object a line; and requests that
//! rules would have refused.
//!
//! Under attack nearly every request is refused, and a log of it all would be
//! a second attack. Lines have a bound per second. A part of it is kept for
//! refusals of kinds that have had none in this second, so that a flood hides
//! nothing else; and each line says how many of its kind were skipped before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use rustix::fs::Uid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{Blame, Record, Room};
use super::sink::{self, Sink};
use super::writer::{self, Drain, Writer};
use super::{To, json, matches};
use crate::fault::Faults;

/// The section `log.security`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// off, stdout, stderr, or the path of a file.
    pub to: To,
    /// The most lines per second; of more refusals a sample is written.
    pub per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config { to: To::Off, per_second: 100 }
    }
}

/// Room for a common line; a longer one grows.
const LINE: usize = 1024;
/// What stands instead of `refusal` where rules only detected.
const DETECTED: &str = "detected";
/// The most kinds of refusals that are told apart. Words are a closed set, and fewer.
const MOST_KINDS: usize = 256;

/// Takes records of refused requests; dropped, it has what waits written.
#[derive(Debug, Default)]
pub(super) struct SecurityLog {
    // None if there is no security log.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    writer: Writer,
    sampler: Mutex<Sampler>,
    skipped: IntCounter,
}

impl SecurityLog {
    pub(super) fn check(config: &Config) -> Result<(), Faults> {
        let mut faults = Faults::none();
        if config.per_second == 0 {
            faults
                .extend(Faults::at("per_second", "must be more than 0; write `to: off` for none"));
        }
        faults.collect("to", sink::check(&config.to));
        faults.into_result(|| Some(()))
    }

    /// Lines that are lost count as `dropped`, those left out as `skipped`.
    pub(super) fn open(
        config: &Config,
        owner: Uid,
        dropped: IntCounter,
        skipped: IntCounter,
    ) -> Result<(Self, Option<Drain>), Faults> {
        let Some(sink) = Sink::open(&config.to, owner).map_err(|found| found.under("to"))? else {
            return Ok((SecurityLog::default(), None));
        };
        let (writer, drain) = Writer::new(sink, dropped, writer::SECURITY_LOG);
        let sampler = Mutex::new(Sampler::new(config.per_second, Instant::now()));
        Ok((SecurityLog { open: Some(Open { writer, sampler, skipped }) }, Some(drain)))
    }

    /// Notes a request, if it was refused for what a client did, or would have been.
    pub(super) fn write(&self, record: &Record<'_>) {
        let (Some(open), Some(kind)) = (&self.open, kind(record)) else {
            return;
        };
        let verdict = {
            let mut sampler = open.sampler.lock().unwrap_or_else(PoisonError::into_inner);
            sampler.judge(kind, Instant::now())
        };
        let Verdict::Write { skipped } = verdict else {
            return open.skipped.inc();
        };
        let mut line = Vec::with_capacity(LINE);
        write_line(&mut line, record, skipped);
        open.writer.append(&line);
    }

    pub(super) fn reopen(&self) {
        if let Some(open) = &self.open {
            open.writer.reopen();
        }
    }

    pub(super) fn finish(&self, patience: Duration) {
        if let Some(open) = &self.open {
            open.writer.finish(patience);
        }
    }
}

/// The kind of line that a request gets, if it gets one.
fn kind(record: &Record<'_>) -> Option<Kind> {
    let refused = record.refusal.filter(|cause| cause.blame != Blame::Site);
    match (refused, record.findings.and_then(|found| found.detected)) {
        (Some(cause), _) => Some((cause.room, cause.tag)),
        (None, Some(_)) => Some((Room::Waf, DETECTED)),
        (None, None) => None,
    }
}

fn write_line(line: &mut Vec<u8>, record: &Record<'_>, skipped: u64) {
    json::begin(line, record.time);
    let refused = record.refusal.filter(|cause| cause.blame != Blame::Site);
    if let Some(cause) = refused {
        json::text(line, "room", Some(cause.room.as_str()));
        json::text(line, "refusal", Some(cause.tag));
        json::text(line, "rule", cause.rule);
    } else if let Some(detected) = record.findings.and_then(|found| found.detected) {
        json::text(line, "room", Some(Room::Waf.as_str()));
        json::text(line, DETECTED, Some(detected.tag));
        json::text(line, "rule", detected.rule);
    }
    json::ip(line, "client_ip", record.client_ip);
    json::ip(line, "peer_ip", record.peer_ip);
    json::text(line, "listener", Some(record.listener));
    json::text(line, "protocol", Some(record.protocol.as_str()));
    json::text(line, "sni", record.tls.as_ref().and_then(|tls| tls.sni));
    json::text(line, "method", Some(record.method));
    json::text(line, "host", Some(record.host));
    json::masked(line, "path", Some(record.path), record.secrets);
    json::masked(line, "query", record.query, record.secrets);
    json::number(line, "status", Some(record.status));
    json::text(line, "route", record.route);
    json::text(line, "user_agent", record.user_agent);
    json::text(line, "request_id", Some(record.request_id));
    if let Some(found) = &record.findings {
        json::findings(line, found);
        matches::write(line, found.matches, record.secrets);
    }
    json::number(line, "skipped", (skipped > 0).then_some(skipped));
    json::end(line);
}

/// Who refused, and the word for why.
type Kind = (Room, &'static str);

/// Whether a refusal gets a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It does, and so many of its kind before it did not.
    Write {
        skipped: u64,
    },
    Skip,
}

/// Keeps lines within their bound per second.
#[derive(Debug)]
struct Sampler {
    per_second: u32,
    began: Instant,
    // In the second that `began`.
    written: u32,
    kinds: HashMap<Kind, Seen>,
}

/// What became of the refusals of one kind.
#[derive(Debug, Default)]
struct Seen {
    // Whether one was written in this second.
    is_written: bool,
    skipped: u64,
}

impl Sampler {
    fn new(per_second: u32, now: Instant) -> Self {
        Sampler { per_second, began: now, written: 0, kinds: HashMap::new() }
    }

    fn judge(&mut self, kind: Kind, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            self.began = now;
            self.written = 0;
            for seen in self.kinds.values_mut() {
                seen.is_written = false;
            }
        }
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            return Verdict::Skip;
        }
        let seen = self.kinds.entry(kind).or_default();
        // A quarter is for kinds that a flood of others would hide.
        let kept = if seen.is_written { self.per_second / 4 } else { 0 };
        if self.written >= self.per_second - kept {
            seen.skipped += 1;
            return Verdict::Skip;
        }
        self.written += 1;
        seen.is_written = true;
        Verdict::Write { skipped: std::mem::take(&mut seen.skipped) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::process::geteuid;
    use serde_json::{Value, json};

    use super::*;
    use crate::log::record::Cause;
    use crate::log::record::tests::plain;

    const FLOOD: Kind = (Room::Sanitise, "control");
    const RARE: Kind = (Room::Access, "network");

    fn written(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Write { .. })
    }

    #[test]
    fn lines_have_a_bound_per_second_and_a_flood_hides_no_other_kind() {
        let began = Instant::now();
        let mut sampler = Sampler::new(8, began);
        let flood = (0..1000).filter(|_| written(&sampler.judge(FLOOD, began))).count();
        assert_eq!(flood, 6);
        assert_eq!(sampler.judge(RARE, began), Verdict::Write { skipped: 0 });
        assert_eq!(sampler.judge(RARE, began), Verdict::Skip);
        let more = ["a", "b", "c"].map(|tag| written(&sampler.judge((Room::Limit, tag), began)));
        assert_eq!(more, [true, false, false], "eight in all");
    }

    #[test]
    fn what_was_skipped_is_told_by_the_next_line_of_its_kind() {
        let began = Instant::now();
        let mut sampler = Sampler::new(4, began);
        for _ in 0..10 {
            sampler.judge(FLOOD, began);
        }
        let later = began + Duration::from_secs(1);
        assert_eq!(sampler.judge(FLOOD, later), Verdict::Write { skipped: 7 });
        assert_eq!(sampler.judge(FLOOD, later), Verdict::Write { skipped: 0 });
    }

    #[test]
    fn every_second_begins_with_room_for_all_kinds() {
        let began = Instant::now();
        let mut sampler = Sampler::new(4, began);
        for second in 0..3 {
            let now = began + Duration::from_secs(second);
            assert!(written(&sampler.judge(RARE, now)), "{second}");
            for _ in 0..10 {
                sampler.judge(FLOOD, now);
            }
            assert!(written(&sampler.judge((Room::Limit, "rate"), now)), "{second}");
            assert!(!written(&sampler.judge((Room::Limit, "banned"), now)), "{second}");
        }
    }

    #[test]
    fn kinds_that_are_remembered_have_a_bound() {
        let now = Instant::now();
        let mut sampler = Sampler::new(u32::MAX, now);
        for kind in 0..MOST_KINDS + 10 {
            let tag: &'static str = kind.to_string().leak();
            let is_written = written(&sampler.judge((Room::Limit, tag), now));
            assert_eq!(is_written, kind < MOST_KINDS, "{kind}");
        }
    }

    #[test]
    fn one_line_a_second_is_the_least() {
        let began = Instant::now();
        let mut sampler = Sampler::new(1, began);
        assert!(written(&sampler.judge(FLOOD, began)) && !written(&sampler.judge(RARE, began)));
        assert!(written(&sampler.judge(RARE, began + Duration::from_secs(1))));
    }

    #[test]
    fn what_clients_did_is_written_and_what_the_site_cannot_do_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("security.log");
        let config = Config { to: To::Path(path.clone()), per_second: 9 };
        let counter = |name| IntCounter::new(name, "lines").expect("a good name");
        let opened = SecurityLog::open(&config, geteuid(), counter("dropped"), counter("skipped"));
        let (log, drain) = opened.expect("a place");
        let secrets = ["ticket".to_owned()];
        let refused = |blame, tag, rule| Record {
            refusal: Some(Cause { room: Room::Limit, tag, rule, blame }),
            query: Some(b"token=t&ticket=s&x=y"),
            secrets: &secrets,
            status: 429,
            ..plain()
        };
        log.write(&plain());
        log.write(&refused(Blame::Site, "shed", Some("latency")));
        log.write(&refused(Blame::Client, "rate", Some("login")));
        drop(log);
        drain.expect("something to write to").run();
        let lines = fs::read_to_string(&path).expect("a log");
        let value: Value = serde_json::from_str(&lines).expect("one line");
        let expected = json!({
            "time": "2000-10-10T20:55:36.042Z", "room": "limit", "refusal": "rate", "rule": "login",
            "client_ip": "203.0.113.9", "peer_ip": "10.0.0.1", "listener": "0.0.0.0:8443",
            "protocol": "HTTP/1.1", "method": "GET", "host": "example.com", "path": "/x",
            "query": "token=***&ticket=***&x=y", "status": 429, "route": "static", "user_agent": "curl/8.5.0",
            "request_id": "0123456789abcdef",
        });
        assert_eq!(value, expected);
    }
}
