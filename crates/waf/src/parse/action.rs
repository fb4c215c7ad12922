//! The actions of a rule, one by one.

use crate::parse::ctl::{self, Ctl};
use crate::parse::fault::{Fault, Problem};
use crate::parse::ids::{self, RuleId};
use crate::parse::names::{self, names};
use crate::parse::setvar::{self, DeprecateVar, ExpireVar, InitCol, SetEnv, SetVar};
use crate::parse::template::{self, Template};
use crate::parse::text::Part;
use crate::transform::Transformation;

names! { "action",
    /// The name of an action.
    pub enum ActionName {
        Accuracy = "accuracy",
        Allow = "allow",
        Append = "append",
        AuditLog = "auditlog",
        Block = "block",
        Capture = "capture",
        Chain = "chain",
        Ctl = "ctl",
        Deny = "deny",
        DeprecateVar = "deprecatevar",
        Drop = "drop",
        Exec = "exec",
        ExpireVar = "expirevar",
        Id = "id",
        InitCol = "initcol",
        Log = "log",
        LogData = "logdata",
        Maturity = "maturity",
        Msg = "msg",
        MultiMatch = "multiMatch",
        NoAuditLog = "noauditlog",
        NoLog = "nolog",
        Pass = "pass",
        Pause = "pause",
        Phase = "phase",
        Prepend = "prepend",
        Proxy = "proxy",
        Redirect = "redirect",
        Rev = "rev",
        SanitiseArg = "sanitiseArg" | "sanitizeArg",
        SanitiseMatched = "sanitiseMatched" | "sanitizeMatched",
        SanitiseMatchedBytes = "sanitiseMatchedBytes" | "sanitizeMatchedBytes",
        SanitiseRequestHeader = "sanitiseRequestHeader" | "sanitizeRequestHeader",
        SanitiseResponseHeader = "sanitiseResponseHeader" | "sanitizeResponseHeader",
        SetEnv = "setenv",
        SetRsc = "setrsc",
        SetSid = "setsid",
        SetUid = "setuid",
        SetVar = "setvar",
        Severity = "severity",
        Skip = "skip",
        SkipAfter = "skipAfter",
        Status = "status",
        T = "t",
        Tag = "tag",
        Ver = "ver",
        XmlNs = "xmlns",
    }
}

names! { "severity",
    /// How bad a match is, as syslog counts.
    pub enum Severity {
        Emergency = "EMERGENCY" | "0",
        Alert = "ALERT" | "1",
        Critical = "CRITICAL" | "2",
        Error = "ERROR" | "3",
        Warning = "WARNING" | "4",
        Notice = "NOTICE" | "5",
        Info = "INFO" | "6",
        Debug = "DEBUG" | "7",
    }
}

names! { "phase",
    /// When a rule runs.
    pub enum Phase {
        RequestHeaders = "1",
        RequestBody = "2" | "request",
        ResponseHeaders = "3",
        ResponseBody = "4" | "response",
        Logging = "5" | "logging",
    }
}

