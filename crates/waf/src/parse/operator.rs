//! The second word of a SecRule: an operator, whether it is negated, and its argument.

use crate::parse::fault::{Fault, Problem};
use crate::parse::names::{self, names};
use crate::parse::place::Place;
use crate::parse::template::{self, Template};
use crate::parse::text::Part;

names! { "operator",
    /// How a rule looks at its variables.
    pub enum OperatorName {
        BeginsWith = "beginsWith",
        Contains = "contains",
        ContainsWord = "containsWord",
        DetectSqli = "detectSQLi",
        DetectXss = "detectXSS",
        EndsWith = "endsWith",
        Eq = "eq",
        FuzzyHash = "fuzzyHash",
        Ge = "ge",
        GeoLookup = "geoLookup",
        GsbLookup = "gsbLookup",
        Gt = "gt",
        InspectFile = "inspectFile",
        IpMatch = "ipMatch",
        IpMatchFromFile = "ipMatchFromFile" | "ipMatchF",
        Le = "le",
        Lt = "lt",
        NoMatch = "noMatch",
        Pm = "pm",
        PmFromFile = "pmFromFile" | "pmf",
        Rbl = "rbl",
        Rsub = "rsub",
        Rx = "rx",
        RxGlobal = "rxGlobal",
        StrEq = "streq",
        StrMatch = "strmatch",
        UnconditionalMatch = "unconditionalMatch",
        ValidateByteRange = "validateByteRange",
        ValidateDtd = "validateDTD",
        ValidateHash = "validateHash",
        ValidateSchema = "validateSchema",
        ValidateUrlEncoding = "validateUrlEncoding",
        ValidateUtf8Encoding = "validateUtf8Encoding",
        VerifyCc = "verifyCC",
        VerifyCpf = "verifyCPF",
        VerifySsn = "verifySSN",
        VerifySvnr = "verifySVNR",
        Within = "within",
    }
}

/// What an operator's argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// Text, perhaps empty, with macros.
    Text,
    /// A whole number, or macros that give one.
    Number,
    /// A regular expression, compiled at load; what macros @rx may have is the rules' to say.
    Regex,
    /// Phrases, addresses, a path: no macros, not empty.
    List(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub place: Place,
    pub negated: bool,
    pub name: OperatorName,
    pub argument: Template,
}

/// `@name argument`, `!@name argument`, or a bare regular expression.
pub(crate) fn parse(word: Part<'_>) -> Result<Operator, Fault> {
    let part = word.after(word.len() - word.bytes().trim_ascii_start().len());
    let (negated, rest) = match part.strip(b'!') {
        Some(rest) => (true, rest.after(rest.len() - rest.bytes().trim_ascii_start().len())),
        None => (false, part),
    };
    let place = part.place();
    let Some(named) = rest.strip(b'@') else {
        let argument = read_argument(OperatorName::Rx, rest)?;
        return Ok(Operator { place, negated, name: OperatorName::Rx, argument });
    };
    let end = named.bytes().iter().position(u8::is_ascii_whitespace).unwrap_or(named.len());
    let name = names::find::<OperatorName>(named.before(end))?;
    let rest = named.after(end);
    let argument = rest.after(rest.len() - rest.bytes().trim_ascii_start().len());
    Ok(Operator { place, negated, name, argument: read_argument(name, argument)? })
}

fn read_argument(name: OperatorName, part: Part<'_>) -> Result<Template, Fault> {
    let blank = part.trim().is_empty();
    match takes(name) {
        Takes::Nothing if !blank => {
            Err(Fault::at(part, Problem::Extra { name: name.name(), got: part.shown() }))
        }
        Takes::Nothing => Ok(Template::verbatim(part.before(0))),
        Takes::Text => template::parse(part),
        Takes::Number => read_number(name, part.trim()),
        Takes::Regex => {
            if name == OperatorName::Rx && template::find_macro(part).is_some() {
                return template::parse(part);
            }
            if let Some(found) = template::find_macro(part) {
                let name = format!("the macro %{{{}}}", found.shown());
                return Err(Fault::at(found, Problem::Refused { name, reason: COMPILED }));
            }
            Ok(Template::verbatim(part))
        }
        Takes::List(want) if blank => Err(missing(name, part, want)),
        Takes::List(_) => Ok(Template::verbatim(part)),
    }
}

const COMPILED: &str =
    "patterns are compiled when rules are loaded; write @contains, @streq or @within";

