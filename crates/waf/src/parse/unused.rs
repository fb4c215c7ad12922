//! Directives that configure ModSecurity, not its rules: accepted without effect or refused, each
//! with the reason.

const AUDIT: &str = "Tidegate writes its own security log";
const DEBUG: &str = "Tidegate has its own log; see tidegate explain for one request";
const DISK: &str = "bodies and files are held in memory and never written to disk";
const REGEX: &str = "regular expressions run in linear time and need no limit";
const CONNECTIONS: &str = "limit connections in Tidegate's configuration";
const SERVER: &str = "it concerns Apache or nginx";
const NO_REMOTE: &str = "rules come from local files only; fetch the file and Include it";
const NO_LOOKUP: &str = "rules ask no outside service; use Tidegate's access lists";
const NO_SIGNING: &str = "links are not signed";

/// Names and reasons of what is accepted and has no effect.
pub(crate) const UNUSED: &[(&str, &str)] = &[
    ("SecAuditEngine", AUDIT),
    ("SecAuditLog", AUDIT),
    ("SecAuditLog2", AUDIT),
    ("SecAuditLogDirMode", AUDIT),
    ("SecAuditLogFileMode", AUDIT),
    ("SecAuditLogFormat", AUDIT),
    ("SecAuditLogParts", AUDIT),
    ("SecAuditLogPrefix", AUDIT),
    ("SecAuditLogRelevantStatus", AUDIT),
    ("SecAuditLogStorageDir", AUDIT),
    ("SecAuditLogType", AUDIT),
    ("SecGuardianLog", AUDIT),
    ("SecSensorId", AUDIT),
    ("SecWebAppId", AUDIT),
    ("SecDebugLog", DEBUG),
    ("SecDebugLogLevel", DEBUG),
    ("SecRulePerfTime", DEBUG),
    ("SecDataDir", DISK),
    ("SecTmpDir", DISK),
    ("SecTmpSaveUploadedFiles", DISK),
    ("SecUploadDir", DISK),
    ("SecUploadFileMode", DISK),
    ("SecUploadKeepFiles", DISK),
    ("SecRequestBodyInMemoryLimit", DISK),
    ("SecStreamInBodyInspection", DISK),
    ("SecStreamOutBodyInspection", DISK),
    ("SecPcreMatchLimit", REGEX),
    ("SecPcreMatchLimitRecursion", REGEX),
    ("SecConnEngine", CONNECTIONS),
    ("SecConnReadStateLimit", CONNECTIONS),
    ("SecConnWriteStateLimit", CONNECTIONS),
    ("SecReadStateLimit", CONNECTIONS),
    ("SecWriteStateLimit", CONNECTIONS),
    ("SecChrootDir", SERVER),
    ("SecDisableBackendCompression", SERVER),
    ("SecServerSignature", SERVER),
    ("SecStatusEngine", "it reports to a server that no longer exists"),
    ("SecCacheTransformations", "equal values are always transformed once"),
    ("SecUnicodeMapFile", "the map with code page 20127 is built in and no file is read"),
    ("SecXmlExternalEntity", "entities are never resolved"),
    ("SecParseXmlIntoArgs", "XML is never among ARGS; rules see it as XML:/* and XML://@*"),
    ("SecUnicodeCodePage", "the map with code page 20127 is built in"),
];

/// Names and reasons of what is refused.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("SecRuleScript", "rules do not run scripts"),
    ("SecRemoteRules", NO_REMOTE),
    ("SecRemoteRulesFailAction", NO_REMOTE),
    ("SecRemoteTimeout", NO_REMOTE),
    ("SecGeoLookupDb", NO_LOOKUP),
    ("SecGsbLookupDb", NO_LOOKUP),
    ("SecHttpBlKey", NO_LOOKUP),
    ("SecHashEngine", NO_SIGNING),
    ("SecHashKey", NO_SIGNING),
    ("SecHashMethodPm", NO_SIGNING),
    ("SecHashMethodRx", NO_SIGNING),
    ("SecHashParam", NO_SIGNING),
    ("SecContentInjection", "responses are not changed by rules; use Tidegate's response headers"),
    ("SecCookieV0Separator", "cookies are divided by ; alone"),
    ("SecInterceptOnError", "what an error does is set in Tidegate's configuration"),
    ("SecRuleInheritance", "routes choose their profile in Tidegate's configuration"),
    ("SecAppId", "it is of ModSecurity 1; delete it"),
];

/// The table's own spelling and the reason.
pub(crate) fn find(
    table: &'static [(&'static str, &'static str)],
    name: &[u8],
) -> Option<(&'static str, &'static str)> {
    let found = table.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    found.copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{NoFiles, Notice, Problem, Reader};
    use std::path::Path;

    #[test]
    fn what_is_not_for_rules_is_told() {
        for (name, _) in UNUSED {
            let argument = match *name {
                "SecUnicodeMapFile" => "x 20127",
                "SecUnicodeCodePage" => "20127",
                _ => "Off",
            };
            let mut reader = Reader::new(&NoFiles, &|_| false);
            reader.text(Path::new("f"), format!("{name} {argument}").as_bytes());
            let tree = reader.finish().unwrap();
            let notices: Vec<_> = tree.warnings.iter().map(|one| &one.notice).collect();
            assert!(matches!(notices.as_slice(), [Notice::Unused { .. }]), "{name}: {notices:?}");
        }
        for (name, _) in REFUSED {
            let mut reader = Reader::new(&NoFiles, &|_| false);
            reader.text(Path::new("f"), format!("{name} x").as_bytes());
            let faults = reader.finish().unwrap_err().0;
            let refused =
                |one: &crate::parse::Fault| matches!(one.problem, Problem::Refused { .. });
            assert!(faults.len() == 1 && faults.iter().all(refused), "{name}: {faults:?}");
        }
    }
}
