//! What a link does for each value that matches: it sets TX, or changes the transaction.

use crate::parse::{self, Action, BodyProcessor, EngineMode, Fault, Place, Problem, Toggle};
use crate::rules::names::{Slot, TxNames};
use crate::rules::notice::NOTHING_KEPT;
use crate::rules::select::Selected;
use crate::rules::set::Rules;
use crate::rules::target::Element;
use crate::rules::text::Text;

#[derive(Debug)]
pub(crate) enum Effect {
    SetTx {
        key: Key,
        change: Change,
    },
    Ctl(Ctl),
    /// An argument whose value stays out of every log.
    MaskArgument(Box<[u8]>),
    /// The same of a header field of the request.
    MaskHeader(Box<[u8]>),
}

#[derive(Debug)]
pub(crate) enum Key {
    Slot(Slot),
    /// A name with macros.
    Named(Text),
}

#[derive(Debug)]
pub(crate) enum Change {
    Set(Text),
    /// A number that is known at load.
    SetNumber(i64),
    Add(Text),
    Subtract(Text),
    Unset,
}

#[derive(Debug)]
pub(crate) enum Ctl {
    Audit(bool),
    Engine(EngineMode),
    ForceRequestBody(bool),
    GuessRequestBody(bool),
    RequestBodyAccess(bool),
    RequestBodyProcessor(BodyProcessor),
    ResponseBodyAccess(bool),
    /// These rules run no more.
    Remove(Rules),
    /// These rules look no more at these elements.
    Exclude(Rules, Box<[Element]>),
}

impl Effect {
    /// Whether something stays out of logs for it.
    pub(crate) fn masks(&self) -> bool {
        matches!(self, Self::MaskArgument(_) | Self::MaskHeader(_))
    }

    /// Whether it tells of what matched.
    pub(crate) fn tells_of_a_match(&self) -> bool {
        let Self::SetTx { key, change } = self else { return false };
        let key = match key {
            Key::Slot(_) => false,
            Key::Named(name) => name.tells_of_a_match(),
        };
        key || match change {
            Change::Set(text) | Change::Add(text) | Change::Subtract(text) => {
                text.tells_of_a_match()
            }
            Change::SetNumber(_) | Change::Unset => false,
        }
    }

    /// The effect of an action, if it has one that comes with every match.
    pub(crate) fn new(
        action: &parse::Placed<Action>,
        rules: &[parse::Rule],
        names: &mut TxNames,
    ) -> Result<Option<Self>, Fault> {
        let place = &action.place;
        let refused = |reason| Err(refuse(action.value.name().name(), reason, place));
        match &action.value {
            Action::SetVar(set) if set.collection.lasts() => Ok(None),
            Action::SetVar(set) => set_var(set, place, names).map(Some),
            Action::Ctl(ctl) => Ok(Ctl::new(ctl, place, rules, names)?.map(Self::Ctl)),
            Action::SanitiseArg(name) => Ok(Some(Self::MaskArgument(name.clone().into()))),
            Action::SanitiseRequestHeader(name) => {
                Ok(Some(Self::MaskHeader(name.to_ascii_lowercase().into())))
            }
            Action::InitCol(_) | Action::SetSid(_) | Action::SetUid(_) | Action::SetRsc(_) => {
                refused(NOTHING_KEPT)
            }
            Action::SetEnv(_) => refused(NO_PROGRAM),
            Action::Append(_) | Action::Prepend(_) => refused("responses are not changed by rules"),
            Action::Pause(_) => refused("use over: delay in Tidegate's rate limits"),
            Action::XmlNs { .. } => refused("XML:/* and XML://@* need no namespaces"),
            Action::SanitiseResponseHeader(_) => refused("responses' fields are in no log"),
            _ => Ok(None),
        }
    }
}

const NO_PROGRAM: &str = "no other program sees it; use setvar:tx.NAME";

