//! The last word of a rule: actions divided by commas, their values in single quotes if needed.

use crate::parse::action::{self, Action, ActionName};
use crate::parse::bounds::ACTIONS;
use crate::parse::fault::{Fault, Problem};
use crate::parse::ids::{self, RuleId};
use crate::parse::names;
use crate::parse::place::Placed;
use crate::parse::text::{Part, Text};
use crate::parse::words;

/// A name and what stands after its colon, unquoted.
pub(crate) struct Item<'a> {
    name: Part<'a>,
    value: Option<Text>,
}

impl Item<'_> {
    fn is(&self, name: ActionName) -> bool {
        names::lookup::<ActionName>(self.name.bytes()) == Some(name)
    }
}

pub(crate) fn parse(items: &[Item<'_>]) -> Result<Vec<Placed<Action>>, Fault> {
    let read = |item: &Item<'_>| -> Result<Placed<Action>, Fault> {
        let value = action::parse(item.name, item.value.as_ref().map(Text::whole))?;
        Ok(Placed { place: item.name.place(), value })
    };
    items.iter().map(read).collect()
}

/// The id among `items`, even if another of them is at fault.
pub(crate) fn find_id(items: &[Item<'_>]) -> Option<RuleId> {
    let item = items.iter().find(|item| item.is(ActionName::Id))?;
    item.value.as_ref().and_then(|value| ids::parse_id(value.whole()).ok())
}

pub(crate) fn has_chain(items: &[Item<'_>]) -> bool {
    items.iter().any(|item| item.is(ActionName::Chain))
}

/// Cuts a list into its items. Empty ones are passed over, as in ModSecurity 2.
pub(crate) fn split(list: Part<'_>) -> Result<Vec<Item<'_>>, Fault> {
    let mut items = Vec::new();
    let mut rest = list.trim();
    while !rest.is_empty() {
        if let Some(next) = rest.strip(b',') {
            rest = next.trim();
            continue;
        }
        if items.len() == ACTIONS {
            return Err(Fault::too_many(rest, "actions in one rule", ACTIONS));
        }
        let (item, next) = take(rest)?;
        items.push(item);
        rest = next.trim();
        if rest.byte(0).is_some_and(|byte| byte != b',') {
            return Err(Fault::at(rest, Problem::NoComma { got: rest.shown() }));
        }
    }
    Ok(items)
}

fn take(part: Part<'_>) -> Result<(Item<'_>, Part<'_>), Fault> {
    if part.byte(0) == Some(b'#') {
        return Err(Fault::at(part, Problem::CommentInside { got: part.shown() }));
    }
    let ends = |byte: &u8| matches!(byte, b':' | b',') || byte.is_ascii_whitespace();
    let end = part.bytes().iter().position(ends).unwrap_or(part.len());
    let (name, rest) = (part.before(end), part.after(end));
    let Some(rest) = rest.strip(b':') else {
        return Ok((Item { name, value: None }, rest));
    };
    let rest = rest.after(rest.len() - rest.bytes().trim_ascii_start().len());
    let (value, rest) = match rest.byte(0) {
        Some(b'\'') => take_quoted(rest)?,
        _ => take_plain(rest)?,
    };
    Ok((Item { name, value: Some(value) }, rest))
}

fn take_quoted(part: Part<'_>) -> Result<(Text, Part<'_>), Fault> {
    let (value, rest) = words::take_quoted(part, b'\'')?;
    match rest.trim().byte(0) {
        None | Some(b',') => Ok((value, rest)),
        Some(_) => Err(words::after_quote(rest.trim(), b'\'')),
    }
}

/// A bare value ends at a comma or blank. Quotes after `=`, as in `setvar:tx.a='b c'`, hold both.
fn take_plain(part: Part<'_>) -> Result<(Text, Part<'_>), Fault> {
    let bytes = part.bytes();
    let end = bytes.iter().position(|byte| *byte == b',' || byte.is_ascii_whitespace());
    let bare = part.before(end.unwrap_or(part.len()));
    let Some(equals) = bare.bytes().windows(2).position(|pair| pair == b"='") else {
        return Ok((words::copy(bare), part.after(bare.len())));
    };
    let (quoted, rest) = take_quoted(part.after(equals + 1))?;
    let mut value = words::copy(part.before(equals + 1));
    for (byte, line, column) in quoted.whole().spots() {
        value.push(byte, line, column);
    }
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(list: &str, expected: &[&str]) {
        let text = fixture::text(list);
        let shown = match split(text.whole()) {
            Ok(items) => items.iter().map(show).collect(),
            Err(fault) => vec![fault.to_string()],
        };
        assert_eq!(shown, expected, "{list}");
    }

    fn show(item: &Item<'_>) -> String {
        let name = item.name.shown();
        item.value
            .as_ref()
            .map_or_else(|| name.clone(), |v| format!("{name}={}", v.whole().shown()))
    }

    fn typed(list: &str, expected: &str) {
        let text = fixture::text(list);
        let shown = match split(text.whole()).and_then(|items| parse(&items)) {
            Ok(actions) => {
                let shown: Vec<_> = actions.iter().map(|a| format!("{:?}", a.value)).collect();
                shown.join(" ")
            }
            Err(fault) => fault.to_string(),
        };
        assert_eq!(shown, expected, "{list}");
    }

    #[test]
    fn splits_names_and_values() {
        check("", &[]);
        check("id:1,  phase:2,deny", &["id=1", "phase=2", "deny"]);
        check("msg:'a, b',log", &["msg=a, b", "log"]);
        check(r"msg:'it\'s \d',log,", &[r"msg=it's \d", "log"]);
        check("setvar:tx.a='b, c',log", &["setvar=tx.a=b, c", "log"]);
        check("setvar:tx.a=b,setvar:'tx.b=c'", &["setvar=tx.a=b", "setvar=tx.b=c"]);
        check("msg: 'a' , log", &["msg=a", "log"]);
        check("t:none,,t:", &["t=none", "t="]);
    }

    #[test]
    fn says_where_a_list_is_wrong() {
        check(
            "id:1 deny",
            &[
                "f:1:6: `deny` follows an action: write a comma before it, or the value in single quotes",
            ],
        );
        check("msg:'a", &["f:1:5: ' is not closed: write ' at the end, and \\' for one inside"]);
        check(
            "msg:'a'b'",
            &["f:1:8: `b'` follows a closing quote: write \\' for a quote inside the text"],
        );
        check(
            "id:1,# x",
            &["f:1:6: `# x` stands inside a rule: a comment cannot, move it before the rule"],
        );
    }

    #[test]
    fn reads_typed_actions() {
        typed(
            "id:'12',phase:request,T:LowerCase",
            "Id(RuleId(12)) Phase(RequestBody) Transformation(Some(Lowercase))",
        );
        typed("severity:'CRITICAL',severity:2", "Severity(Critical) Severity(Critical)");
        typed("allow,allow:phase,allow:request", "Allow(Transaction) Allow(Phase) Allow(Request)");
        typed(
            "status:403,skip:2,skipAfter:END-X",
            "Status(403) Skip(2) SkipAfter([69, 78, 68, 45, 88])",
        );
        typed(
            "accuracy:'8',maturity:9,capture,multimatch",
            "Accuracy(8) Maturity(9) Capture MultiMatch",
        );
        typed(
            "sanitiseMatchedBytes:1/4,sanitizeMatchedBytes",
            "SanitiseMatchedBytes(1, 4) SanitiseMatchedBytes(0, 0)",
        );
        typed("log,nolog,auditlog,noauditlog", "Log NoLog AuditLog NoAuditLog");
        typed("deny,block,drop,pass,chain", "Deny Block Drop Pass Chain");
    }

    #[test]
    fn says_which_action_is_wrong() {
        typed("id:x", "f:1:4: an id cannot be `x`: write a number from 1 to 4294967295");
        typed("id", "f:1:1: id needs an argument: write id:NUMBER");
        typed(
            "phase:6",
            "f:1:7: unknown phase `6`: write one of 1, 2, request, 3, 4, response, 5, logging",
        );
        typed("denny", "f:1:1: unknown action `denny`: did you mean `deny`?");
        typed("t:lowercas", "f:1:3: unknown transformation `lowercas`: did you mean `lowercase`?");
        typed("deny:1", "f:1:6: deny takes no argument, but has `1`");
        typed("status:99", "f:1:8: status cannot be `99`: write a status code from 100 to 599");
        typed("exec:/bin/x", "f:1:6: exec is not supported: rules do not start programs");
        typed("skip:0", "f:1:6: skip cannot be `0`: write how many rules, at least 1");
        typed("xmlns:a", "f:1:7: xmlns cannot be `a`: write PREFIX=URI");
    }

    #[test]
    fn finds_id_and_chain_beside_a_fault() {
        let text = fixture::text("denny,id:7,chain");
        let items = split(text.whole()).unwrap();
        assert_eq!((find_id(&items), has_chain(&items)), (Some(RuleId(7)), true));
        assert!(parse(&items).is_err());
    }
}
