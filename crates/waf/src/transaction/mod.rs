//! One request and its answer under the rules.
//!
//! Fed with heads and pieces of bodies, it says at the end of each phase what becomes of the
//! request. It reads no clock and no socket.

mod edits;
mod values;
mod collections;
mod tx;
mod overrun;
mod state;
mod resolve;
mod expand;
mod groups;
mod verdict;
mod matched;
mod mask;
mod act;
mod run;
mod request;
mod body;
mod guess;
mod response;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod shortcuts;
#[cfg(test)]
mod chance;

use std::sync::Arc;

pub use body::Wanted;
pub use matched::{Hit, Match};
pub use overrun::Overrun;
pub use request::{Connection, RequestHead};
pub use response::ResponseHead;
pub use verdict::{Refusal, RefusalKind, Verdict};

use crate::parse::{Allow, EngineMode, Phase, RuleId, Variable, lookup};
use crate::rules::RuleSet;
use body::Incoming;
use groups::Groups;
use response::Outgoing;
use run::{Run, Scratch};
use state::State;
use tx::TxValue;

/// What a transaction needs, and leaves to another.
#[derive(Debug, Default)]
struct Space {
    state: State,
    groups: Groups,
    scratch: Scratch,
    /// For the body while it comes.
    body: Vec<u8>,
}

/// Bytes of a space that is left; one that grew larger is not.
const LEFT: usize = 256 << 10;

/// One request and its answer.
///
/// Call in this order, leaving out what does not happen: `request_head`, `request_body` for each
/// piece, `request_end`, `response_head`, `response_body`, `response_end`, `finish`.
#[derive(Debug)]
pub struct Transaction {
    rules: Arc<RuleSet>,
    space: Box<Space>,
    matches: Vec<Match>,
    incoming: Incoming,
    outgoing: Outgoing,
    is_refused: bool,
    overrun: Option<Overrun>,
}

