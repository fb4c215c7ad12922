//! Actions that write collections: setvar, expirevar, deprecatevar, initcol, setenv.

use crate::parse::fault::Fault;
use crate::parse::names::{self, names};
use crate::parse::template::{self, Template};
use crate::parse::text::Part;

names! { "collection",
    /// A collection that rules can write.
    pub enum Collection {
        Tx = "TX",
        Ip = "IP",
        Global = "GLOBAL",
        Resource = "RESOURCE",
        Session = "SESSION",
        User = "USER",
        Env = "ENV",
    }
}

impl Collection {
    /// Whether it is meant to outlast a request.
    #[must_use]
    pub const fn lasts(self) -> bool {
        !matches!(self, Self::Tx | Self::Env)
    }
}

/// `collection.key`, changed as `change` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetVar {
    pub collection: Collection,
    pub key: Template,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `tx.a=text`; `tx.a` alone sets it to 1.
    Set(Template),
    /// `tx.a=+1`.
    Add(Template),
    /// `tx.a=-1`.
    Subtract(Template),
    /// `!tx.a`.
    Unset,
    /// `tx.a` without a value.
    One,
}

/// An element and the seconds it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpireVar {
    pub collection: Collection,
    pub key: Template,
    pub seconds: Template,
}

/// An element that loses `amount` every `seconds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeprecateVar {
    pub collection: Collection,
    pub key: Template,
    pub amount: u64,
    pub seconds: u64,
}

/// A persistent collection and the key of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitCol {
    pub collection: Collection,
    pub key: Template,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEnv {
    pub name: Template,
    pub value: Template,
}

pub(crate) fn parse(part: Part<'_>) -> Result<SetVar, Fault> {
    let part = part.trim();
    if let Some(unset) = part.strip(b'!') {
        if unset.split_once(b'=').is_some() {
            return Err(Fault::wrong(part, "setvar", "!COLLECTION.NAME without a value"));
        }
        let (collection, key) = element(unset)?;
        return Ok(SetVar { collection, key, change: Change::Unset });
    }
    let Some((written, value)) = part.split_once(b'=') else {
        let (collection, key) = element(part)?;
        return Ok(SetVar { collection, key, change: Change::One });
    };
    let (collection, key) = element(written)?;
    let change = match value.byte(0) {
        Some(b'+') if value.len() > 1 => Change::Add(template::parse(value.after(1))?),
        Some(b'-') if value.len() > 1 => Change::Subtract(template::parse(value.after(1))?),
        _ => Change::Set(template::parse(value)?),
    };
    Ok(SetVar { collection, key, change })
}

