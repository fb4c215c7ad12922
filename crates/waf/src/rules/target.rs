//! What a rule looks at: variables, elements of them, how many there are.

use regex_automata::meta::Regex;

use crate::operator;
use crate::parse::{self, Fault, Mode, Place, Problem, Selector, Variable};
use crate::rules::names::{Slot, TxNames};

/// The names of XML's two elements, which are what selects them.
pub(crate) const TEXT: &[u8] = b"/*";
pub(crate) const ATTRIBUTES: &[u8] = b"//@*";

/// Variables that a link inspects, and what of them it leaves out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    pub(crate) inspected: Vec<Target>,
    pub(crate) excluded: Vec<Element>,
}

#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) element: Element,
    /// `&`: how many there are, not what they are.
    pub(crate) is_counted: bool,
}

/// A variable, or some elements of a collection.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) variable: Variable,
    pub(crate) which: Which,
}

#[derive(Debug, Clone)]
pub(crate) enum Which {
    All,
    /// By name; in lower case where the collection's names are the same in any case.
    Key(Box<[u8]>),
    /// By name, of TX.
    Slot(Slot),
    /// Names that match, in any case.
    Regex(Box<Pattern>),
    /// `XML:/*`: the text of the document.
    Text,
    /// `XML://@*`: the value of every attribute.
    Attributes,
}

/// A regular expression over names, and how it was written.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) written: Box<[u8]>,
    pub(crate) regex: Regex,
    /// Of TX: the names in the rules that match.
    pub(crate) slots: Box<[Slot]>,
}

impl Targets {
    pub(crate) fn new(list: &[parse::Target], names: &mut TxNames) -> Result<Self, Fault> {
        let mut targets = Self::default();
        targets.add(list, names)?;
        Ok(targets)
    }

    /// Adds what a rule or an update of it names.
    pub(crate) fn add(&mut self, list: &[parse::Target], names: &mut TxNames) -> Result<(), Fault> {
        for target in list {
            let element = Element::new(target, names)?;
            match target.mode {
                Mode::Exclude => self.excluded.push(element),
                Mode::Inspect => self.inspected.push(Target { element, is_counted: false }),
                Mode::Count => self.inspected.push(Target { element, is_counted: true }),
            }
        }
        Ok(())
    }
}

impl Targets {
    /// Finds the names of TX that expressions select, once all are known.
    pub(crate) fn settle(&mut self, names: &TxNames) {
        for target in &mut self.inspected {
            if let (Variable::Tx, Which::Regex(pattern)) =
                (target.element.variable, &mut target.element.which)
            {
                let all = (0..names.len()).map(|number| Slot(number as u32));
                pattern.slots =
                    all.filter(|slot| pattern.regex.is_match(names.name(*slot))).collect();
            }
        }
    }
}

impl Element {
    pub(crate) fn new(target: &parse::Target, names: &mut TxNames) -> Result<Self, Fault> {
        let variable = target.variable;
        check_variable(variable, &target.place)?;
        names.mention(variable);
        if variable == Variable::Rule {
            check_rule(&target.selector.value, &target.place)?;
        }
        let which = match &target.selector.value {
            Selector::All => Which::All,
            Selector::Key(key) if variable == Variable::Tx => Which::Slot(names.slot(key)),
            Selector::Key(key) if has_names_in_any_case(variable) => {
                Which::Key(key.to_ascii_lowercase().into_boxed_slice())
            }
            Selector::Key(key) => Which::Key(key.clone().into_boxed_slice()),
            Selector::Regex(regex) => {
                let place = &target.selector.place;
                let written = regex.clone().into_boxed_slice();
                Which::Regex(Box::new(Pattern {
                    regex: compile(regex, place)?,
                    written,
                    slots: [].into(),
                }))
            }
            Selector::XPath(path) => xpath(path, &target.selector.place)?,
        };
        Ok(Self { variable, which })
    }
}

