//! `ctl:OPTION=VALUE`: what a rule changes for the one transaction it matches in.

use crate::parse::fault::{Fault, Problem};
use crate::parse::ids::{self, IdRange};
use crate::parse::names::{self, names};
use crate::parse::settings::{EngineMode, Toggle};
use crate::parse::targets::{self, Target};
use crate::parse::text::Part;

names! { "ctl option",
    /// The left side of a ctl.
    pub enum CtlName {
        AuditEngine = "auditEngine",
        AuditLogParts = "auditLogParts",
        DebugLogLevel = "debugLogLevel",
        ForceRequestBodyVariable = "forceRequestBodyVariable",
        GuessRequestBody = "guessRequestBody",
        HashEnforcement = "hashEnforcement",
        HashEngine = "hashEngine",
        ParseXmlIntoArgs = "parseXmlIntoArgs",
        RequestBodyAccess = "requestBodyAccess",
        RequestBodyLimit = "requestBodyLimit",
        RequestBodyProcessor = "requestBodyProcessor",
        ResponseBodyAccess = "responseBodyAccess",
        ResponseBodyLimit = "responseBodyLimit",
        RuleEngine = "ruleEngine",
        RuleRemoveById = "ruleRemoveById",
        RuleRemoveByMsg = "ruleRemoveByMsg",
        RuleRemoveByTag = "ruleRemoveByTag",
        RuleRemoveTargetById = "ruleRemoveTargetById",
        RuleRemoveTargetByMsg = "ruleRemoveTargetByMsg",
        RuleRemoveTargetByTag = "ruleRemoveTargetByTag",
    }
}

names! { "audit engine mode",
    /// What an audit engine records.
    pub enum AuditMode {
        On = "On",
        Off = "Off",
        RelevantOnly = "RelevantOnly",
    }
}

