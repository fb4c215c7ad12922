//! Stands in for the rule engine, and goes when that is there.
//!
//! It knows rules that look for a text, `SecRule REQUEST_URI "@contains x"` and
//! the same of `REQUEST_BODY`, and no others: enough to hold and judge bodies
//! by. What it does for the inspection is what the engine has to do.

#[cfg(test)]
use std::path::Path;
use std::sync::Arc;

use http::header;
use tidegate_waf::parse::{
    Action, Directive, Disk, Files, OperatorName, Phase, Reader, Rule as Written, Variable,
};

use super::Asked;
use super::config::{Config, Rules};
use crate::fault::Faults;

/// Rules as requests are judged by them.
#[derive(Debug, Default)]
pub(super) struct RuleSet {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    id: Arc<str>,
    phase: Phase,
    place: Variable,
    text: Vec<u8>,
}

/// What the rules of a phase say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// The rule of this id is against the request.
    Block(Arc<str>),
}

/// One request before the rules. Each phase is asked once, but for the body's,
/// which may be asked about what has come of it so far.
#[derive(Debug)]
pub(super) struct Transaction {
    rules: Arc<RuleSet>,
    target: Vec<u8>,
    // What is not known to be content of files.
    body: Vec<u8>,
    form: Option<Form>,
}

impl RuleSet {
    pub(super) fn load(config: &Config) -> Result<RuleSet, Faults> {
        let Rules::Given(given) = &config.rules else {
            return Ok(RuleSet::default());
        };
        let mut faults = Faults::none();
        let mut rules = Vec::new();
        for (index, file) in given.files.iter().enumerate() {
            let read = RuleSet::read(&Disk, |reader| reader.file(file));
            let read = read.map_err(|what| Faults::at(index, what).under("files"));
            rules.extend(faults.collect("rules", read).unwrap_or_default());
        }
        faults.into_result(|| Some(RuleSet { rules }))
    }

    #[cfg(test)]
    pub(super) fn of(text: &str) -> RuleSet {
        let name = Path::new("t.conf");
        let files = tidegate_waf::parse::NoFiles;
        let read = RuleSet::read(&files, |reader| reader.text(name, text.as_bytes()));
        RuleSet { rules: read.expect("good rules") }
    }

    fn read(files: &dyn Files, add: impl FnOnce(&mut Reader<'_>)) -> Result<Vec<Rule>, String> {
        let mut reader = Reader::new(files, &|_| false);
        add(&mut reader);
        let tree = reader.finish().map_err(|faults| faults.to_string())?;
        let written = tree.directives.iter().filter_map(|directive| match &directive.value {
            Directive::Rule(rule) => Some(rule),
            _ => None,
        });
        Ok(written.filter_map(Rule::of).collect())
    }

    pub(super) fn begin(self: &Arc<Self>, asked: &Asked<'_>) -> Transaction {
        let fields = asked.head.headers;
        let form = fields.get(header::CONTENT_TYPE).and_then(|kind| Form::of(kind.as_bytes()));
        let target = asked.target.as_bytes().to_vec();
        Transaction { rules: self.clone(), target, body: Vec::new(), form }
    }
}

impl Rule {
    fn of(written: &Written) -> Option<Rule> {
        let link = written.links.first()?;
        let condition = link.condition.as_ref()?;
        let phase = link.actions.iter().find_map(|action| match action.value {
            Action::Phase(phase) => Some(phase),
            _ => None,
        });
        let place = condition.targets.first()?.variable;
        let text = condition.operator.argument.literal()?.to_vec();
        let is_known = condition.operator.name == OperatorName::Contains
            && matches!(place, Variable::RequestUri | Variable::RequestBody);
        let id = written.id.0.to_string().into();
        is_known.then(|| Rule { id, phase: phase.unwrap_or(Phase::RequestBody), place, text })
    }
}

impl Transaction {
    /// Phase 1.
    pub(super) fn request_head(&self) -> Verdict {
        self.judge(Phase::RequestHeaders)
    }

    /// Takes a piece of the body; how much of it is not known to be content of files.
    pub(super) fn request_body(&mut self, piece: &[u8]) -> usize {
        let Some(form) = &mut self.form else {
            self.body.extend_from_slice(piece);
            return piece.len();
        };
        let before = self.body.len() + form.tail_that_counts().len();
        form.take(piece, &mut self.body);
        (self.body.len() + form.tail_that_counts().len()).saturating_sub(before)
    }

    /// Whether the body may hold files.
    pub(super) fn may_hold_files(&self) -> bool {
        self.form.is_some()
    }

    /// As if there were no body.
    pub(super) fn forget_body(&mut self) {
        self.body.clear();
        self.form = None;
    }

    /// Phase 2, of what has come so far; as often as one likes.
    pub(super) fn request_so_far(&self) -> Verdict {
        self.judge(Phase::RequestBody)
    }

    /// Phase 2, once nothing more of the request comes.
    pub(super) fn request_end(&self) -> Verdict {
        self.judge(Phase::RequestBody)
    }

    fn judge(&self, phase: Phase) -> Verdict {
        let tail = self.form.as_ref().map_or(&[][..], Form::tail_that_counts);
        let body = [&self.body[..], tail].concat();
        let found = self.rules.rules.iter().filter(|rule| rule.phase == phase).find(|rule| {
            let place = if rule.place == Variable::RequestUri { &self.target } else { &body };
            memchr::memmem::find(place, &rule.text).is_some()
        });
        found.map_or(Verdict::Pass, |rule| Verdict::Block(rule.id.clone()))
    }
}

/// Where in a multipart form its reader is.
#[derive(Debug)]
struct Form {
    // What ends a part: CRLF, `--` and the boundary.
    end: Vec<u8>,
    at: At,
    // Not understood yet.
    tail: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Start,
    Head,
    Text,
    File,
}

impl Form {
    fn of(kind: &[u8]) -> Option<Form> {
        let kind = std::str::from_utf8(kind).ok()?;
        let boundary =
            kind.strip_prefix("multipart/form-data;")?.trim().strip_prefix("boundary=")?;
        let end = [b"\r\n--", boundary.as_bytes()].concat();
        Some(Form { end, at: At::Start, tail: Vec::new() })
    }

    fn tail_that_counts(&self) -> &[u8] {
        if self.at == At::File { &[] } else { &self.tail }
    }

    fn take(&mut self, piece: &[u8], body: &mut Vec<u8>) {
        self.tail.extend_from_slice(piece);
        loop {
            let what = match self.at {
                // The first boundary has no line before it.
                At::Start => self.end.get(2..).unwrap_or_default(),
                At::Head => b"\r\n\r\n",
                At::Text | At::File => &self.end,
            };
            let Some(at) = memchr::memmem::find(&self.tail, what) else { break };
            let rest = self.tail.split_off(at + what.len());
            let taken = std::mem::replace(&mut self.tail, rest);
            let (content, after) = taken.split_at(at);
            if self.at != At::File {
                body.extend_from_slice(content);
            }
            body.extend_from_slice(after);
            let is_file = memchr::memmem::find(content, b"filename=").is_some();
            self.at = match self.at {
                At::Head if is_file => At::File,
                At::Head => At::Text,
                At::Start | At::Text | At::File => At::Head,
            };
        }
        // The beginning of a boundary may be there already.
        let kept = self.end.len() - 1;
        if self.at == At::File && self.tail.len() > kept {
            self.tail.drain(..self.tail.len() - kept);
        }
    }
}