fn read_number(name: OperatorName, part: Part<'_>) -> Result<Template, Fault> {
    const WANT: &str = "a whole number, or a macro like %{tx.score}";
    if part.is_empty() {
        return Err(missing(name, part, WANT));
    }
    let argument = template::parse(part)?;
    let digits = part.strip(b'-').or_else(|| part.strip(b'+')).unwrap_or(part);
    if argument.literal().is_some() && digits.number().is_none_or(|n| i64::try_from(n).is_err()) {
        return Err(Fault::wrong(part, "the argument of a comparison", WANT));
    }
    Ok(argument)
}

fn missing(name: OperatorName, part: Part<'_>, want: &'static str) -> Fault {
    Fault::at(part, Problem::Missing { name: format!("@{}", name.name()), want })
}

const fn takes(name: OperatorName) -> Takes {
    use OperatorName as Name;
    match name {
        Name::DetectSqli
        | Name::DetectXss
        | Name::GeoLookup
        | Name::NoMatch
        | Name::UnconditionalMatch
        | Name::ValidateUrlEncoding
        | Name::ValidateUtf8Encoding => Takes::Nothing,
        Name::BeginsWith
        | Name::Contains
        | Name::ContainsWord
        | Name::EndsWith
        | Name::StrEq
        | Name::StrMatch
        | Name::Within => Takes::Text,
        Name::Eq | Name::Ge | Name::Gt | Name::Le | Name::Lt => Takes::Number,
        Name::Rx
        | Name::RxGlobal
        | Name::Rsub
        | Name::ValidateHash
        | Name::VerifyCc
        | Name::VerifyCpf
        | Name::VerifySsn
        | Name::VerifySvnr => Takes::Regex,
        Name::IpMatch => Takes::List("addresses and networks like 10.0.0.0/8,::1"),
        Name::Pm => Takes::List("phrases divided by blanks"),
        Name::ValidateByteRange => Takes::List("bytes and ranges like 9,10,32-126"),
        Name::Rbl => Takes::List("the name of a block list's zone"),
        Name::FuzzyHash
        | Name::GsbLookup
        | Name::InspectFile
        | Name::IpMatchFromFile
        | Name::PmFromFile
        | Name::ValidateDtd
        | Name::ValidateSchema => Takes::List("the path of a file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(word: &str, expected: &str) {
        let shown = match parse(fixture::text(word).whole()) {
            Ok(operator) => {
                let negated = if operator.negated { "!" } else { "" };
                let name = operator.name.name();
                match operator.argument.literal() {
                    Some(text) => format!("{negated}{name} '{}'", String::from_utf8_lossy(text)),
                    None => {
                        format!("{negated}{name} with {} pieces", operator.argument.pieces.len())
                    }
                }
            }
            Err(fault) => fault.to_string(),
        };
        assert_eq!(shown, expected, "{word}");
    }

    #[test]
    fn reads_named_negated_and_implicit_operators() {
        check("@rx ^a b$", "rx '^a b$'");
        check("^a@b$", "rx '^a@b$'");
        check("!@PMF  x.data", "!pmFromFile 'x.data'");
        check("! @streq a", "!streq 'a'");
        check("!^a", "!rx '^a'");
        check("", "rx ''");
        check("@endsWith (dummy connection) ", "endsWith '(dummy connection) '");
        check("@streq", "streq ''");
        check("@detectSQLi", "detectSQLi ''");
    }

    #[test]
    fn reads_macros_where_they_work() {
        check("@lt %{tx.a}", "lt with 1 pieces");
        check("@within %{tx.a} x", "within with 2 pieces");
        check("@rx a%{2}", "rx 'a%{2}'");
        check("@pm %{ ${", "pm '%{ ${'");
        check("@rx ^%{tx.a}$", "rx with 3 pieces");
        check(
            "@verifyCC ^%{tx.a}$",
            "f:1:14: the macro %{tx.a} is not supported: patterns are compiled when rules are loaded; \
             write @contains, @streq or @within",
        );
    }

    #[test]
    fn checks_arguments() {
        check("@eq -5", "eq '-5'");
        check("@containz a", "f:1:2: unknown operator `containz`: did you mean `contains`?");
        check(
            "@eq",
            "f:1:4: @eq needs an argument: write a whole number, or a macro like %{tx.score}",
        );
        check(
            "@gt x",
            "f:1:5: the argument of a comparison cannot be `x`: write a whole number, or a macro like %{tx.score}",
        );
        check("@pm ", "f:1:5: @pm needs an argument: write phrases divided by blanks");
        check("@detectXSS a", "f:1:12: detectXSS takes no argument, but has `a`");
    }
}
