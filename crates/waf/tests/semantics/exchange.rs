//! A few rules, one request, and what the rules say of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tidegate_waf::parse::{Faults, NoFiles, Reader};
use tidegate_waf::{
    Connection, Match, RefusalKind, RequestHead, ResponseHead, RuleSet, Transaction, Verdict,
};

pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(&'a [u8], &'a [u8])>,
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn get(target: &'a str) -> Self {
        Self { method: "GET", target, headers: vec![(b"Host", b"a.example")], body: b"" }
    }

    pub(crate) fn post(media_type: &'a str, body: &'a [u8]) -> Self {
        let request = Self { method: "POST", target: "/", headers: Vec::new(), body };
        request.with("Host", "a.example").with("Content-Type", media_type)
    }

    pub(crate) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name.as_bytes(), value.as_bytes()));
        self
    }
}

/// What became of a request.
pub(crate) struct Told {
    pub(crate) transaction: Transaction,
    /// Of phases 1 to 4.
    pub(crate) verdicts: Vec<Verdict>,
}

impl Told {
    /// The ids of rules that logged.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.transaction.matches().iter().filter(|one| one.is_logged).map(|one| one.id.0).collect()
    }

    pub(crate) fn only_match(&self) -> &Match {
        let [only] = self.transaction.matches() else { panic!("{:?}", self.transaction.matches()) };
        only
    }

    /// The refusal as a text: `403 in 1 by 5`, `drop in 2 by 7`, or `none`.
    pub(crate) fn refusal(&self) -> String {
        for verdict in &self.verdicts {
            match verdict {
                Verdict::Pass => {}
                Verdict::Exceeded(overrun) => return overrun.to_string(),
                Verdict::Refuse(refusal) => {
                    let kind = match &refusal.kind {
                        RefusalKind::Status(status) => status.to_string(),
                        RefusalKind::Drop => "drop".to_owned(),
                        RefusalKind::Redirect { status, location } => {
                            format!("{status} to {}", location.escape_ascii())
                        }
                    };
                    return format!("{kind} in {} by {}", refusal.phase.name(), refusal.rule);
                }
            }
        }
        "none".to_owned()
    }
}

pub(crate) fn load(rules: &str) -> Result<RuleSet, Faults> {
    let mut reader = Reader::new(&NoFiles, &|_| false);
    reader.text(Path::new("rules.conf"), rules.as_bytes());
    RuleSet::compile(&reader.finish()?, &NoFiles, &|_| false)
}

/// The rules over a request, and an answer `200` with the text `answer`.
#[track_caller]
pub(crate) fn tell(rules: &str, request: &Request<'_>) -> Told {
    let rules = load(rules).unwrap_or_else(|faults| panic!("{faults}\n{rules}"));
    tell_by(Arc::new(rules), request)
}

pub(crate) fn tell_by(rules: Arc<RuleSet>, request: &Request<'_>) -> Told {
    let (mut transaction, mut verdicts) = up_to_the_answer(rules, request);
    transaction.response_body(b"answer");
    verdicts.push(transaction.response_end());
    transaction.finish();
    Told { transaction, verdicts }
}

/// Whether the body of that answer is wanted.
pub(crate) fn wants_answer(rules: Arc<RuleSet>, request: &Request<'_>) -> bool {
    up_to_the_answer(rules, request).0.wants_response_body()
}

/// A request and the head of its answer.
fn up_to_the_answer(rules: Arc<RuleSet>, request: &Request<'_>) -> (Transaction, Vec<Verdict>) {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 };
    let mut transaction = Transaction::new(rules, &connection);
    let head = RequestHead {
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &request.headers,
    };
    let mut verdicts = vec![transaction.request_head(&head)];
    transaction.request_body(request.body);
    verdicts.push(transaction.request_end());
    let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"text/plain")];
    let head = ResponseHead { status: 200, protocol: b"HTTP/1.1", headers: &headers };
    verdicts.push(transaction.response_head(&head));
    (transaction, verdicts)
}

/// Which rules log for a GET of `target`.
#[track_caller]
pub(crate) fn check(rules: &str, target: &str, expected: &[u32]) {
    check_request(rules, &Request::get(target), expected);
}

#[track_caller]
pub(crate) fn check_request(rules: &str, request: &Request<'_>, expected: &[u32]) {
    assert_eq!(
        tell(rules, request).ids(),
        expected,
        "{} {}\n{rules}",
        request.method,
        request.target
    );
}
