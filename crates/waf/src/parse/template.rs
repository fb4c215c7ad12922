//! Text with macros, `%{tx.score}`, cut into its pieces.

use crate::parse::bounds::PIECES;
use crate::parse::fault::{Fault, Problem};
use crate::parse::names;
use crate::parse::place::Place;
use crate::parse::text::Part;
use crate::parse::variable::Variable;

/// An argument. Text pieces are never empty and never stand next to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub place: Place,
    pub pieces: Vec<Piece>,
}

impl Template {
    /// `part` as it stands: no macro is looked for.
    pub(crate) fn verbatim(part: Part<'_>) -> Self {
        let mut template = Self { place: part.place(), pieces: Vec::new() };
        template.add_text(part);
        template
    }

    /// The bytes, if there is no macro.
    #[must_use]
    pub fn literal(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Text(bytes)] => Some(bytes),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn add_text(&mut self, part: Part<'_>) {
        if part.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(Piece::Text(bytes)) => bytes.extend_from_slice(part.bytes()),
            _ => self.pieces.push(Piece::Text(part.bytes().to_vec())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(Vec<u8>),
    Macro(Macro),
}

/// The value of a variable, or of one element of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macro {
    pub place: Place,
    pub variable: Variable,
    pub key: Option<Vec<u8>>,
}

/// Reads macros; `%{` without an end, and `%{}`, are text as in ModSecurity.
pub(crate) fn parse(part: Part<'_>) -> Result<Template, Fault> {
    let mut template = Template { place: part.place(), pieces: Vec::new() };
    let mut rest = part;
    while let Some((before, inside, after)) = cut(rest) {
        if template.pieces.len() + 2 > PIECES {
            return Err(Fault::too_many(rest, "macros in one argument", PIECES));
        }
        if inside.is_empty() {
            template.add_text(rest.before(rest.len() - after.len()));
        } else {
            template.add_text(before);
            template.pieces.push(Piece::Macro(read(inside)?));
        }
        rest = after;
    }
    template.add_text(rest);
    Ok(template)
}

/// The first macro of a known variable, for operators whose argument cannot have one.
pub(crate) fn find_macro(part: Part<'_>) -> Option<Part<'_>> {
    let mut rest = part;
    while let Some((_, inside, after)) = cut(rest) {
        if names::lookup::<Variable>(divide(inside).0.bytes()).is_some() {
            return Some(inside);
        }
        rest = after;
    }
    None
}

/// What stands before, in and after the first `%{…}`.
fn cut(part: Part<'_>) -> Option<(Part<'_>, Part<'_>, Part<'_>)> {
    let open = part.bytes().windows(2).position(|pair| pair == b"%{")?;
    let (inside, after) = part.after(open + 2).split_once(b'}')?;
    Some((part.before(open), inside, after))
}

fn read(inside: Part<'_>) -> Result<Macro, Fault> {
    let (name, key) = divide(inside);
    let variable = names::find::<Variable>(name)?;
    let Some(key) = key else {
        return Ok(Macro { place: inside.place(), variable, key: None });
    };
    if !variable.is_collection() {
        let problem = Problem::Wrong {
            what: "a macro",
            got: inside.shown(),
            want: "the name alone: this variable holds one value",
        };
        return Err(Fault::at(key, problem));
    }
    if key.is_empty() {
        return Err(Fault::wrong(inside, "a macro", "a name after the full stop"));
    }
    Ok(Macro { place: inside.place(), variable, key: Some(key.bytes().to_vec()) })
}

fn divide(inside: Part<'_>) -> (Part<'_>, Option<Part<'_>>) {
    match inside.bytes().iter().position(|byte| matches!(byte, b'.' | b':')) {
        Some(at) => (inside.before(at), Some(inside.after(at + 1))),
        None => (inside, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(text: &str, expected: &[&str]) {
        let shown = match parse(fixture::text(text).whole()) {
            Ok(template) => template.pieces.iter().map(show).collect(),
            Err(fault) => vec![fault.to_string()],
        };
        assert_eq!(shown, expected, "{text}");
    }

    fn show(piece: &Piece) -> String {
        match piece {
            Piece::Text(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
            Piece::Macro(Macro { variable, key: Some(key), .. }) => {
                format!("{}.{}", variable.name(), String::from_utf8_lossy(key))
            }
            Piece::Macro(Macro { variable, key: None, .. }) => variable.name().to_owned(),
        }
    }

    #[test]
    fn cuts_text_and_macros() {
        check("", &[]);
        check("a", &["'a'"]);
        check("a%{tx.x}b", &["'a'", "TX.x", "'b'"]);
        check("%{TX.1}%{tx.2}", &["TX.1", "TX.2"]);
        check("%{matched_var_name}", &["MATCHED_VAR_NAME"]);
        check("%{REQUEST_HEADERS.User-Agent}", &["REQUEST_HEADERS.User-Agent"]);
        check("%{request_headers:host}", &["REQUEST_HEADERS.host"]);
        check("%{tx.a.b}", &["TX.a.b"]);
    }

    #[test]
    fn text_that_is_no_macro_stays_text() {
        check("%", &["'%'"]);
        check("100%{", &["'100%{'"]);
        check("%{}a", &["'%{}a'"]);
        check("a%{}%{tx.x}", &["'a%{}'", "TX.x"]);
    }

    #[test]
    fn says_which_macro_is_wrong() {
        check("a%{tz.x}", &["f:1:4: unknown variable `tz`: did you mean `TX`?"]);
        check(
            "%{REQUEST_URI.x}",
            &[
                "f:1:15: a macro cannot be `REQUEST_URI.x`: write the name alone: this variable holds one value",
            ],
        );
        check("%{tx.}", &["f:1:3: a macro cannot be `tx.`: write a name after the full stop"]);
    }

    #[test]
    fn many_open_macros_are_read_in_linear_time() {
        let template = parse(fixture::text(&"%{".repeat(100_000)).whole()).unwrap();
        assert_eq!(template.pieces.len(), 1);
    }

    #[test]
    fn pieces_are_bounded() {
        let fault = parse(fixture::text(&"%{tx.x}".repeat(PIECES)).whole()).unwrap_err();
        assert!(matches!(fault.problem, Problem::TooMany { .. }));
    }
}
