//! The engine's transaction, as an inspection asks it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Version, header};
use tidegate_waf::{Connection, Overrun, RequestHead, ResponseHead, RuleSet, Transaction, Verdict};

use super::exclusions::PATH;
use super::{Answered, Asked, Blocked, Findings, decode, told};

/// What the Core Rule Set, and our own rules, call the score of a request.
const SCORES: [&str; 2] = ["blocking_inbound_anomaly_score", "anomaly_score"];
/// The same of an answer.
const SCORES_OF_ANSWERS: [&str; 2] = ["blocking_outbound_anomaly_score", "outbound_anomaly_score"];
/// Ids that are told of one request.
const MOST_IDS: usize = 64;

/// One request before the rules.
#[derive(Debug)]
pub(super) struct Judge {
    engine: Box<Transaction>,
    is_refused: bool,
    /// Why it would have been refused, if not by a rule, or before its answer came.
    detected: Option<Blocked>,
    is_answered: bool,
}

impl Judge {
    pub(super) fn new(rules: Arc<RuleSet>, asked: &Asked<'_>) -> Judge {
        let connection = Connection {
            client: asked.client,
            server: asked.server,
            id: asked.request_id.as_bytes(),
            time: now().as_secs(),
        };
        let mut engine = Box::new(Transaction::new(rules, &connection));
        let path = format!("{}/", asked.head.path.trim_end_matches('/'));
        engine.set_tx(PATH, path.as_bytes());
        Judge { engine, is_refused: false, detected: None, is_answered: false }
    }

    /// Phase 1.
    pub(super) fn request_head(&mut self, asked: &Asked<'_>) -> Result<(), Blocked> {
        let fields = asked.head.headers;
        // Over HTTP/2 it is no field, and rules look for it there.
        let host = (!fields.contains_key(header::HOST)).then(|| asked.head.host_and_port());
        // A client of HTTP/1.0 may name none.
        let host = host.as_ref().filter(|host| !host.is_empty());
        let host = host.map(|host| (&b"host"[..], host.as_bytes()));
        let fields =
            fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let headers: Vec<_> = host.into_iter().chain(fields).collect();
        let verdict = self.engine.request_head(&RequestHead {
            method: asked.head.method.as_str().as_bytes(),
            target: asked.target.as_bytes(),
            protocol: protocol(asked.version),
            headers: &headers,
        });
        self.obey(verdict)
    }

    /// Takes a piece of the body; how much of it is not known to be content of files.
    pub(super) fn request_body(&mut self, piece: &[u8]) -> u64 {
        let before = self.engine.inspected_bytes();
        self.engine.request_body(piece);
        self.engine.inspected_bytes().saturating_sub(before)
    }

    /// Whether the body may hold files.
    pub(super) fn may_hold_files(&self) -> bool {
        self.engine.may_hold_files()
    }

    /// As if there were no body.
    pub(super) fn forget_body(&mut self) {
        self.engine.forget_request_body();
    }

    /// The body goes on; what came of it is all that is judged.
    pub(super) fn cut_body(&mut self) {
        self.engine.cut_request_body();
    }

    /// Phase 2, of what has come so far; as often as one likes.
    pub(super) fn request_so_far(&mut self) -> Result<(), Blocked> {
        let verdict = self.engine.request_so_far();
        self.obey(verdict)
    }

    /// Phase 2, once nothing more of the request comes.
    pub(super) fn request_end(&mut self) -> Result<(), Blocked> {
        let verdict = self.engine.request_end();
        self.obey(verdict)
    }

    /// Phase 3.
    pub(super) fn answer_head(&mut self, answered: &Answered<'_>) -> Result<(), Blocked> {
        self.detected = self.detected();
        self.is_answered = true;
        let headers = fields(answered.headers);
        let verdict = self.engine.response_head(&response_head(answered, &headers));
        self.obey(verdict)
    }

    /// Whether the rules want to see the body of the answer, for its type or otherwise.
    pub(super) fn wants_answer(&self) -> bool {
        self.engine.wants_response_body()
    }

    pub(super) fn answer_body(&mut self, piece: &[u8]) {
        self.engine.response_body(piece);
    }