pub(crate) fn parse_expire(part: Part<'_>) -> Result<ExpireVar, Fault> {
    const WANT: &str = "COLLECTION.NAME=SECONDS";
    let (written, seconds) =
        part.split_once(b'=').ok_or_else(|| Fault::wrong(part, "expirevar", WANT))?;
    let (collection, key) = element(written)?;
    let seconds = template::parse(seconds.trim())?;
    let number = seconds
        .literal()
        .is_none_or(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    if !number {
        return Err(Fault::wrong(part, "expirevar", WANT));
    }
    Ok(ExpireVar { collection, key, seconds })
}

pub(crate) fn parse_deprecate(part: Part<'_>) -> Result<DeprecateVar, Fault> {
    let wrong = || Fault::wrong(part, "deprecatevar", "COLLECTION.NAME=AMOUNT/SECONDS");
    let (written, rate) = part.split_once(b'=').ok_or_else(wrong)?;
    let (amount, seconds) = rate.split_once(b'/').ok_or_else(wrong)?;
    let (collection, key) = element(written)?;
    let amount = amount.trim().number().ok_or_else(wrong)?;
    let seconds = seconds.trim().number().filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    Ok(DeprecateVar { collection, key, amount, seconds })
}

pub(crate) fn parse_initcol(part: Part<'_>) -> Result<InitCol, Fault> {
    let wrong = || Fault::wrong(part, "initcol", "COLLECTION=KEY, for example ip=%{REMOTE_ADDR}");
    let (collection, key) = part.split_once(b'=').ok_or_else(wrong)?;
    if key.is_empty() {
        return Err(wrong());
    }
    Ok(InitCol { collection: names::find(collection.trim())?, key: template::parse(key)? })
}

pub(crate) fn parse_setenv(part: Part<'_>) -> Result<SetEnv, Fault> {
    let (name, value) = part.split_once(b'=').unwrap_or_else(|| (part, part.before(0)));
    if name.is_empty() {
        return Err(Fault::wrong(part, "setenv", "NAME=VALUE"));
    }
    Ok(SetEnv { name: template::parse(name)?, value: template::parse(value)? })
}

fn element(part: Part<'_>) -> Result<(Collection, Template), Fault> {
    const WANT: &str = "COLLECTION.NAME, for example tx.score";
    let part = part.trim();
    let (collection, key) =
        part.split_once(b'.').ok_or_else(|| Fault::wrong(part, "a variable to write", WANT))?;
    if key.is_empty() {
        return Err(Fault::wrong(part, "a variable to write", WANT));
    }
    Ok((names::find(collection)?, template::parse(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(written: &str, expected: &str) {
        let shown = match parse(fixture::text(written).whole()) {
            Ok(set) => {
                let change = match &set.change {
                    Change::Set(value) => format!("= {}", show(value)),
                    Change::Add(value) => format!("+ {}", show(value)),
                    Change::Subtract(value) => format!("- {}", show(value)),
                    Change::Unset => "unset".to_owned(),
                    Change::One => "one".to_owned(),
                };
                format!("{} {} {change}", set.collection.name(), show(&set.key))
            }
            Err(fault) => fault.to_string(),
        };
        assert_eq!(shown, expected, "{written}");
    }

    fn show(template: &Template) -> String {
        template.literal().map_or_else(
            || format!("({} pieces)", template.pieces.len()),
            |text| String::from_utf8_lossy(text).into_owned(),
        )
    }

    #[test]
    fn reads_every_change() {
        check("tx.a=1", "TX a = 1");
        check("TX.a=+%{tx.b}", "TX a + (1 pieces)");
        check("tx.a=-2", "TX a - 2");
        check("tx.a=-", "TX a = -");
        check("tx.a", "TX a one");
        check("!ip.a.b", "IP a.b unset");
        check("tx.a=", "TX a = ");
        check("tx.name_%{tx.0}=/%{tx.0}/", "TX (2 pieces) = (3 pieces)");
        check("tx.a=b=c", "TX a = b=c");
    }

    #[test]
    fn says_what_would_be_right() {
        check("tz.a=1", "f:1:1: unknown collection `tz`: did you mean `TX`?");
        let want = "write COLLECTION.NAME, for example tx.score";
        check("a=1", &format!("f:1:1: a variable to write cannot be `a`: {want}"));
        check("tx.=1", &format!("f:1:1: a variable to write cannot be `tx.`: {want}"));
        check(
            "!tx.a=1",
            "f:1:1: setvar cannot be `!tx.a=1`: write !COLLECTION.NAME without a value",
        );
    }

    #[test]
    fn reads_the_other_writers() {
        let text = fixture::text("ip.a=60");
        assert_eq!(show(&parse_expire(text.whole()).unwrap().seconds), "60");
        assert!(parse_expire(fixture::text("ip.a=x").whole()).is_err());
        let deprecate = parse_deprecate(fixture::text("session.score=60/300").whole()).unwrap();
        assert_eq!((deprecate.amount, deprecate.seconds), (60, 300));
        assert!(parse_deprecate(fixture::text("session.score=60/0").whole()).is_err());
        let initcol = parse_initcol(fixture::text("ip=%{REMOTE_ADDR}_%{tx.ua}").whole()).unwrap();
        assert_eq!((initcol.collection, initcol.key.pieces.len()), (Collection::Ip, 3));
        assert!(parse_initcol(fixture::text("ip").whole()).is_err());
        assert!(parse_setenv(fixture::text("=x").whole()).is_err());
        assert_eq!(show(&parse_setenv(fixture::text("a=b").whole()).unwrap().value), "b");
    }
}
