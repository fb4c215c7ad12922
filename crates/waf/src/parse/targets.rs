//! The first word of a SecRule: variables, what is excluded, counted or selected of them.

use crate::parse::bounds::TARGETS;
use crate::parse::fault::{Fault, Problem};
use crate::parse::names;
use crate::parse::place::{Place, Placed};
use crate::parse::text::Part;
use crate::parse::variable::Variable;
use crate::parse::words;

/// One variable of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub place: Place,
    pub mode: Mode,
    pub variable: Variable,
    pub selector: Placed<Selector>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Inspect,
    /// `&`: how many there are.
    Count,
    /// `!`: not these.
    Exclude,
}

/// Which elements of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    All,
    Key(Vec<u8>),
    /// A regular expression over keys, without its slashes.
    Regex(Vec<u8>),
    /// An XPath expression, only of XML.
    XPath(Vec<u8>),
}

/// Targets divided by `|`, or by commas as ModSecurity 2 allows.
pub(crate) fn parse(list: Part<'_>) -> Result<Vec<Target>, Fault> {
    let mut targets = Vec::new();
    let mut rest = list.trim();
    loop {
        if targets.len() == TARGETS {
            return Err(Fault::too_many(rest, "variables in one list", TARGETS));
        }
        let (target, next) = take(rest)?;
        targets.push(target);
        let next = next.trim();
        match next.byte(0) {
            None => return Ok(targets),
            Some(b'|' | b',') => rest = next.after(1).trim(),
            Some(_) => return Err(Fault::wrong(next, "what follows a variable", BETWEEN)),
        }
    }
}

const BETWEEN: &str = "| between variables, and COLLECTION:'NAME' for a name with a blank";

fn take(part: Part<'_>) -> Result<(Target, Part<'_>), Fault> {
    let (mode, named) = match part.byte(0) {
        Some(b'!') => (Mode::Exclude, part.after(1)),
        Some(b'&') => (Mode::Count, part.after(1)),
        _ => (Mode::Inspect, part),
    };
    if matches!(named.byte(0), Some(b'!' | b'&')) && mode != Mode::Inspect {
        return Err(Fault::wrong(part, "a variable", "either ! or & before it"));
    }
    let end = named.bytes().iter().position(|b| ends_name(*b)).unwrap_or(named.len());
    let name = named.before(end);
    if name.is_empty() {
        return Err(Fault::wrong(
            part,
            "a variable",
            "a name like ARGS or REQUEST_HEADERS:User-Agent",
        ));
    }
    let variable = names::find::<Variable>(name)?;
    let rest = named.after(end);
    let Some(selected) = rest.strip(b':') else {
        let selector = Placed { place: rest.place(), value: Selector::All };
        return Ok((Target { place: part.place(), mode, variable, selector }, rest));
    };
    if !variable.is_collection() {
        return Err(Fault::wrong(selected, "a selector", "none: this variable holds one value"));
    }
    let place = selected.place();
    let (value, rest) = take_selector(variable, selected)?;
    let selector = Placed { place, value };
    Ok((Target { place: part.place(), mode, variable, selector }, rest))
}

fn take_selector(variable: Variable, part: Part<'_>) -> Result<(Selector, Part<'_>), Fault> {
    if part.byte(0) == Some(b'\'') {
        let (text, rest) = words::take_quoted(part, b'\'')?;
        return Ok((classify(variable, text.whole())?, rest));
    }
    let end = match (variable, part.byte(0)) {
        (Variable::Xml, _) => part.bytes().iter().position(|b| *b == b'|'),
        (_, Some(b'/')) => end_of_regex(part),
        _ => part.bytes().iter().position(|b| ends_item(*b)),
    };
    let end = end.unwrap_or(part.len());
    Ok((classify(variable, part.before(end).trim())?, part.after(end)))
}

/// What a selector without its quotes is.
pub(crate) fn classify(variable: Variable, part: Part<'_>) -> Result<Selector, Fault> {
    if part.is_empty() {
        return Err(Fault::wrong(part, "a selector", "a name or /REGEX/ after the colon"));
    }
    if variable == Variable::Xml {
        return Ok(Selector::XPath(part.bytes().to_vec()));
    }
    let Some(opened) = part.strip(b'/') else {
        return Ok(Selector::Key(part.bytes().to_vec()));
    };
    match opened.bytes().strip_suffix(b"/") {
        Some([]) => {
            Err(Fault::wrong(part, "a selector", "a regular expression between the slashes"))
        }
        Some(regex) => Ok(Selector::Regex(regex.to_vec())),
        None => Err(Fault::wrong(part, "a selector", "/REGEX/, or '/REGEX/' if it holds | or ,")),
    }
}

/// Just past the slash that closes a bare `/regex/`, so that it may hold `|` and commas.
fn end_of_regex(part: Part<'_>) -> Option<usize> {
    let bytes = part.bytes();
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        if *byte == b'/' && !escaped && bytes.get(at + 1).is_none_or(|next| ends_item(*next)) {
            return Some(at + 1);
        }
        escaped = *byte == b'\\' && !escaped;
    }
    None
}