/// Collections whose element names differ only in case are the same element.
pub(crate) const fn has_names_in_any_case(variable: Variable) -> bool {
    matches!(
        variable,
        Variable::Tx
            | Variable::RequestHeaders
            | Variable::RequestHeadersNames
            | Variable::ResponseHeaders
            | Variable::ResponseHeadersNames
            | Variable::Rule
    )
}

/// A selector's regular expression: over names in any case, as in ModSecurity 2.
pub(crate) fn compile(regex: &[u8], place: &Place) -> Result<Regex, Fault> {
    operator::compile_selector(regex).map_err(|why| {
        let problem = Problem::Expression { why: why.to_string() };
        Fault { place: place.clone(), rule: None, problem }
    })
}

fn xpath(path: &[u8], place: &Place) -> Result<Which, Fault> {
    match path {
        TEXT | b"//*" => Ok(Which::Text),
        ATTRIBUTES => Ok(Which::Attributes),
        _ => {
            let problem = Problem::Refused {
                name: format!("XML:{}", String::from_utf8_lossy(path)),
                reason: "write XML:/* for the text of the document or XML://@* for its attributes",
            };
            Err(Fault { place: place.clone(), rule: None, problem })
        }
    }
}

/// Refuses what RULE has no value for.
fn check_rule(selector: &Selector, place: &Place) -> Result<(), Fault> {
    match selector {
        Selector::Key(key) if is_told(key) => Ok(()),
        _ => {
            let reason = "write RULE: and one of id, msg, logdata, rev, ver, severity";
            let problem = Problem::Refused { name: "this part of RULE".to_owned(), reason };
            Err(Fault { place: place.clone(), rule: None, problem })
        }
    }
}

/// Whether a rule has this to tell of itself.
pub(crate) fn is_told(key: &[u8]) -> bool {
    let told = [&b"id"[..], b"msg", b"logdata", b"rev", b"ver", b"severity"];
    told.iter().any(|one| key.eq_ignore_ascii_case(one))
}

/// Refuses a variable that no transaction has, rather than never matching in silence.
pub(crate) fn check_variable(variable: Variable, place: &Place) -> Result<(), Fault> {
    let Some(reason) = why_refused(variable) else { return Ok(()) };
    let problem = Problem::Refused { name: variable.name().to_owned(), reason };
    Err(Fault { place: place.clone(), rule: None, problem })
}

const fn why_refused(variable: Variable) -> Option<&'static str> {
    use Variable as V;
    Some(match variable {
        V::Global | V::Ip | V::Resource | V::Session | V::User | V::SessionId | V::UserId => {
            "nothing is kept between requests; use Tidegate's rate limits and bans"
        }
        V::Geo => "use countries and asns in a route's access",
        V::Env | V::WebappId | V::WebserverErrorLog => "it concerns Apache or nginx",
        V::FilesTmpContent | V::FilesTmpNames => "files are never written to disk",
        V::StreamInputBody | V::StreamOutputBody => "bodies are not rewritten; use REQUEST_BODY",
        V::ScriptBasename
        | V::ScriptFilename
        | V::ScriptGid
        | V::ScriptGroupname
        | V::ScriptMode
        | V::ScriptUid
        | V::ScriptUsername => "a proxy has no scripts",
        V::PerfAll
        | V::PerfCombined
        | V::PerfGc
        | V::PerfLogging
        | V::PerfPhase1
        | V::PerfPhase2
        | V::PerfPhase3
        | V::PerfPhase4
        | V::PerfPhase5
        | V::PerfRules
        | V::PerfSread
        | V::PerfSwrite
        | V::Duration => "times are in Tidegate's access log",
        V::RemoteHost => "names of clients are not looked up; use REMOTE_ADDR",
        V::RemoteUser => "use basic or jwt in a route's access",
        V::FullRequest | V::FullRequestLength => "use REQUEST_LINE, REQUEST_HEADERS, REQUEST_BODY",
        V::SdbmDeleteError => "nothing is kept in files",
        V::ModsecBuild => "this is not ModSecurity",
        _ => return None,
    })
}