impl Transaction {
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, connection: &Connection<'_>) -> Self {
        let mut space = rules.spares.take::<Space>();
        space.state.begin(&rules);
        space.groups.clear();
        request::connection(connection, &mut space.state);
        let incoming = Incoming::within(std::mem::take(&mut space.body));
        Self {
            rules,
            space,
            matches: Vec::new(),
            incoming,
            outgoing: Outgoing::default(),
            is_refused: false,
            overrun: None,
        }
    }

    /// Phase 1.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> Verdict {
        request::head(head, &self.rules.settings, &mut self.space.state);
        let verdict = self.run(Phase::RequestHeaders);
        self.incoming.begin(head, &self.rules.settings, &self.space.state);
        verdict
    }

    /// Whether the rules want to see the body of the request.
    #[must_use]
    pub fn wants_request_body(&self) -> bool {
        self.space.state.reads_request_body
            && self.space.state.engine != EngineMode::Off
            && !self.is_allowed()
    }

    /// A piece of the request's body.
    pub fn request_body(&mut self, chunk: &[u8]) -> Wanted {
        if !self.wants_request_body() {
            return Wanted::Enough;
        }
        self.incoming.feed(chunk, &self.rules.settings)
    }

    /// Phase 2: the request is whole, or as much of it as is inspected.
    pub fn request_end(&mut self) -> Verdict {
        let incoming = std::mem::take(&mut self.incoming);
        if self.wants_request_body() {
            self.space.body = incoming.end(&self.rules.settings, &mut self.space.state);
        }
        self.run(Phase::RequestBody)
    }

    /// Phase 2 of what has come so far: for forms whose files are not waited for.
    ///
    /// The transaction stays as it was, so that nothing counts twice; but if the rules are against
    /// it, it has what they found.
    pub fn request_so_far(&mut self) -> Verdict {
        let mut ahead = self.ahead();
        let verdict = ahead.request_end();
        if verdict != Verdict::Pass {
            *self = ahead;
        }
        verdict
    }

    /// How many rules had to be looked at so far: those that the gate did not pass over.
    #[must_use]
    pub fn evaluated_rules(&self) -> usize {
        self.space.state.evaluated
    }

    /// How many bytes of the body, without content of files, were shown to the rules.
    #[must_use]
    pub fn inspected_bytes(&self) -> u64 {
        self.incoming.inspected()
    }

    /// Whether the body may hold files that need not be kept to be judged.
    #[must_use]
    pub fn may_hold_files(&self) -> bool {
        self.incoming.is_plain_form()
    }

    /// As if no body had come: rules of phase 2 see the head alone.
    pub fn forget_request_body(&mut self) {
        self.incoming = Incoming::default();
        self.space.state.reads_request_body = false;
    }

    /// The body is larger than what is shown to the rules: phase 2 judges what there is, as behind
    /// the limit of its own, and makes no fault of an end that is not there.
    pub fn cut_request_body(&mut self) {
        self.incoming.cut();
    }

    /// Gives an element of TX a value before the first phase, where rules look for it.
    pub fn set_tx(&mut self, name: &str, value: &[u8]) {
        let value = TxValue::Text(self.space.state.values.intern(value));
        let name = name.to_ascii_lowercase();
        let Self { space, rules, .. } = self;
        let state = &mut space.state;
        if !state.tx.set_named(name.as_bytes(), Some(value), &rules.names) {
            state.overrun.get_or_insert(Overrun::Names);
        }
    }

    /// Phase 3.
    pub fn response_head(&mut self, head: &ResponseHead<'_>) -> Verdict {
        self.outgoing.head(head, &self.rules.settings, &mut self.space.state);
        self.run(Phase::ResponseHeaders)
    }

    /// Whether the rules want to see the body of this answer: asked once those of the head have run.
    #[must_use]
    pub fn wants_response_body(&self) -> bool {
        self.outgoing.is_inspected(&self.space.state)
            && self.space.state.engine != EngineMode::Off
            && !self.is_allowed_in(Phase::ResponseBody)
    }

    /// A piece of the answer's body, judged as it comes: one with a content coding has to be
    /// decoded by whoever has it, or asked for without one. Rules of CRS pass over it else.
    pub fn response_body(&mut self, chunk: &[u8]) -> Wanted {
        self.outgoing.feed(chunk, &self.rules.settings, &self.space.state)
    }

    /// Phase 4: the answer is whole, or as much of it as is inspected.
    pub fn response_end(&mut self) -> Verdict {
        let outgoing = std::mem::take(&mut self.outgoing);
        if outgoing.end(&self.rules.settings, &mut self.space.state) {
            self.space.state.overrun.get_or_insert(Overrun::Body);
        }
        self.run(Phase::ResponseBody)
    }

    /// The head of an answer that nobody judges, for rules of phase 5.
    pub fn show_response_head(&mut self, head: &ResponseHead<'_>) {
        self.outgoing.head(head, &self.rules.settings, &mut self.space.state);
    }

    /// Phase 5, which refuses nothing: rules that log.
    pub fn finish(&mut self) {
        // Phase 5 has nothing left to refuse.
        drop(self.run(Phase::Logging));
    }

    /// The rules that matched, in order, but for those that say neither log nor audit log.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// The first rule that would have refused the request or its answer, had the rules not only
    /// detected.
    #[must_use]
    pub fn detected(&self) -> Option<RuleId> {
        self.space.state.detected
    }

    /// What the elements of this name hold before any transformation; `ARGS:q`, as a [`Hit`] has it.
    pub fn values_of(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let (variable, element) = match memchr::memchr(b':', name) {
            Some(colon) => (name.get(..colon).unwrap_or_default(), name.get(colon + 1..)),
            None => (name, None),
        };
        let state = &self.space.state;
        let items = lookup(variable).map(|variable| resolve::stored(variable, state));
        let items = items.into_iter().flatten();
        items
            .filter(move |item| item.name.map(|name| state.values.bytes(name)) == element)
            .map(move |item| state.text_of(item))
    }

    /// The first budget that was used up, also where rules only detect and no verdict says so.
    #[must_use]
    pub fn overrun(&self) -> Option<Overrun> {
        self.overrun
    }

    /// An element of TX as a number: a score, for example `blocking_inbound_anomaly_score`.
    #[must_use]
    pub fn tx_number(&self, name: &str) -> Option<i64> {
        let name = name.to_ascii_lowercase();
        let value = self.space.state.tx.find(name.as_bytes(), &self.rules.names)?;
        Some(value.number(&self.space.state.values))
    }

    /// The value of a variable that is no collection, if a rule looks at it.
    #[must_use]
    pub fn variable(&self, variable: Variable) -> Option<&[u8]> {
        let value = self.space.state.collections.value(variable)?;
        Some(self.space.state.values.bytes(value))
    }

    /// The same transaction, to go ahead with.
    fn ahead(&self) -> Self {
        let space = Space { state: self.space.state.clone(), ..Space::default() };
        Self {
            rules: Arc::clone(&self.rules),
            space: Box::new(space),
            matches: self.matches.clone(),
            incoming: self.incoming.ahead(),
            outgoing: Outgoing::default(),
            is_refused: self.is_refused,
            overrun: self.overrun,
        }
    }

    fn run(&mut self, phase: Phase) -> Verdict {
        if phase != Phase::Logging && (self.is_refused || self.is_allowed_in(phase)) {
            return Verdict::Pass;
        }
        let Self { rules, space, matches, .. } = self;
        let Space { state, groups, scratch, .. } = &mut **space;
        let mut cache = rules.caches.get();
        let cache = &mut cache;
        let refusal = Run { rules, state, cache, matches, groups, scratch }.phase(phase);
        let overrun = self.space.state.overrun.take();
        self.overrun = self.overrun.or(overrun);
        match refusal {
            Some(refusal) => {
                self.is_refused = true;
                Verdict::Refuse(refusal)
            }
            None => match overrun {
                Some(overrun) if self.space.state.engine == EngineMode::On => {
                    Verdict::Exceeded(overrun)
                }
                _ => Verdict::Pass,
            },
        }
    }

    fn is_allowed(&self) -> bool {
        self.space.state.allowed.is_some()
    }

    fn is_allowed_in(&self, phase: Phase) -> bool {
        match self.space.state.allowed {
            Some(Allow::Transaction) => true,
            Some(Allow::Request) => matches!(phase, Phase::RequestHeaders | Phase::RequestBody),
            Some(Allow::Phase) | None => false,
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.space.state.values.forget_large();
        let Space { state, groups, body, .. } = &*self.space;
        let bytes = size_of::<Space>() + state.space() + groups.space() + body.capacity();
        if bytes <= LEFT {
            self.rules.spares.give(std::mem::take(&mut self.space), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::parse::{NoFiles, Reader};

    /// The bytes of a space that is left by a form with so many of them.
    fn left(body: usize) -> usize {
        let mut reader = Reader::new(&NoFiles, &|_| false);
        let rules = b"SecRequestBodyNoFilesLimit 500000\nSecRule ARGS x \"id:1\"";
        reader.text("rules".as_ref(), rules);
        let tree = reader.finish().expect("rules");
        let rules = Arc::new(RuleSet::compile(&tree, &NoFiles, &|_| false).expect("rules"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let connection = Connection { client: address, server: address, id: b"1", time: 0 };
        let mut transaction = Transaction::new(Arc::clone(&rules), &connection);
        let headers = [(&b"content-type"[..], &b"application/x-www-form-urlencoded"[..])];
        let (method, target, protocol) = (&b"POST"[..], &b"/"[..], &b"HTTP/1.1"[..]);
        let head = RequestHead { method, target, protocol, headers: &headers };
        assert_eq!(transaction.request_head(&head), Verdict::Pass);
        transaction.request_body(&vec![b'a'; body]);
        assert_eq!(transaction.request_end(), Verdict::Pass);
        drop(transaction);
        let space = rules.spares.take::<Space>();
        space.state.space() + space.body.capacity()
    }

    #[test]
    fn a_space_that_grew_large_is_not_left() {
        let small = left(1000);
        assert!((1000..LEFT).contains(&small), "{small}");
        assert_eq!(left(300_000), 0);
    }
}