names! { "body processor",
    /// How a request body is read.
    pub enum BodyProcessor {
        UrlEncoded = "URLENCODED",
        Multipart = "MULTIPART",
        Xml = "XML",
        Json = "JSON",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ctl {
    AuditEngine(AuditMode),
    AuditLogParts(AuditParts),
    DebugLogLevel(u64),
    ForceRequestBodyVariable(Toggle),
    /// Of Tidegate alone: JSON and XML are read where no type says that they are.
    GuessRequestBody(Toggle),
    ParseXmlIntoArgs(Toggle),
    RequestBodyAccess(Toggle),
    RequestBodyLimit(u64),
    RequestBodyProcessor(BodyProcessor),
    ResponseBodyAccess(Toggle),
    ResponseBodyLimit(u64),
    RuleEngine(EngineMode),
    RemoveById(IdRange),
    RemoveByMsg(Vec<u8>),
    RemoveByTag(Vec<u8>),
    RemoveTargetById(IdRange, Vec<Target>),
    RemoveTargetByMsg(Vec<u8>, Vec<Target>),
    RemoveTargetByTag(Vec<u8>, Vec<Target>),
}

/// Sections of the audit log, by their letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditParts {
    Exactly(Vec<u8>),
    With(Vec<u8>),
    Without(Vec<u8>),
}

pub(crate) fn parse(part: Part<'_>) -> Result<Ctl, Fault> {
    let part = part.trim();
    let (name, value) = part
        .split_once(b'=')
        .ok_or_else(|| Fault::wrong(part, "ctl", "OPTION=VALUE, for example ruleEngine=Off"))?;
    let (name, value) = (names::find::<CtlName>(name.trim())?, value.trim());
    Ok(match name {
        CtlName::AuditEngine => Ctl::AuditEngine(names::find(value)?),
        CtlName::AuditLogParts => Ctl::AuditLogParts(parse_parts(value)?),
        CtlName::DebugLogLevel => Ctl::DebugLogLevel(number(value)?),
        CtlName::ForceRequestBodyVariable => Ctl::ForceRequestBodyVariable(names::find(value)?),
        CtlName::GuessRequestBody => Ctl::GuessRequestBody(names::find(value)?),
        CtlName::HashEnforcement | CtlName::HashEngine => {
            let reason = "links are not signed; delete the action";
            let name = format!("ctl:{}", name.name());
            return Err(Fault::at(part, Problem::Refused { name, reason }));
        }
        CtlName::ParseXmlIntoArgs => Ctl::ParseXmlIntoArgs(names::find(value)?),
        CtlName::RequestBodyAccess => Ctl::RequestBodyAccess(names::find(value)?),
        CtlName::RequestBodyLimit => Ctl::RequestBodyLimit(number(value)?),
        CtlName::RequestBodyProcessor => Ctl::RequestBodyProcessor(names::find(value)?),
        CtlName::ResponseBodyAccess => Ctl::ResponseBodyAccess(names::find(value)?),
        CtlName::ResponseBodyLimit => Ctl::ResponseBodyLimit(number(value)?),
        CtlName::RuleEngine => Ctl::RuleEngine(names::find(value)?),
        CtlName::RuleRemoveById => Ctl::RemoveById(ids::parse_range(value)?),
        CtlName::RuleRemoveByMsg => Ctl::RemoveByMsg(pattern(value)?),
        CtlName::RuleRemoveByTag => Ctl::RemoveByTag(pattern(value)?),
        CtlName::RuleRemoveTargetById => {
            let (ids, targets) = with_targets(value)?;
            Ctl::RemoveTargetById(ids::parse_range(ids)?, targets)
        }
        CtlName::RuleRemoveTargetByMsg => {
            let (msg, targets) = with_targets(value)?;
            Ctl::RemoveTargetByMsg(pattern(msg)?, targets)
        }
        CtlName::RuleRemoveTargetByTag => {
            let (tag, targets) = with_targets(value)?;
            Ctl::RemoveTargetByTag(pattern(tag)?, targets)
        }
    })
}

fn number(value: Part<'_>) -> Result<u64, Fault> {
    value.number().ok_or_else(|| Fault::wrong(value, "this ctl's value", "a whole number"))
}

fn pattern(value: Part<'_>) -> Result<Vec<u8>, Fault> {
    if value.is_empty() {
        return Err(Fault::wrong(value, "this ctl's value", "what the tag or message must match"));
    }
    Ok(value.bytes().to_vec())
}

fn with_targets(value: Part<'_>) -> Result<(Part<'_>, Vec<Target>), Fault> {
    let (which, list) = value.split_once(b';').ok_or_else(|| {
        Fault::wrong(value, "this ctl's value", "RULES;VARIABLE, for example 942100;ARGS:password")
    })?;
    Ok((which.trim(), targets::parse_excluded(list)?))
}

fn parse_parts(value: Part<'_>) -> Result<AuditParts, Fault> {
    let (make, letters): (fn(Vec<u8>) -> AuditParts, _) = match value.byte(0) {
        Some(b'+') => (AuditParts::With, value.after(1)),
        Some(b'-') => (AuditParts::Without, value.after(1)),
        _ => (AuditParts::Exactly, value),
    };
    let known = letters.bytes().iter().all(|letter| matches!(letter, b'A'..=b'K' | b'Z'));
    if letters.is_empty() || letters.len() > 12 || !known {
        return Err(Fault::wrong(value, "audit log parts", "letters from A to K and Z, like +E"));
    }
    Ok(make(letters.bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(written: &str, expected: &str) {
        let shown = match parse(fixture::text(written).whole()) {
            Ok(Ctl::RemoveTargetById(ids, targets)) => {
                format!("{}-{} without {} targets", ids.first, ids.last, targets.len())
            }
            Ok(Ctl::RemoveTargetByTag(tag, targets)) => {
                format!("{} without {} targets", String::from_utf8_lossy(&tag), targets.len())
            }
            Ok(ctl) => format!("{ctl:?}"),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(shown, expected, "{written}");
    }

    #[test]
    fn reads_options() {
        check("ruleEngine=off", "RuleEngine(Off)");
        check("auditEngine=RelevantOnly", "AuditEngine(RelevantOnly)");
        check("auditLogParts=+E", "AuditLogParts(With([69]))");
        check("forceRequestBodyVariable=On", "ForceRequestBodyVariable(On)");
        check("requestBodyProcessor=json", "RequestBodyProcessor(Json)");
        check("requestBodyLimit=10", "RequestBodyLimit(10)");
        check(
            "ruleRemoveById=1-999999",
            "RemoveById(IdRange { first: RuleId(1), last: RuleId(999999) })",
        );
        check("ruleRemoveTargetById=942100;ARGS:password", "942100-942100 without 1 targets");
        check("ruleRemoveTargetByTag=OWASP_CRS;ARGS:a|!ARGS:/b/", "OWASP_CRS without 2 targets");
    }

    #[test]
    fn says_what_would_be_right() {
        check(
            "ruleEngine",
            "f:1:1: ctl cannot be `ruleEngine`: write OPTION=VALUE, for example ruleEngine=Off",
        );
        check("ruleEngin=Off", "f:1:1: unknown ctl option `ruleEngin`: did you mean `ruleEngine`?");
        check("ruleEngine=Of", "f:1:12: unknown engine mode `Of`: did you mean `Off`?");
        check(
            "ruleRemoveTargetById=5",
            "f:1:22: this ctl's value cannot be `5`: write RULES;VARIABLE, for example 942100;ARGS:password",
        );
        check(
            "auditLogParts=+x",
            "f:1:15: audit log parts cannot be `+x`: write letters from A to K and Z, like +E",
        );
        check(
            "hashEngine=On",
            "f:1:1: ctl:hashEngine is not supported: links are not signed; delete the action",
        );
        check(
            "ruleRemoveByTag=",
            "f:1:17: this ctl's value cannot be ``: write what the tag or message must match",
        );
        check(
            "ruleRemoveTargetById=5;&ARGS",
            "f:1:24: an excluded variable cannot be `&ARGS`: write it without &",
        );
    }
}