    /// Phase 4, of what has come.
    pub(super) fn answer_end(&mut self) -> Result<(), Blocked> {
        let verdict = self.engine.response_end();
        self.obey(verdict)
    }

    /// What the rules found so far.
    pub(super) fn findings(&self) -> Findings {
        self.told(self.score(), self.would_be_refused())
    }

    /// Phase 5, which changes nothing about the verdict; what the rules found in all. What was
    /// answered, where nobody has judged it, is told the rules of that phase alone.
    pub(super) fn finish(&mut self, answered: Option<&Answered<'_>>) -> Findings {
        let (score, detected) = (self.score(), self.would_be_refused());
        if let Some(answered) = answered.filter(|_| !self.is_answered) {
            let headers = fields(answered.headers);
            self.engine.show_response_head(&response_head(answered, &headers));
        }
        self.engine.finish();
        self.told(score, detected)
    }

    fn told(&self, score: i64, detected: Option<Blocked>) -> Findings {
        let logged = self.engine.matches().iter().filter(|found| found.is_logged);
        let is_against = self.is_refused || detected.is_some();
        Findings {
            score,
            rules: logged.map(|found| found.id.0).take(MOST_IDS).collect(),
            matches: if is_against { told::matches(&self.engine) } else { Vec::new() },
            detected,
        }
    }

    /// The higher score of the request and its answer.
    fn score(&self) -> i64 {
        let [request, answer] = self.scores();
        request.max(answer).unwrap_or(0)
    }

    /// The scores of the request and of its answer, where rules keep them.
    pub(super) fn scores(&self) -> [Option<i64>; 2] {
        [SCORES, SCORES_OF_ANSWERS]
            .map(|names| names.iter().find_map(|name| self.engine.tx_number(name)))
    }

    fn would_be_refused(&self) -> Option<Blocked> {
        if self.is_refused { None } else { self.detected() }
    }

    pub(super) fn engine(&self) -> &Transaction {
        &self.engine
    }

    /// Notes why the request would be refused by another profile's mode.
    pub(super) fn detect(&mut self, blocked: Blocked) {
        self.detected = Some(blocked);
    }

    fn detected(&self) -> Option<Blocked> {
        let by_rule = || self.engine.detected().map(|rule| self.by_rule(&rule.to_string()));
        let too_much = || self.engine.overrun().map(|overrun| self.by_budget(overrun));
        match self.is_answered {
            true => self.detected.clone().or_else(by_rule),
            false => by_rule().or_else(|| self.detected.clone()),
        }
        .or_else(too_much)
    }

    fn obey(&mut self, verdict: Verdict) -> Result<(), Blocked> {
        let obeyed = match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Refuse(refusal) => Err(self.by_rule(&refusal.rule.to_string())),
            Verdict::Exceeded(overrun) => Err(self.by_budget(overrun)),
        };
        self.is_refused |= obeyed.is_err();
        obeyed
    }

    fn by_rule(&self, id: &str) -> Blocked {
        if self.is_answered { Blocked::Answer(id.into()) } else { Blocked::Rule(id.into()) }
    }

    fn by_budget(&self, overrun: Overrun) -> Blocked {
        match (self.is_answered, overrun) {
            (false, Overrun::Body) => Blocked::Over,
            (false, overrun) => Blocked::Uninspected(overrun),
            (true, Overrun::Body) => Blocked::AnswerOver,
            (true, _) => Blocked::AnswerUninspected,
        }
    }
}

/// The fields of an answer as rules see them. A coding that comes off is not there for them:
/// some would look no further.
fn fields(headers: &HeaderMap) -> Vec<(&[u8], &[u8])> {
    let is_decoded = !decode::codings(headers).is_empty();
    let fields = headers.iter();
    let fields = fields.filter(|(name, _)| !is_decoded || *name != header::CONTENT_ENCODING);
    fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

fn response_head<'a>(
    answered: &Answered<'_>,
    headers: &'a [(&'a [u8], &'a [u8])],
) -> ResponseHead<'a> {
    ResponseHead { status: answered.status.as_u16(), protocol: protocol(answered.version), headers }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

const fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}