fn set_var(set: &parse::SetVar, place: &Place, names: &mut TxNames) -> Result<Effect, Fault> {
    if set.collection != parse::Collection::Tx {
        return Err(refuse("setvar:env", NO_PROGRAM, place));
    }
    let key = match set.key.literal() {
        Some(name) => Key::Slot(names.slot(name)),
        None => Key::Named(Text::new(&set.key, names)?),
    };
    let change = match &set.change {
        parse::Change::Set(value) => {
            let text = Text::new(value, names)?;
            match text.number() {
                Some(number) => Change::SetNumber(number),
                None => Change::Set(text),
            }
        }
        parse::Change::Add(value) => Change::Add(Text::new(value, names)?),
        parse::Change::Subtract(value) => Change::Subtract(Text::new(value, names)?),
        parse::Change::One => Change::SetNumber(1),
        parse::Change::Unset => Change::Unset,
    };
    Ok(Effect::SetTx { key, change })
}

impl Ctl {
    fn new(
        ctl: &parse::Ctl,
        place: &Place,
        rules: &[parse::Rule],
        names: &mut TxNames,
    ) -> Result<Option<Self>, Fault> {
        let is_on = |toggle: Toggle| toggle == Toggle::On;
        let remove = |selected: Selected| Self::Remove(Rules::selected(rules, &selected));
        let by_id = |range| Selected::Ids(vec![range]);
        let limit = "limits are those of the profile's body in Tidegate's configuration";
        Ok(Some(match ctl {
            parse::Ctl::AuditEngine(mode) => Self::Audit(*mode != parse::AuditMode::Off),
            parse::Ctl::RuleEngine(mode) => Self::Engine(*mode),
            parse::Ctl::ForceRequestBodyVariable(on) => Self::ForceRequestBody(is_on(*on)),
            parse::Ctl::GuessRequestBody(on) => Self::GuessRequestBody(is_on(*on)),
            parse::Ctl::RequestBodyAccess(on) => Self::RequestBodyAccess(is_on(*on)),
            parse::Ctl::ResponseBodyAccess(on) => Self::ResponseBodyAccess(is_on(*on)),
            parse::Ctl::RequestBodyProcessor(processor) => Self::RequestBodyProcessor(*processor),
            parse::Ctl::RequestBodyLimit(_) | parse::Ctl::ResponseBodyLimit(_) => {
                return Err(refuse("ctl of a body limit", limit, place));
            }
            parse::Ctl::ParseXmlIntoArgs(on) => {
                if is_on(*on) {
                    return Err(refuse("ctl:parseXmlIntoArgs", "use XML:/* and XML://@*", place));
                }
                return Ok(None);
            }
            // A notice says so.
            parse::Ctl::AuditLogParts(_) | parse::Ctl::DebugLogLevel(_) => return Ok(None),
            parse::Ctl::RemoveById(range) => remove(by_id(*range)),
            parse::Ctl::RemoveByTag(tag) => remove(Selected::by_tag(tag, place)?),
            parse::Ctl::RemoveByMsg(message) => remove(Selected::by_message(message, place)?),
            parse::Ctl::RemoveTargetById(range, targets) => {
                exclude(&by_id(*range), targets, rules, names)?
            }
            parse::Ctl::RemoveTargetByTag(tag, targets) => {
                exclude(&Selected::by_tag(tag, place)?, targets, rules, names)?
            }
            parse::Ctl::RemoveTargetByMsg(message, targets) => {
                exclude(&Selected::by_message(message, place)?, targets, rules, names)?
            }
        }))
    }
}

fn exclude(
    selected: &Selected,
    targets: &[parse::Target],
    rules: &[parse::Rule],
    names: &mut TxNames,
) -> Result<Ctl, Fault> {
    let elements: Result<Vec<_>, _> =
        targets.iter().map(|target| Element::new(target, names)).collect();
    Ok(Ctl::Exclude(Rules::selected(rules, selected), elements?.into_boxed_slice()))
}

pub(crate) fn refuse(name: &str, reason: &'static str, place: &Place) -> Fault {
    let problem = Problem::Refused { name: name.to_owned(), reason };
    Fault { place: place.clone(), rule: None, problem }
}