names! { "scope of allow",
    /// How much an `allow` lets through.
    pub enum Allow {
        Transaction = "",
        Phase = "phase",
        Request = "request",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Accuracy(u8),
    Allow(Allow),
    Append(Template),
    AuditLog,
    Block,
    Capture,
    Chain,
    Ctl(Ctl),
    Deny,
    DeprecateVar(DeprecateVar),
    Drop,
    ExpireVar(ExpireVar),
    Id(RuleId),
    InitCol(InitCol),
    Log,
    LogData(Template),
    Maturity(u8),
    Msg(Template),
    MultiMatch,
    NoAuditLog,
    NoLog,
    Pass,
    /// Milliseconds.
    Pause(Template),
    Phase(Phase),
    Prepend(Template),
    Redirect(Template),
    Rev(Vec<u8>),
    SanitiseArg(Vec<u8>),
    SanitiseMatched,
    /// How many bytes at the start and at the end stay readable.
    SanitiseMatchedBytes(u64, u64),
    SanitiseRequestHeader(Vec<u8>),
    SanitiseResponseHeader(Vec<u8>),
    SetEnv(SetEnv),
    SetRsc(Template),
    SetSid(Template),
    SetUid(Template),
    SetVar(SetVar),
    Severity(Severity),
    Skip(u32),
    SkipAfter(Vec<u8>),
    Status(u16),
    /// None, `t:none`, forgets those before it.
    Transformation(Option<Transformation>),
    Tag(Template),
    Ver(Vec<u8>),
    XmlNs {
        prefix: Vec<u8>,
        uri: Vec<u8>,
    },
}

impl Action {
    #[must_use]
    pub const fn name(&self) -> ActionName {
        match self {
            Self::Accuracy(..) => ActionName::Accuracy,
            Self::Allow(..) => ActionName::Allow,
            Self::Append(..) => ActionName::Append,
            Self::AuditLog => ActionName::AuditLog,
            Self::Block => ActionName::Block,
            Self::Capture => ActionName::Capture,
            Self::Chain => ActionName::Chain,
            Self::Ctl(..) => ActionName::Ctl,
            Self::Deny => ActionName::Deny,
            Self::DeprecateVar(..) => ActionName::DeprecateVar,
            Self::Drop => ActionName::Drop,
            Self::ExpireVar(..) => ActionName::ExpireVar,
            Self::Id(..) => ActionName::Id,
            Self::InitCol(..) => ActionName::InitCol,
            Self::Log => ActionName::Log,
            Self::LogData(..) => ActionName::LogData,
            Self::Maturity(..) => ActionName::Maturity,
            Self::Msg(..) => ActionName::Msg,
            Self::MultiMatch => ActionName::MultiMatch,
            Self::NoAuditLog => ActionName::NoAuditLog,
            Self::NoLog => ActionName::NoLog,
            Self::Pass => ActionName::Pass,
            Self::Pause(..) => ActionName::Pause,
            Self::Phase(..) => ActionName::Phase,
            Self::Prepend(..) => ActionName::Prepend,
            Self::Redirect(..) => ActionName::Redirect,
            Self::Rev(..) => ActionName::Rev,
            Self::SanitiseArg(..) => ActionName::SanitiseArg,
            Self::SanitiseMatched => ActionName::SanitiseMatched,
            Self::SanitiseMatchedBytes(..) => ActionName::SanitiseMatchedBytes,
            Self::SanitiseRequestHeader(..) => ActionName::SanitiseRequestHeader,
            Self::SanitiseResponseHeader(..) => ActionName::SanitiseResponseHeader,
            Self::SetEnv(..) => ActionName::SetEnv,
            Self::SetRsc(..) => ActionName::SetRsc,
            Self::SetSid(..) => ActionName::SetSid,
            Self::SetUid(..) => ActionName::SetUid,
            Self::SetVar(..) => ActionName::SetVar,
            Self::Severity(..) => ActionName::Severity,
            Self::Skip(..) => ActionName::Skip,
            Self::SkipAfter(..) => ActionName::SkipAfter,
            Self::Status(..) => ActionName::Status,
            Self::Transformation(..) => ActionName::T,
            Self::Tag(..) => ActionName::Tag,
            Self::Ver(..) => ActionName::Ver,
            Self::XmlNs { .. } => ActionName::XmlNs,
        }
    }
}

/// An action that stands alone, or with an argument after its colon.
pub(crate) fn parse(written: Part<'_>, value: Option<Part<'_>>) -> Result<Action, Fault> {
    let name = names::find::<ActionName>(written)?;
    if let Some(action) = alone(name) {
        return match value.filter(|value| !value.trim().is_empty()) {
            Some(value) => {
                Err(Fault::at(value, Problem::Extra { name: name.name(), got: value.shown() }))
            }
            None => Ok(action),
        };
    }
    match (name, value.filter(|value| !value.is_empty() || takes_empty(name))) {
        (_, Some(value)) => with(name, value),
        (ActionName::Allow, None) => Ok(Action::Allow(Allow::Transaction)),
        (ActionName::SanitiseMatchedBytes, None) => Ok(Action::SanitiseMatchedBytes(0, 0)),
        (_, None) => {
            let problem = Problem::Missing { name: name.name().to_owned(), want: want(name) };
            Err(Fault::at(value.unwrap_or(written), problem))
        }
    }
}

fn alone(name: ActionName) -> Option<Action> {
    Some(match name {
        ActionName::AuditLog => Action::AuditLog,
        ActionName::Block => Action::Block,
        ActionName::Capture => Action::Capture,
        ActionName::Chain => Action::Chain,
        ActionName::Deny => Action::Deny,
        ActionName::Drop => Action::Drop,
        ActionName::Log => Action::Log,
        ActionName::MultiMatch => Action::MultiMatch,
        ActionName::NoAuditLog => Action::NoAuditLog,
        ActionName::NoLog => Action::NoLog,
        ActionName::Pass => Action::Pass,
        ActionName::SanitiseMatched => Action::SanitiseMatched,
        _ => return None,
    })
}

/// Texts for people may be empty.
const fn takes_empty(name: ActionName) -> bool {
    use ActionName as Name;
    matches!(name, Name::Msg | Name::LogData | Name::Rev | Name::Ver | Name::Append | Name::Prepend)
}

const fn want(name: ActionName) -> &'static str {
    match name {
        ActionName::Id => "id:NUMBER",
        ActionName::Phase => "phase:1 to phase:5",
        ActionName::T => "t:NAME, for example t:lowercase",
        ActionName::SetVar => "setvar:'tx.NAME=VALUE'",
        ActionName::SkipAfter => "skipAfter:MARKER",
        ActionName::Ctl => "ctl:OPTION=VALUE",
        _ => "it after a colon",
    }
}