fn ends_item(byte: u8) -> bool {
    matches!(byte, b'|' | b',') || byte.is_ascii_whitespace()
}

fn ends_name(byte: u8) -> bool {
    byte == b':' || ends_item(byte)
}

/// The one target of a `ctl`, which excludes it whether or not it says `!`.
pub(crate) fn parse_excluded(list: Part<'_>) -> Result<Vec<Target>, Fault> {
    let mut targets = parse(list)?;
    for target in &mut targets {
        if target.mode == Mode::Count {
            let problem = Problem::Wrong {
                what: "an excluded variable",
                got: list.shown(),
                want: "it without &",
            };
            return Err(Fault::new(target.place.clone(), problem));
        }
        target.mode = Mode::Exclude;
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(list: &str, expected: &[&str]) {
        let shown = match parse(fixture::text(list).whole()) {
            Ok(targets) => targets.iter().map(show).collect(),
            Err(fault) => vec![fault.to_string()],
        };
        assert_eq!(shown, expected, "{list}");
    }

    fn show(target: &Target) -> String {
        let mode = match target.mode {
            Mode::Inspect => "",
            Mode::Count => "&",
            Mode::Exclude => "!",
        };
        let (kind, bytes) = match &target.selector.value {
            Selector::All => ("", &[][..]),
            Selector::Key(key) => (" key ", &key[..]),
            Selector::Regex(regex) => (" regex ", &regex[..]),
            Selector::XPath(path) => (" xpath ", &path[..]),
        };
        format!("{mode}{}{kind}{}", target.variable.name(), String::from_utf8_lossy(bytes))
    }

    #[test]
    fn reads_variables_modes_and_keys() {
        check("ARGS", &["ARGS"]);
        check(
            "args|&Tx:a|!REQUEST_HEADERS:X.Y",
            &["ARGS", "&TX key a", "!REQUEST_HEADERS key X.Y"],
        );
        check("ARGS , ARGS_NAMES", &["ARGS", "ARGS_NAMES"]);
        check("ARGS_NAMES:json.profile", &["ARGS_NAMES key json.profile"]);
        check("ARGS:'a b|c'|FILES", &["ARGS key a b|c", "FILES"]);
        check(r"ARGS:'a\'b'", &["ARGS key a'b"]);
        check("TX:1", &["TX key 1"]);
    }

    #[test]
    fn reads_regexes_and_paths() {
        check("TX:/^x_/|ARGS", &["TX regex ^x_", "ARGS"]);
        check("ARGS:'/re gex|b/'", &["ARGS regex re gex|b"]);
        check(
            "ARGS:/re gex/|ARGS:/a|b{1,2}/,FILES",
            &["ARGS regex re gex", "ARGS regex a|b{1,2}", "FILES"],
        );
        check(r"ARGS:/a\/|b/", &[r"ARGS regex a\/|b"]);
        check("XML:/*|XML://@*", &["XML xpath /*", "XML xpath //@*"]);
        check("REQUEST_COOKIES:/^_ga(?:_\\w+)?$/", &["REQUEST_COOKIES regex ^_ga(?:_\\w+)?$"]);
    }

    #[test]
    fn says_what_would_be_right() {
        check("ARG", &["f:1:1: unknown variable `ARG`: did you mean `ARGS`?"]);
        check("QQQQQQQQ", &["f:1:1: unknown variable `QQQQQQQQ`"]);
        check(
            "REQUEST_URI:a",
            &["f:1:13: a selector cannot be `a`: write none: this variable holds one value"],
        );
        check("!&ARGS", &["f:1:1: a variable cannot be `!&ARGS`: write either ! or & before it"]);
        check(
            "ARGS:",
            &["f:1:6: a selector cannot be ``: write a name or /REGEX/ after the colon"],
        );
        check(
            "ARGS|",
            &[
                "f:1:6: a variable cannot be ``: write a name like ARGS or REQUEST_HEADERS:User-Agent",
            ],
        );
        check(
            "ARGS:/a",
            &["f:1:6: a selector cannot be `/a`: write /REGEX/, or '/REGEX/' if it holds | or ,"],
        );
        check(
            "ARGS:a ARGS:b",
            &["f:1:8: what follows a variable cannot be `ARGS:b`: write | between variables, and \
               COLLECTION:'NAME' for a name with a blank"],
        );
        check("ARGS:'a", &["f:1:6: ' is not closed: write ' at the end, and \\' for one inside"]);
    }

    #[test]
    fn keeps_bytes_that_are_not_utf8() {
        let targets = parse(fixture::bytes(b"ARGS:\xff\xfe").whole()).unwrap();
        assert_eq!(targets[0].selector.value, Selector::Key(b"\xff\xfe".to_vec()));
    }
}
