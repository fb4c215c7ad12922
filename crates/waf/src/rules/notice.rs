//! What is accepted of rules that run and does not do, or not wholly, what it says.

use crate::parse::{Action, Ctl, Notice, Setting};

/// Rules that count across requests are refused where they ask, not where they tell: those that
/// tell mostly look for something else, and what they find must not be lost. Tidegate's rate
/// limits and bans, which are bounded and know of all requests, do what the counts were for.
pub(crate) const NOTHING_KEPT: &str =
    "nothing is kept between requests; use Tidegate's rate limits and bans";
const LOG: &str = "it is of ModSecurity's own logs";

pub(crate) fn of_action(action: &Action) -> Option<Notice> {
    let unused = |name, reason| Some(Notice::Unused { name, reason });
    match action {
        Action::Accuracy(_) => unused("accuracy", "no log tells it"),
        Action::Maturity(_) => unused("maturity", "no log tells it"),
        Action::SetVar(set) if set.collection.lasts() => {
            unused("setvar of a collection that lasts", NOTHING_KEPT)
        }
        Action::ExpireVar(_) => unused("expirevar", NOTHING_KEPT),
        Action::DeprecateVar(_) => unused("deprecatevar", NOTHING_KEPT),
        Action::SanitiseMatchedBytes(start, end) if (*start, *end) != (0, 0) => {
            let reason = "all of a value that matched is masked";
            Some(Notice::Partly { name: "sanitiseMatchedBytes", reason })
        }
        Action::Ctl(Ctl::AuditLogParts(_)) => unused("ctl:auditLogParts", LOG),
        Action::Ctl(Ctl::DebugLogLevel(_)) => unused("ctl:debugLogLevel", LOG),
        _ => None,
    }
}

pub(crate) fn of_setting(setting: &Setting) -> Option<Notice> {
    match setting {
        Setting::CollectionTimeout(_) => {
            Some(Notice::Unused { name: "SecCollectionTimeout", reason: NOTHING_KEPT })
        }
        Setting::RequestBodyLimit(_) => {
            let reason = "files of forms are not counted, as they are never kept";
            Some(Notice::Partly { name: "SecRequestBodyLimit", reason })
        }
        _ => None,
    }
}