fn with(name: ActionName, value: Part<'_>) -> Result<Action, Fault> {
    use ActionName as Name;
    Ok(match name {
        Name::Accuracy => Action::Accuracy(level(value)?),
        Name::Allow => Action::Allow(names::find(value.trim())?),
        Name::Append => Action::Append(template::parse(value)?),
        Name::Ctl => Action::Ctl(ctl::parse(value)?),
        Name::DeprecateVar => Action::DeprecateVar(setvar::parse_deprecate(value)?),
        Name::ExpireVar => Action::ExpireVar(setvar::parse_expire(value)?),
        Name::Id => Action::Id(ids::parse_id(value)?),
        Name::InitCol => Action::InitCol(setvar::parse_initcol(value)?),
        Name::LogData => Action::LogData(template::parse(value)?),
        Name::Maturity => Action::Maturity(level(value)?),
        Name::Msg => Action::Msg(template::parse(value)?),
        Name::Pause => Action::Pause(template::parse(value)?),
        Name::Phase => Action::Phase(names::find(value.trim())?),
        Name::Prepend => Action::Prepend(template::parse(value)?),
        Name::Redirect => Action::Redirect(template::parse(value)?),
        Name::Rev => Action::Rev(value.bytes().to_vec()),
        Name::SanitiseArg => Action::SanitiseArg(value.bytes().to_vec()),
        Name::SanitiseMatchedBytes => readable_ends(value)?,
        Name::SanitiseRequestHeader => Action::SanitiseRequestHeader(value.bytes().to_vec()),
        Name::SanitiseResponseHeader => Action::SanitiseResponseHeader(value.bytes().to_vec()),
        Name::SetEnv => Action::SetEnv(setvar::parse_setenv(value)?),
        Name::SetRsc => Action::SetRsc(template::parse(value)?),
        Name::SetSid => Action::SetSid(template::parse(value)?),
        Name::SetUid => Action::SetUid(template::parse(value)?),
        Name::SetVar => Action::SetVar(setvar::parse(value)?),
        Name::Severity => Action::Severity(names::find(value.trim())?),
        Name::Skip => Action::Skip(skip(value)?),
        Name::SkipAfter => Action::SkipAfter(value.trim().bytes().to_vec()),
        Name::Status => Action::Status(status(value)?),
        Name::T => Action::Transformation(names::find(value.trim())?),
        Name::Tag => Action::Tag(template::parse(value)?),
        Name::Ver => Action::Ver(value.bytes().to_vec()),
        Name::XmlNs => namespace(value)?,
        Name::Exec => return Err(refused(name, value, "rules do not start programs")),
        Name::Proxy => return Err(refused(name, value, "route in Tidegate's configuration")),
        Name::AuditLog
        | Name::Block
        | Name::Capture
        | Name::Chain
        | Name::Deny
        | Name::Drop
        | Name::Log
        | Name::MultiMatch
        | Name::NoAuditLog
        | Name::NoLog
        | Name::Pass
        | Name::SanitiseMatched => {
            return Err(Fault::at(value, Problem::Extra { name: name.name(), got: value.shown() }));
        }
    })
}

fn refused(name: ActionName, value: Part<'_>, reason: &'static str) -> Fault {
    Fault::at(value, Problem::Refused { name: name.name().to_owned(), reason })
}

fn skip(value: Part<'_>) -> Result<u32, Fault> {
    let rules = value.trim().number().and_then(|number| u32::try_from(number).ok());
    let rules = rules.filter(|rules| *rules > 0);
    rules.ok_or_else(|| Fault::wrong(value, "skip", "how many rules, at least 1"))
}

fn level(value: Part<'_>) -> Result<u8, Fault> {
    let level = value.trim().number().and_then(|number| u8::try_from(number).ok());
    let level = level.filter(|level| *level <= 9);
    level.ok_or_else(|| Fault::wrong(value, "accuracy or maturity", "a number from 0 to 9"))
}

fn status(value: Part<'_>) -> Result<u16, Fault> {
    let status = value.trim().number().and_then(|number| u16::try_from(number).ok());
    let status = status.filter(|status| (100..=599).contains(status));
    status.ok_or_else(|| Fault::wrong(value, "status", "a status code from 100 to 599"))
}

fn readable_ends(value: Part<'_>) -> Result<Action, Fault> {
    let ends = value.split_once(b'/').map(|(a, b)| (a.trim().number(), b.trim().number()));
    let Some((Some(start), Some(end))) = ends else {
        return Err(Fault::wrong(value, "sanitiseMatchedBytes", "START/END, for example 1/4"));
    };
    Ok(Action::SanitiseMatchedBytes(start, end))
}

fn namespace(value: Part<'_>) -> Result<Action, Fault> {
    let (prefix, uri) = value
        .split_once(b'=')
        .filter(|(prefix, uri)| !prefix.is_empty() && !uri.is_empty())
        .ok_or_else(|| Fault::wrong(value, "xmlns", "PREFIX=URI"))?;
    Ok(Action::XmlNs { prefix: prefix.bytes().to_vec(), uri: uri.bytes().to_vec() })
}
